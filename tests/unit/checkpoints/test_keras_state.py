"""Optimizer state in Keras's own files, and names of frozen and exported functions, as real files have them."""

from __future__ import annotations

import pytest

from checkpoints.checkpoint import TensorInfo
from checkpoints.frozen import variable_name
from checkpoints.object_slots import listed_slots
from checkpoints.plan import Row
from checkpoints.roles import infer_roles
from checkpoints.weight_files import fitting


def tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, TensorInfo]:
    """Tensors by name; scalars are counts."""
    return {name: TensorInfo(name, "float32" if s else "int64", s, 4) for name, s in shapes.items()}


@pytest.mark.parametrize(
    "variable, slot",
    [
        ("fc1/kernel", "optimizer_weights/Adam/fc1/kernel/m"),  # legacy
        ("fc1/fc1_2/kernel", "optimizer_weights/training/Adam/fc1_2/kernel/m"),  # TensorFlow 1, in a graph
        ("fc1/kernel", "optimizer_weights/Adam/m/fc1/kernel"),  # Keras 2.11 to 2.15
        ("fc1/kernel", "optimizer_weights/adam_4/fc1_kernel_momentum"),  # Keras 3
    ],
)
def test_a_slot_in_hdf5_is_known_by_its_variable(variable: str, slot: str) -> None:
    there = tensors({variable: (3, 4), slot: (3, 4), "other/kernel": (3, 4), "optimizer_weights/Adam/iter": ()})
    roles = infer_roles(there)
    assert (roles[slot].kind, roles[slot].of, roles[slot].slot) == ("slot", variable, "m")
    assert "adam" in roles[slot].optimizer.lower()
    assert roles["optimizer_weights/Adam/iter"].kind == "counter"


def row(target: str, shape: tuple[int, ...]) -> Row:
    return Row("layers/x", target, "load", "identity", None, "", shape, "float32", shape, "float32")


def test_slots_of_an_archive_go_by_their_places() -> None:
    names = [f"optimizer/vars/{n}" for n in range(5)]
    there = tensors(dict(zip(names, [(), (2, 3), (2, 3), (3,), (3,)])))
    wanted = [("k", "m"), ("b", "m"), ("k", "v"), ("b", "v")]
    rows = {"k": [row("k", (2, 3))], "b": [row("b", (3,))]}
    found, problems = listed_slots(there, wanted, rows)
    assert not problems
    assert found == {("k", "m"): names[1], ("k", "v"): names[2], ("b", "m"): names[3], ("b", "v"): names[4]}
    # Another order of variables, and an optimizer with fewer slots, are seen.
    assert listed_slots(there, [("b", "m"), ("b", "v"), ("k", "m"), ("k", "v")], rows)[1]
    assert listed_slots(there, [("k", "m"), ("b", "m")], rows)[1]


def test_what_export_lists_twice_is_taken_once() -> None:
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    there = tensors({"_all_variables/0" + value: (3,), "variables/0" + value: (3,)})
    roles = infer_roles(there, {"variables/0" + value: "fc1/bias"})
    assert [roles[name].kind for name in there] == ["bookkeeping", "variable"]


@pytest.mark.parametrize("numbers", [("", "_2", "_4"), ("", "_1", "_2")])  # TF 2.12, and TF 2.13 and 2.14
def test_early_weight_files_are_mapped_by_the_order_of_their_numbers(numbers: tuple[str, ...]) -> None:
    early = [f"_layer_checkpoint_dependencies/dense{n}/vars/{i}" for n in numbers for i in (0, 1)]
    there = tensors({name: (3, 3) if name.endswith("0") else (3,) for name in early})
    names = [f"{layer}/{leaf}" for layer in ("fc1", "fc2", "G") for leaf in ("kernel", "bias")]
    places = {
        "layers/dense{}/vars/{}".format("_" + str(n) if n else "", i): names[2 * n + i]
        for n in range(3)
        for i in (0, 1)
    }
    targets = {name: there[source] for source, name in zip(early, names)}
    assert fitting((places,), there, targets) == dict(zip(early, names))


@pytest.mark.parametrize(
    "constant, variable",
    [
        ("generator/fc1/MatMul/ReadVariableOp/resource", "generator/fc1/kernel"),
        ("generator_1/G_1/Add/ReadVariableOp/resource", "generator_1/G_1/bias"),
        ("generator/fc1/kernel", "generator/fc1/kernel"),
        ("a/batchnorm/ReadVariableOp/resource", "a/batchnorm/ReadVariableOp/resource"),
    ],
)
def test_a_constant_of_a_frozen_function_goes_by_its_variable(constant: str, variable: str) -> None:
    assert variable_name(constant) == variable
