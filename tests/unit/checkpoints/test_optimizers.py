"""Optimizer state, with stand-ins for the generations of Keras's optimizers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from checkpoints import (
    CheckpointError,
    Ignore,
    Layer,
    MappingError,
    Rule,
    load_optimizer,
    make_plan,
    open_checkpoint,
    write_saver,
)
from checkpoints.object_slots import find_slots
from checkpoints.optimizer_kinds import kind_of, kind_of_name

from .support import Variable, data, expected

RULES = [Rule(r"generator/(fc1/(?:kernel|bias))", r"\1")]


def model():
    return {"fc1/kernel": Variable((4, 3)), "fc1/bias": Variable((3,))}


class Optimizer:
    """What Keras from TF 2.11 on has: lists of slots in the order of the variables given to `build`."""

    built = False
    epsilon = 1e-7
    beta_2 = 0.999
    learning_rate = 0.5
    momentum = 0.9
    lists = ()

    def __init__(self):
        self.iterations = Variable((), "int64")

    def build(self, variables):
        self.built = True
        self._trainable_variables = list(variables)
        for name in self.lists:
            setattr(self, name, [Variable(variable.shape) for variable in variables])


class Adam(Optimizer):
    lists = ("_momentums", "_velocities")


class SGD(Optimizer):
    lists = ("momentums",)


class LegacyAdam:
    """What Keras had up to TF 2.10: slots by variable and name."""

    epsilon = 1e-8
    beta_2 = 0.999

    def __init__(self):
        self.iterations = Variable((), "int64")
        self.slots = {}

    def _create_all_weights(self, variables):
        self.slots = {(id(v), name): Variable(v.shape) for v in variables for name in ("m", "v")}

    def get_slot_names(self):
        return ["m", "v"]

    def get_slot(self, variable, name):
        return self.slots[id(variable), name]


LegacyAdam.__name__ = "Adam"


def test_adams_slots_and_steps_arrive_and_its_epsilon_is_mentioned():
    wanted = expected("adam")
    with open_checkpoint(data("adam")) as checkpoint:
        variables = model()
        plan = make_plan(checkpoint, variables, RULES)
        optimizer = Adam()
        carried = load_optimizer(plan, checkpoint, optimizer, variables)
        assert (carried.slots, carried.steps) == (4, 5)
        assert optimizer.iterations.numpy() == wanted["global_step"] == 5
        assert np.array_equal(optimizer._momentums[0].numpy(), wanted["generator/fc1/kernel/Adam"])
        assert np.array_equal(optimizer._velocities[1].numpy(), wanted["generator/fc1/bias/Adam_1"])
        assert any("epsilon is 1e-07 here, 1e-08" in note for note in carried.notes)

        legacy = LegacyAdam()
        carried = load_optimizer(plan, checkpoint, legacy, variables)
        moved = legacy.get_slot(variables["fc1/bias"], "m").numpy()
        assert np.array_equal(moved, wanted["generator/fc1/bias/Adam"])
        assert carried.notes == ()


@pytest.fixture
def make(tmp_path):
    def write(values):
        write_saver(tmp_path / "m", values)
        return open_checkpoint(tmp_path / "m")

    return write


def test_slots_of_an_lstm_change_places_like_its_weights_but_gain_no_forget_bias(make):
    kernel, bias = np.arange(40, dtype="f4").reshape(5, 8), np.arange(8, dtype="f4")
    name = "rnn/lstm_cell"
    values = {f"{name}/kernel": kernel, f"{name}/bias": bias}
    values.update({key + slot: value for key, value in dict(values).items() for slot in ("/Adam", "/Adam_1")})
    variables = {
        "x/kernel": Variable((3, 8)),
        "x/recurrent_kernel": Variable((2, 8)),
        "x/bias": Variable((8,)),
    }
    with make(values) as checkpoint:
        plan = make_plan(checkpoint, variables, [Layer(name, "x")])
        optimizer = Adam()
        load_optimizer(plan, checkpoint, optimizer, variables, steps=3)
    assert optimizer._momentums[2].numpy().tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    assert np.array_equal(optimizer._velocities[1].numpy()[:, 2:4], kernel[3:, 4:6])


def test_momentum_becomes_velocity(make):
    values = {"w": np.ones(2, "f4"), "w/Momentum": np.array([1, -2], "f4"), "global_step": np.int64(9)}
    variables = {"w": Variable((2,))}
    with make(values) as checkpoint:
        optimizer = SGD()
        carried = load_optimizer(make_plan(checkpoint, variables), checkpoint, optimizer, variables)
    assert optimizer.momentums[0].numpy().tolist() == [-0.5, 1]
    assert carried.steps == 9


class PlainSGD(SGD):
    momentum = 0
    lists = ()


class RMSprop(Optimizer):
    epsilon = 1e-10
    lists = ("_velocities",)


@pytest.mark.parametrize(
    "slots, optimizer, told",
    [
        ({"Momentum": 1}, PlainSGD, "not zero: slot accumulator (Momentum), 1 times (w/Momentum)"),
        ({"RMSProp": 1, "RMSProp_1": 2}, RMSprop, "not zero: slot momentum (RMSProp), 1 times (w/RMSProp_1); TF 1's"),
        ({"RMSProp": 1, "RMSProp_1": 0}, RMSprop, ""),
        ({"RMSProp": 1, "RMSProp_1": 0, "Ftrl": 3}, RMSprop, "not zero: slot accumulator (Ftrl), 1 times (w/Ftrl)"),
    ],
)
def test_slots_that_are_left_behind_are_mentioned_if_they_hold_something(slots, optimizer, told, make):
    values = {"w/" + slot: np.full(2, value, "f4") for slot, value in slots.items()}
    # The slots of what is not trained here are no loss.
    values.update({"w": np.ones(2, "f4"), "other": np.ones(2, "f4"), "other/Adam": np.ones(2, "f4")})
    variables = {"w": Variable((2,))}
    with make(dict(values, global_step=np.int64(9))) as checkpoint:
        plan = make_plan(checkpoint, variables, [Ignore("other", "not needed")])
        notes = load_optimizer(plan, checkpoint, optimizer(), variables).notes
    *notes, counted = notes
    assert len(notes) == bool(told) and told in "".join(notes)
    assert "9, is that of global_step" in counted


class LearningRateSchedule:
    def __call__(self, step):
        return 0.5 ** int(step.numpy())


def test_velocity_has_the_learning_rate_that_a_schedule_gives_at_that_step(make):
    values = {"w": np.ones(2, "f4"), "w/Momentum": np.array([1, -2], "f4"), "global_step": np.int64(3)}
    variables = {"w": Variable((2,))}
    with make(values) as checkpoint:
        optimizer = SGD()
        optimizer._learning_rate = LearningRateSchedule()
        optimizer.learning_rate = 1.0  # what Keras 2 says before the first step
        carried = load_optimizer(make_plan(checkpoint, variables), checkpoint, optimizer, variables)
    assert optimizer.momentums[0].numpy().tolist() == [-0.125, 0.25]
    assert any("converted with 0.125" in note for note in carried.notes)


def test_a_global_step_that_two_optimizers_shared_does_not_count_adams_steps(make):
    power = np.float32(0.999)
    for _ in range(10):
        power = np.float32(power * np.float32(0.999))
    values = {"w": np.ones(2, "f4"), "w/Adam": np.ones(2, "f4"), "w/Adam_1": np.ones(2, "f4")}
    values.update({"beta2_power": power, "global_step": np.int64(20)})
    variables = {"w": Variable((2,))}
    with make(values) as checkpoint:
        carried = load_optimizer(make_plan(checkpoint, variables), checkpoint, Adam(), variables)
    assert carried.steps == 10
    assert any("global_step says 20" in note for note in carried.notes)


def power(beta, steps):
    """What TF 1's Adam holds after so many steps."""
    product = np.float32(beta)
    for _ in range(steps):
        product = np.float32(product * np.float32(beta))
    return product


@pytest.mark.parametrize(
    "betas, steps, counters, told",
    [
        ((0.9, 0.99), 20, {}, "beta_2 is 0.999 here, and 0.99 by beta2_power of the file"),
        ((0.5, 0.999), 20, {}, "beta_1 is 0.9 here, and 0.5 by beta1_power of the file"),
        ((0.5, 0.99), 20, {"global_step": np.int64(137)}, "beta_1 is 0.9 here, and 0.5 by"),
        ((0.37, 0.999), 20, {}, "beta1_power .* is no power of 0.9 and beta2_power .* counts 20 steps: .*; 20 taken"),
        ((0.9, 0.999), 5000, {}, ""),
        ((0.9, 0.999), 20, {"global_step": np.int64(20)}, ""),
        ((0.9, 0.999), 20, {"global_step": np.int64(30)}, "own powers count 20 steps, global_step says 30: 20 taken"),
    ],
)
def test_steps_of_other_betas(betas, steps, counters, told, make):
    values = {name: np.ones(2, "f4") for name in ("w", "w/Adam", "w/Adam_1")}
    values.update(counters, beta1_power=power(betas[0], steps), beta2_power=power(betas[1], steps))
    variables = {"w": Variable((2,))}
    with make(values) as checkpoint:
        carried = load_optimizer(make_plan(checkpoint, variables), checkpoint, Adam(), variables)
    notes = [note for note in carried.notes if "epsilon" not in note]
    assert carried.steps == steps
    assert re.search(told, notes[0]) if told else not notes


def test_missing_slots_are_all_named(make):
    variables = {"a": Variable((2,)), "b": Variable((2,))}
    with make({"a": np.ones(2, "f4"), "b": np.ones(2, "f4"), "a/Adam": np.ones(2, "f4")}) as checkpoint:
        plan = make_plan(checkpoint, variables)
        with pytest.raises(MappingError) as raised:
            load_optimizer(plan, checkpoint, Adam(), variables)
    assert len(raised.value.problems) == 3


@pytest.mark.parametrize(
    "names, slot",
    [
        (["Adam/m/fc/kernel"], ("w", "m", "Adam")),
        (["m/fc/kernel", "v/fc/kernel"], ("w", "m", "Adam")),
        (["adam/fc_kernel_velocity"], ("w", "v", "adam")),
        (["rm_sprop/fc_kernel_velocity"], ("w", "rms", "rmsprop")),
        (["rm_sprop/fc_kernel_average_gradient"], ("w", "mg", "rmsprop")),
        (["Ftrl/linear/fc/kernel"], ("w", "linear", "Ftrl")),
        (["adagrad/fc_kernel_accumulator"], ("w", "accumulator", "adagrad")),
    ],
)
def test_slots_are_found_by_the_names_that_each_keras_gives_them(names, slot):
    keys = {f"optimizer/_variables/{number}/x": name for number, name in enumerate(names)}
    assert find_slots(dict(keys, w="fc/kernel"))["optimizer/_variables/0/x"] == slot


def test_a_slot_that_could_be_of_two_variables_is_of_neither():
    names = {"a": "x_y/kernel", "b": "x/y_kernel", "optimizer/_variables/0/x": "adam/x_y_kernel_momentum"}
    assert find_slots(names) == {}


@pytest.mark.parametrize(
    "case, slot, optimizer", [("adam", "m", "Adam"), ("sgd", "velocity", "SGD"), ("new", "m", "Adam")]
)
def test_keras_optimizers_in_a_graph_are_known_by_what_stands_beside_them(case, slot, optimizer):
    with open_checkpoint(data("slots_keras_" + case)) as checkpoint:
        roles = checkpoint.roles()
        kinds = {name: role.kind for name, role in roles.items()}
        assert [name for name, kind in kinds.items() if kind == "variable"] == ["fc/bias", "fc/kernel"]
        assert (slot, "fc/kernel", optimizer) in [(r.slot, r.of, r.optimizer) for r in roles.values()]
        assert sorted(kinds.values()).count("counter") == 1
        variables = {"fc/kernel": Variable((4, 3)), "fc/bias": Variable((3,))}
        assert len(make_plan(checkpoint, variables).loads()) == 2


def test_a_variable_is_no_slot_because_of_its_name_alone(tmp_path):
    write_saver(tmp_path / "m", {"m/fc/kernel": np.zeros((2, 2), "f4"), "fc/kernel": np.zeros((2, 2), "f4")})
    with open_checkpoint(tmp_path / "m") as checkpoint:
        assert {role.kind for role in checkpoint.roles().values()} == {"variable"}


def test_slots_whose_name_says_nothing_are_taken_by_the_name_that_is_given():
    variables = {"fc/kernel": Variable((4, 3)), "fc/bias": Variable((3,))}
    with open_checkpoint(data("slots_named_adam")) as checkpoint:
        plan = make_plan(checkpoint, variables)
        with pytest.raises(MappingError, match=r'it has .*\(dis_opt\); if that was of this kind, give name="dis_opt"'):
            load_optimizer(plan, checkpoint, Adam(), variables)
        optimizer = Adam()
        load_optimizer(plan, checkpoint, optimizer, variables, name="dis_opt")
        assert np.array_equal(optimizer._velocities[0].numpy(), checkpoint.read("fc/kernel/dis_opt_1"))


def test_an_adam_without_bias_correction_is_mentioned(tmp_path):
    """The names that BERT's own optimizer gives."""
    tensors = {"fc/kernel" + slot: np.full((2, 2), 1, "f4") for slot in ("", "/adam_m", "/adam_v")}
    write_saver(tmp_path / "bert", dict(tensors, global_step=np.int64(20)))
    variables = {"fc/kernel": Variable((2, 2))}
    with open_checkpoint(tmp_path / "bert") as checkpoint:
        carried = load_optimizer(make_plan(checkpoint, variables), checkpoint, Adam(), variables)
    assert (carried.slots, carried.steps) == (2, 20)
    assert any("without bias correction" in note for note in carried.notes)
    with open_checkpoint(data("adam")) as checkpoint:
        plan = make_plan(checkpoint, model(), RULES)
        notes = load_optimizer(plan, checkpoint, Adam(), model()).notes
    assert not any("bias correction" in note for note in notes)


class Adagrad(Optimizer):
    lists = ("_accumulators",)


@pytest.mark.parametrize(
    "named, optimizer",
    [
        ("AdaMax", Adam),  # its second slot is a maximum
        ("Nadam", Adam),
        ("AdagradDA", Adagrad),  # a sum of gradients, not of their squares
        ("AdamantGuess", Adam),
    ],
)
def test_an_optimizer_whose_name_only_contains_anothers_is_not_that_one(make, named, optimizer):
    values = {name: np.ones(2, "f4") for name in ("w", "w/" + named, f"w/{named}_1")}
    variables = {"w": Variable((2,))}
    with make(dict(values, global_step=np.int64(9))) as checkpoint:
        with pytest.raises(MappingError, match=rf"the file has no slot .* of w; it has .*\({named}\)") as raised:
            load_optimizer(make_plan(checkpoint, variables), checkpoint, optimizer(), variables)
        assert ("give name=" in str(raised.value)) == (named == "AdamantGuess")


@pytest.mark.parametrize(
    "name, kind",
    [
        ("Adam", "adam"),
        ("training/Adam_12", "adam"),
        ("adamw", "adam"),
        ("rm_sprop_3", "rmsprop"),
        ("FtrlOptimizer", "ftrl"),
        ("adamax_1", "adamax"),
        ("dis_opt", ""),
        ("gen_adam", ""),
    ],
)
def test_the_kind_of_an_optimizer_goes_by_its_whole_name(name, kind):
    assert kind_of_name(name) == kind


def test_a_subclass_keeps_the_slots_of_its_nearest_known_parent():
    class Own(Adam):
        pass

    class Adamax(Adam):
        pass

    assert kind_of(Own()) == "adam"
    with pytest.raises(CheckpointError, match="optimizer Adamax: no conversion"):
        kind_of(Adamax())


VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.mark.parametrize(
    "slot, count, settings",
    [
        # At the root, and further inside, where slashes are escaped.
        ("{0}/w/.OPTIMIZER_SLOT/{0}_optimizer/{1}", "{}_optimizer/iter", ["beta_1", "decay", "learning_rate"]),
        ("{0}/w/.OPTIMIZER_SLOT/gan.S{0}_opt/{1}", "gan/{}_opt/iter", ["beta_1", "decay"]),
    ],
)
def test_of_two_optimizers_under_attributes_of_their_own_each_counts_for_itself(slot, count, settings, make):
    """As TensorFlow's own tutorial saves a GAN: generator_optimizer=..., discriminator_optimizer=..."""
    values = {"save_counter" + VALUE: np.int64(1)}
    for key, steps in (("generator", 3), ("discriminator", 5)):
        values[f"{key}/w{VALUE}"] = np.ones(2, "f4")
        values.update({slot.format(key, name) + VALUE: np.full(2, steps, "f4") for name in ("m", "v")})
        path = count.format(key)
        values[path + VALUE] = np.int64(steps)
        values.update({path.rpartition("/")[0] + f"/{name}{VALUE}": np.float32(0.5) for name in settings})
    variables = {"generator/w": Variable((2,)), "discriminator/w": Variable((2,))}
    with make(values) as checkpoint:
        plan = make_plan(checkpoint, variables, infer=True)  # the settings need no rule
        for key, steps in (("generator", 3), ("discriminator", 5)):
            optimizer = Adam()
            own = {name: variable for name, variable in variables.items() if name.startswith(key)}
            called = count.format(key).split("/")[-2]
            carried = load_optimizer(plan, checkpoint, optimizer, own, name=called)
            assert carried.steps == optimizer.iterations.numpy() == steps
            assert optimizer._velocities[0].numpy().tolist() == [steps] * 2


@pytest.mark.parametrize(
    "slot, named, others, velocity",
    [
        ("w/.OPTIMIZER_SLOT/optimizer/momentum", "optimizer", {"optimizer/iter": 3, "optimizer/decay": 0}, [1, -2]),
        ("w/.OPTIMIZER_SLOT/optimizer/momentum", "optimizer", {}, [-0.5, 1]),  # TF 1's own keep no count
    ],
)
def test_momentum_of_keras_under_a_name_of_its_own_is_a_velocity_already(slot, named, others, velocity, make):
    values = {"w" + VALUE: np.ones(2, "f4"), slot + VALUE: np.array([1, -2], "f4")}
    for name, value in others.items():
        values[name + VALUE] = np.array(value, "i8" if name.endswith("iter") else "f4")
    variables = {"w": Variable((2,))}
    with make(values) as checkpoint:
        plan = make_plan(checkpoint, variables, infer=True)
        optimizer = SGD()
        load_optimizer(plan, checkpoint, optimizer, variables, steps=3, name=named)
    assert optimizer.momentums[0].numpy().tolist() == velocity


def test_sums_of_biases_have_no_slots(tmp_path):
    """The two biases of a CuDNNLSTM become one, which has no state that would go on as theirs."""
    shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (32,)}
    values = {f"rnn/{leaf}{slot}": np.ones(s, "f4") for leaf, s in shapes.items() for slot in ("", "/Adam", "/Adam_1")}
    write_saver(tmp_path / "m", values)
    variables = {f"rnn/{leaf}": Variable(shape if leaf != "bias" else (16,)) for leaf, shape in shapes.items()}
    with open_checkpoint(tmp_path / "m") as checkpoint:
        plan = make_plan(checkpoint, variables, [Ignore(".*/Adam.*", "state")], infer=True)
        with pytest.raises(MappingError, match=r"rnn/bias: is the sum of the two biases in rnn/bias \(CuDNNLSTM\)"):
            load_optimizer(plan, checkpoint, Adam(), variables, steps=3)
