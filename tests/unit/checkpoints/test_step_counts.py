"""How many steps each of several optimizers has made: by its own powers and counters, or else said not to be known."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from checkpoints import Ignore, MappingError, dtypes, load_optimizer, make_plan, open_checkpoint, write_saver
from checkpoints.optimizers.adam_steps import choose_steps, exact_steps, power_after, steps_to_zero

from .support import Variable
from .test_optimizers import SGD, Adagrad, Adam, LearningRateSchedule, Optimizer, PlainSGD
from .tf1_training import SHAPES, Trained, power, write_training


class RMSprop(Optimizer):
    lists = ("_velocities", "_momentums")


class CenteredRMSprop(RMSprop):
    centered = True
    lists = ("_velocities", "_average_gradients", "_momentums")


class Ftrl(Optimizer):
    lists = ("_accumulators", "_linears")


MAKERS = {
    "adam": Adam,
    "momentum": SGD,
    "rmsprop": RMSprop,
    "centered": CenteredRMSprop,
    "adagrad": Adagrad,
    "ftrl": Ftrl,
    "sgd": PlainSGD,
}
STEPS = (0, 1, 10, 900, 5000, 100_000)
# From here on the powers of 0.9 and 0.999 have vanished, and any number is right with which they are not corrected.
VANISHED = steps_to_zero(0.999)
UNCORRECTED = steps_to_zero(0.999, 2.0**-25)


def carry(path, trained, name=None, steps=None, optimizer=None):
    """The optimizer and what `load_optimizer` says, for one of the optimizers in the file."""
    optimizer = optimizer or MAKERS[trained.kind]()
    net = trained.over or trained.net
    variables = {f"{net}/{leaf}": Variable(shape) for leaf, shape in SHAPES.items()}
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(checkpoint, variables, [Ignore(f"(?!.*{net}/).*", "another model's")])
        return optimizer, load_optimizer(plan, checkpoint, optimizer, variables, steps, name)


def doubts(carried):
    """What is said that may concern the steps."""
    told = ("left in the file", "epsilon is", "learning_rate is", "momentum is", "rho is", "centered is", "nesterov is")
    return [note for note in carried.notes if not note.startswith(told)]


def is_right(steps, trained):
    vanished = trained.kind == "adam" and trained.steps >= VANISHED and steps >= UNCORRECTED
    return steps == trained.steps or vanished


def cases(kind, count):
    """Some of all that can be asked of `count` optimizers, the first of this kind."""
    dice = random.Random(f"{kind} {count}")
    namings = ("default", "names", "name_scope", "variable_scope", "one_scope")
    counters = ("none", "shared", "first", "own")
    every = list(itertools.product(namings, counters, (False, True)))
    for naming, counter, graph in dice.sample(every, 10):
        kinds = [kind] + [dice.choice(["adam", kind, *MAKERS]) for _ in range(count - 1)]
        made = []
        for number, each in enumerate(kinds):
            net = "abc"[number]
            made.append(
                Trained(
                    net,
                    each,
                    dice.choice(STEPS),
                    name=f"{net}_opt" if naming == "names" else "",
                    name_scope=f"train_{net}" if naming == "name_scope" else "",
                    variable_scope={"variable_scope": f"train_{net}", "one_scope": "train"}.get(naming, ""),
                    counter={"shared": "global_step", "own": f"count_{net}/global_step"}.get(counter, "")
                    or ("global_step" if counter == "first" and not number else ""),
                )
            )
        yield made, graph


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_generated_optimizers(kind, count, tmp_path):
    for made, graph in cases(kind, count):
        prefix = tmp_path / "m"
        for old in tmp_path.iterdir():
            old.unlink()
        write_training(prefix, made, graph)
        for trained in made:
            try:
                optimizer, carried = carry(prefix, trained, None if graph else trained.name or None)
            except MappingError as error:
                assert not graph and count > 1 and "powers" in str(error), (trained, error)
                continue
            assert int(optimizer.iterations.numpy()) == (carried.steps or 0)
            right = carried.steps is not None and is_right(carried.steps, trained)
            assert right or doubts(carried), (trained, carried)
            if trained.kind == "adam" and (graph or count == 1):
                assert right, (trained, carried)
                assert trained.steps >= VANISHED or not doubts(carried), (trained, carried)


def two(first, second, **more):
    return [Trained("a", "adam", first, counter="global_step", **more), Trained("b", "adam", second, **more)]


@pytest.mark.parametrize("first, second", [(0, 15_697), (15_697, 0), (900, 5000), (100_000, 10)])
def test_two_adams_by_graph(first, second, tmp_path):
    made = two(first, second)
    write_training(tmp_path / "m", made)
    for trained in made:
        _, carried = carry(tmp_path / "m", trained)
        assert is_right(carried.steps, trained) and (trained.steps > VANISHED or not doubts(carried))


def test_two_adams_without_graph(tmp_path):
    made = two(20, 30)
    write_training(tmp_path / "m", made, graph=False)
    told = (
        r"several Adams \(beta1_power and beta2_power: 20 steps; beta1_power_1 and beta2_power_1: 30 steps\), and only"
    )
    with pytest.raises(MappingError, match=told):
        carry(tmp_path / "m", made[0])
    assert carry(tmp_path / "m", made[0], steps=20)[1].steps == 20


def test_two_adams_zero_slots(tmp_path):
    """Slots that are zero are those of the Adam that made no step."""
    made = two(0, 15_697)
    write_training(tmp_path / "m", made, graph=False)
    for trained in made:
        _, carried = carry(tmp_path / "m", trained)
        assert carried.steps == trained.steps
        assert any(f"zero, {'so that' if trained.steps else 'as before'}" in note for note in carried.notes)


def test_two_adams_in_scopes(tmp_path):
    made = [trained._replace(variable_scope="train_" + trained.net) for trained in two(20, 30)]
    write_training(tmp_path / "m", made, graph=False)
    for trained in made:
        _, carried = carry(tmp_path / "m", trained)
        assert carried.steps == trained.steps
        assert any("in the scope of these slots" in note for note in carried.notes)


def test_one_scope_twice(tmp_path):
    """The slots of both are in one scope, the powers of the second in another, whose name says nothing."""
    made = [trained._replace(variable_scope="train") for trained in two(20, 30)]
    write_training(tmp_path / "m", made, graph=False)
    for trained in made:
        with pytest.raises(MappingError, match="several Adams"):
            carry(tmp_path / "m", trained)


def test_two_adams_of_one_variable(tmp_path):
    """`w/Adam` and `w/Adam_1` are of the first, `w/Adam_2` and `w/Adam_3` of the second."""
    made = [Trained("a", "adam", 20), Trained("b", "adam", 30, over="a")]
    written = write_training(tmp_path / "m", made)
    with pytest.raises(
        MappingError, match=r"several optimizers of this kind update it; say which with name=...: Adam, "
    ):
        carry(tmp_path / "m", made[1])
    (tmp_path / "m.meta").unlink()
    with pytest.raises(MappingError, match=r"several slots m: .*name=...: Adam, Adam_2"):
        carry(tmp_path / "m", made[1])
    optimizer, _ = carry(tmp_path / "m", made[1], name="Adam_2", steps=30)
    assert np.array_equal(optimizer._velocities[0].numpy(), written["a/kernel/Adam_3"])


def test_one_optimizer_for_two_adams(tmp_path):
    """Variables that two Adams trained have two counts, and one optimizer has one."""
    made = two(20, 30)
    write_training(tmp_path / "m", made)
    variables = {f"{net}/{leaf}": Variable(shape) for net in "ab" for leaf, shape in SHAPES.items()}
    with open_checkpoint(tmp_path / "m") as checkpoint:
        plan = make_plan(checkpoint, variables)
        with pytest.raises(MappingError, match="were trained by several Adams, whose powers count differently"):
            load_optimizer(plan, checkpoint, Adam(), variables)


def test_graph_settings(tmp_path):
    """The graph says what no file stores: betas, and an epsilon that is not the default."""
    write_training(tmp_path / "m", [Trained("a", "adam", 20, betas=(0.37, 0.9123))])
    _, carried = carry(tmp_path / "m", Trained("a", "adam", 20))
    assert carried.steps == 20
    for told in ("beta_2 is 0.999 here, 0.9123 in the graph", "epsilon is 1e-07 here, 1e-08 in the graph"):
        assert told in carried.notes


def test_names_from_the_graph(tmp_path):
    """An optimizer with a name of its own needs none to be given where the graph is there."""
    made = [Trained("a", "adam", 20, name="gen_opt"), Trained("b", "adam", 30, name="dis_opt")]
    written = write_training(tmp_path / "m", made)
    optimizer, carried = carry(tmp_path / "m", made[1])
    assert carried.steps == 30
    assert np.array_equal(optimizer._momentums[1].numpy(), written["b/bias/dis_opt"])


def test_damaged_graph(tmp_path):
    write_training(tmp_path / "m", [Trained("a", "adam", 20)])
    (tmp_path / "m.meta").write_bytes(b"\x0a\xff\xff\xff\xff\xff")
    _, carried = carry(tmp_path / "m", Trained("a", "adam", 20))
    assert carried.steps == 20
    assert any("the graph beside the file is not used" in note for note in carried.notes)


def test_powers_of_another_optimizer(tmp_path):
    """One pair of powers for the slots of two Adams: whose it is, is said not to be known."""
    tensors = write_training(tmp_path / "m", two(20, 20), graph=False)
    kept = {name: value for name, value in tensors.items() if not name.endswith("power_1")}
    renamed = {name.replace("/Adam", "/b_opt") if name.startswith("b/") else name: v for name, v in kept.items()}
    write_saver(tmp_path / "m", renamed, overwrite=True)
    _, carried = carry(tmp_path / "m", Trained("a", "adam", 20))
    assert any("are the only powers, and" in note for note in carried.notes)


@pytest.mark.parametrize(
    "schedule, told",
    [
        (None, "follows global_step in the graph, and does not change here"),
        (LearningRateSchedule(), "follows global_step in the graph, which is 50, and here the 20 steps"),
    ],
)
def test_rate_of_another_counter(schedule, told, tmp_path):
    """A learning rate that decays with the steps of two optimizers decays twice as fast as with those of one."""
    made = [Trained(net, "adam", steps, counter="global_step", decays=True) for net, steps in (("a", 20), ("b", 30))]
    write_training(tmp_path / "m", made)
    optimizer = Adam()
    if schedule is not None:
        optimizer._learning_rate = optimizer.learning_rate = schedule
    _, carried = carry(tmp_path / "m", made[0], optimizer=optimizer)
    assert carried.steps == 20
    assert any(told in note for note in carried.notes)


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.99, 0.999, 0.9999])
def test_powers_are_exact(beta):
    for steps in (0, 1, 20, 137):
        assert float(power_after(steps, beta)) == float(power(beta, steps))
        assert exact_steps(float(power(beta, steps)), beta) == (steps if power(beta, steps) else None)
    zero = steps_to_zero(beta)
    assert not power_after(zero, beta) and power_after(zero - 1, beta)
    # Measured in 1.15.
    assert beta != 0.9 or zero == 828


@pytest.mark.parametrize(
    "betas, steps, given, wanted, told",
    [
        ((0.9, 0.999), 100_000, None, VANISHED, f"vanished, which takes some {VANISHED} steps: {VANISHED} taken"),
        ((0.9, 0.999), 100_000, 100_000, 100_000, "number of steps is that of another counter, 100000"),
        ((0.9, 0.999), 100_000, 50, VANISHED, f"where another counter says 50: {VANISHED} taken"),
        ((0.0, 0.9), 20, None, 20, "beta_2 is 0.999 here, and 0.9 by beta2_power"),
        ((0.37, 0.9123), 20, None, None, "not the powers of the betas here, 0.9 and 0.999"),
        ((0.9, 0.999), 87_000, None, 87_000, ""),
    ],
)
def test_what_powers_tell(betas, steps, given, wanted, told):
    powers = {number: float(power(betas[number - 1], steps)) for number in (1, 2)}
    choice = choose_steps(powers, {1: 0.9, 2: 0.999}, {}, given)
    assert choice.steps == wanted
    assert told in " ".join(choice.notes) and bool(told) == bool(choice.notes)


@pytest.mark.parametrize("first", [-1.0, 2.0, np.inf, np.nan])
@pytest.mark.parametrize("second", [0.0, 0.998001])
def test_impossible_powers(first, second):
    """What no power can be tells no number of steps, and what the other says alone is not believed."""
    assert choose_steps({1: first, 2: second}, {1: 0.9, 2: 0.999}, {}).steps is None


def test_powers_of_another_type(tmp_path):
    """In half precision a power is not exact, and an integer is none."""
    tensors = write_training(tmp_path / "m", [Trained("a", "adam", 20, counter="global_step")], graph=False)
    for odd in (np.int32(3), np.bool_(True), np.complex64(0.9), dtypes.cast(np.array(0.9, "f4"), "bfloat16")):
        write_saver(tmp_path / "m", {**tensors, "beta1_power": odd}, overwrite=True)
        _, carried = carry(tmp_path / "m", Trained("a", "adam", 20))
        assert carried.steps == 20 and any(note.startswith("beta1_power ") for note in carried.notes)
