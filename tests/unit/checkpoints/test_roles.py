"""What each tensor is, by its name: slots and whose they are, counters, hyperparameters."""

from __future__ import annotations

import pytest

from checkpoints import infer_roles
from checkpoints.checkpoint import TensorInfo

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def tensors(*names, shape=(3, 2), **others):
    """Float tensors of one shape; `others` by their own, scalars as counts."""
    shapes = {**dict.fromkeys(names, shape), **others}
    return {name: TensorInfo(name, "float32" if s else "int64", s, 4) for name, s in shapes.items()}


def slots(there, names=None):
    return {name: role[1:] for name, role in infer_roles(there, names).items() if role.kind == "slot"}


@pytest.mark.parametrize(
    "slot",
    [
        "dnn/fc/weights/t_0/RMSProp",  # within the scope dnn
        "dnn/fc/weights/fc/weights/part_0/RMSProp",
        "dnn/fc/weights//fc/weights/part_12/RMSProp",
        "dnn/fc/weights/nn/dnn/fc/weights/part_0/RMSProp",
        "dnn/fc/weights/part_1/RMSProp",
        "dnn/fc/weights/0/RMSProp",
    ],
)
def test_partitioned_slot_names(slot):
    assert slots(tensors("dnn/fc/weights", slot)) == {slot: ("dnn/fc/weights", "rms", "RMSProp")}


@pytest.mark.parametrize("name", ["dnn/fc/weights/ab/part_0/RMSProp", "dnn/fc/weights/0/inner", "layer_0/kernel"])
def test_not_a_partitioned_slot(name):
    assert not slots(tensors("dnn/fc/weights", name))
    # Nor one of a variable of another shape.
    assert not slots({**tensors("dnn/fc/weights"), **tensors("dnn/fc/weights/t_0/RMSProp", shape=(4,))})


@pytest.mark.parametrize(
    "kind, count, wanted",
    [
        ("Adam", 2, ["m (Adam)", "v (Adam)"]),
        ("Adam", 4, ["m (Adam)", "v (Adam)", "m (Adam_2)", "v (Adam_2)"]),
        ("Momentum", 2, ["accumulator (Momentum)", "accumulator (Momentum_1)"]),
        ("RMSProp", 3, ["rms (RMSProp)", "mg (RMSProp)", "momentum (RMSProp)"]),
        ("RMSProp", 4, ["rms (RMSProp)", "momentum (RMSProp)", "rms (RMSProp_2)", "momentum (RMSProp_2)"]),
        ("Ftrl", 4, ["accumulator (Ftrl)", "linear (Ftrl)", "accumulator (Ftrl_2)", "linear (Ftrl_2)"]),
        ("opt_1", 2, ["0 (opt_1)", "1 (opt_1)"]),
    ],
)
def test_numbers_of_slots(kind, count, wanted):
    """Optimizers of one name on one variable go on with the numbers."""
    names = [f"w/{kind}" + (f"_{number}" if number else "") for number in range(count)]
    found = infer_roles(tensors("w", *names))
    assert [found[name].short() for name in names] == ["slot " + each for each in wanted]


@pytest.mark.parametrize("end, slot", [("\u00b2", "0"), ("1" * 5000, "m")])
def test_no_number_of_a_slot(end, slot):
    """Not all that looks like digits is a number that Python reads."""
    name = f"w/Adam_{end}"
    assert slots(tensors("w", "w/Adam", name))[name] == ("w", slot, f"Adam_{end}")


def test_names_in_eager_mode():
    """TF 1's own optimizers in an object-based checkpoint, whose slots bear the variable's name first."""
    keys = [f"net/w/.OPTIMIZER_SLOT/opt/{slot}{VALUE}" for slot in "mv"]
    names = {f"net/w{VALUE}": "sequential/dense/kernel"}
    for called in ("gen_opt", "Adam"):
        names.update({key: f"sequential/dense/kernel/{called}{end}" for key, end in zip(keys, ("", "_1"))})
        there = tensors(f"net/w{VALUE}", *keys, **{f"opt/beta1_power{VALUE}": ()})
        assert slots(there, names) == {key: (f"net/w{VALUE}", slot, called) for key, slot in zip(keys, "mv")}
        assert infer_roles(there, names)[f"opt/beta1_power{VALUE}"].kind == "counter"


def test_shared_names():
    """Two layers of one name have slots of one name; whose they are, the key says, and the optimizer the name."""
    there, names = [], {}
    for net in "ab":
        there += [f"{net}/w{VALUE}", f"{net}/w/.OPTIMIZER_SLOT/{net}_opt/m{VALUE}"]
        names.update(zip(there[-2:], ("dense/kernel", "Adam/dense/kernel/m")))
    assert slots(tensors(*there), names) == {
        f"{net}/w/.OPTIMIZER_SLOT/{net}_opt/m{VALUE}": (f"{net}/w{VALUE}", "m", "Adam") for net in "ab"
    }


@pytest.mark.parametrize(
    "slot, name, optimizer",
    [
        ("RMSprop/fc/kernel/rms", "rms", "RMSprop"),
        ("training/RMSprop/fc/kernel/mg", "mg", "RMSprop"),
        ("Adamax/u/fc/kernel", "u", "Adamax"),
        ("adadelta/fc_kernel_accumulated_delta_var", "accumulated_delta_var", "adadelta"),
    ],
)
def test_slots_in_hdf5(slot, name, optimizer):
    key = "optimizer_weights/" + slot
    assert slots(tensors("fc/kernel", key)) == {key: ("fc/kernel", name, optimizer)}


def test_counters_and_settings():
    there = tensors("w", **{"d_step": (), "gen/global_step": (), "steps_1": ()})
    there["dnn/learning_rate"] = TensorInfo("dnn/learning_rate", "float32", (), 4)
    found = {name: role.kind for name, role in infer_roles(there).items()}
    assert found == {
        "w": "variable",
        "d_step": "counter",
        "gen/global_step": "counter",
        "steps_1": "counter",
        "dnn/learning_rate": "hyperparameter",
    }
