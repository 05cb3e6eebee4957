"""Optimizer state in Keras's own files, and names of frozen and exported functions, as real files have them."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from checkpoints import MappingError, load_optimizer, make_plan, open_checkpoint
from checkpoints.checkpoint import TensorInfo
from checkpoints.frozen import variable_name
from checkpoints.optimizers.archived_slots import numbered_slots
from checkpoints.plan import Row
from checkpoints.roles import infer_roles
from checkpoints.weight_files import fitting

from .support import Variable
from .test_optimizers import SGD as SGDOfKeras
from .test_optimizers import Adam as AdamOfKeras
from .test_optimizers import Optimizer


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
    found, problems = numbered_slots(there, wanted, rows)
    assert not problems
    assert found == {("k", "m"): names[1], ("k", "v"): names[2], ("b", "m"): names[3], ("b", "v"): names[4]}
    # RMSprop's go slot by slot, and so does Adam's vhat.
    found, problems = numbered_slots(there, [("k", "rms"), ("k", "mg"), ("b", "rms"), ("b", "mg")], rows)
    assert len(problems) == 2 and list(found) == [("k", "rms"), ("b", "rms"), ("k", "mg"), ("b", "mg")]
    # Another order of variables, and an optimizer with fewer slots, are seen.
    assert numbered_slots(there, [("b", "m"), ("b", "v"), ("k", "m"), ("k", "v")], rows)[1]
    assert numbered_slots(there, [("k", "m"), ("b", "m")], rows)[1]


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


class RMSpropOfKeras(Optimizer):
    lists = ("_velocities", "_momentums")


RMSpropOfKeras.__name__ = "RMSprop"
CENTERED = {"class_name": "RMSprop", "config": {"centered": True}}


@pytest.fixture
def archive(tmp_path):
    """Writes a .keras file of a model with the one variable `w`, or its weights alone: its path."""
    h5py = pytest.importorskip("h5py")

    def write(slots, optimizer=None, named=None, whole=True):
        weights = io.BytesIO()
        with h5py.File(weights, "w") as file:
            file["layers/dense/vars/0"] = np.ones(2, "f4")
            for number, value in enumerate(
                [np.int64(7), np.float32(0.5), *[np.full(2, n, "f4") for n in range(slots)]]
            ):
                file[f"optimizer/vars/{number}"] = value
            if named:
                file["optimizer/vars"].attrs["name"] = named
        if not whole:
            (tmp_path / "m.weights.h5").write_bytes(weights.getvalue())
            return tmp_path / "m.weights.h5"
        with zipfile.ZipFile(str(tmp_path / "m.keras"), "w") as stream:
            stream.writestr("model.weights.h5", weights.getvalue())
            stream.writestr("config.json", json.dumps({"compile_config": {"optimizer": optimizer}}))
        return tmp_path / "m.keras"

    return write


def carry(path, optimizer, name=None):
    variables = {"dense/w": Variable((2,))}
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(checkpoint, variables, infer=True)
        return load_optimizer(plan, checkpoint, optimizer, variables, name=name)


@pytest.mark.parametrize(
    "written, slots, optimizer, told",
    [
        ({"class_name": "Adamax"}, 2, AdamOfKeras, "the state of Adamax, not of Adam$"),
        ({"class_name": "Adadelta"}, 2, AdamOfKeras, "the state of Adadelta, not of Adam$"),
        ("nadam", 2, AdamOfKeras, "the state of nadam, not of Adam$"),
        ({"class_name": "Lion"}, 1, SGDOfKeras, "the state of Lion, not of SGD$"),
        ({"class_name": "Own>Mine"}, 2, AdamOfKeras, 'the state of Mine, not of Adam; .* give name="Mine"'),
        (None, 2, AdamOfKeras, 'does not say which optimizer .* give name="Adam"'),
        (CENTERED, 2, RMSpropOfKeras, "centered is True in the file"),
    ],
)
def test_an_archives_state_of_another_optimizer_is_refused(written, slots, optimizer, told, archive):
    with pytest.raises(MappingError, match=told):
        carry(archive(slots, written), optimizer())


def test_an_archives_state_of_this_optimizer_is_taken_under_all_its_names(archive):
    for written, name in [("adam", None), ({"class_name": "AdamW"}, None), ("Mine", "Mine"), (None, "Adam")]:
        optimizer = AdamOfKeras()
        assert carry(archive(2, written), optimizer, name)[:2] == (2, 7)
        assert optimizer._velocities[0].numpy().tolist() == [1, 1]


def test_weights_alone_say_by_the_optimizers_name_whose_state_it_is(archive):
    assert carry(archive(2, named="adam_1", whole=False), AdamOfKeras()).steps == 7
    with pytest.raises(MappingError, match=r"the state of adamax_1, not of Adam$"):
        carry(archive(2, named="adamax_1", whole=False), AdamOfKeras())
    with pytest.raises(MappingError, match="does not say which optimizer"):
        carry(archive(2, whole=False), AdamOfKeras())
