"""The way back of optimizers: slots, powers and counters onto the checkpoint that a model came from."""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import (
    CheckpointError,
    Layer,
    export,
    export_optimizer,
    load,
    load_optimizer,
    make_plan,
    open_checkpoint,
    write_saver,
)
from checkpoints.commands.diff import compare

from .support import Variable, data
from .test_optimizers import SGD, Adam, PlainSGD
from .tf1_training import SHAPES, Trained, power, write_training


def restored(path, made, rules=()):
    """(checkpoint, plan, variables, optimizers), loaded, with one optimizer for each that was trained."""
    checkpoint = open_checkpoint(path)
    variables = {f"{one.net}/{leaf}": Variable(shape) for one in made for leaf, shape in SHAPES.items()}
    plan = make_plan(checkpoint, variables, rules)
    load(plan, checkpoint, variables)
    optimizers = []
    for one in made:
        optimizers.append({"adam": Adam, "momentum": SGD, "sgd": PlainSGD}[one.kind]())
        own = {name: variable for name, variable in variables.items() if name.startswith(one.net + "/")}
        load_optimizer(plan, checkpoint, optimizers[-1], own)
    return checkpoint, plan, variables, optimizers


def differing(first, second):
    """The names of the tensors that are not the same in two checkpoints."""
    with open_checkpoint(first) as a, open_checkpoint(second) as b:
        found = [compare(name, a, b) for name in {**a.tensors, **b.tensors}]
        return sorted(entry["name"] for entry in found if entry["verdict"] != "equal")


@pytest.mark.parametrize("graph", [True, False])
def test_nothing_trained(graph, tmp_path):
    made = [Trained("a", "adam", 20, counter="global_step")]
    write_training(tmp_path / "m", made, graph)
    base, plan, variables, (optimizer,) = restored(tmp_path / "m", made)
    with base:
        state = export_optimizer(plan, base, optimizer, variables)
        assert write_saver(tmp_path / "back", {**export(plan, variables), **state.tensors}, base=base) == ()
    assert differing(tmp_path / "m", tmp_path / "back") == []


def test_two_adams_go_back(tmp_path):
    made = [Trained("a", "adam", 20, counter="global_step"), Trained("b", "adam", 7, counter="global_step")]
    write_training(tmp_path / "m", made)
    base, plan, variables, optimizers = restored(tmp_path / "m", made)
    for optimizer, further in zip(optimizers, (5, 2)):
        optimizer.iterations.assign(int(optimizer.iterations.numpy()) + further)
        optimizer._momentums[1].assign(np.full((2,), further, "f4"))
    with base:
        state = export_optimizer(plan, base, optimizers, variables)
    assert state.tensors["global_step"] == 34 and state.tensors["global_step"].dtype == np.int64
    assert state.tensors["beta1_power"] == power(0.9, 25) and state.tensors["beta2_power_1"] == power(0.999, 9)
    assert state.tensors["a/bias/Adam"].tolist() == [5, 5] and state.tensors["b/bias/Adam"].tolist() == [2, 2]


def test_one_of_two_goes_back(tmp_path):
    """What the other optimizer did since is not known: its state stays, and the shared counter is said to be short."""
    made = [Trained("a", "adam", 20, counter="global_step"), Trained("b", "adam", 7, counter="global_step")]
    write_training(tmp_path / "m", made)
    base, plan, variables, optimizers = restored(tmp_path / "m", made)
    optimizers[0].iterations.assign(30)
    with base:
        state = export_optimizer(plan, base, optimizers[0], variables)
        kept = write_saver(tmp_path / "back", {**export(plan, variables), **state.tensors}, base=base)
    assert any("those of Adam_1, which counts there too, are not known" in note for note in state.notes)
    assert [note for note in kept if note.startswith("4 slots are those of") and "(b/bias/Adam, " in note]
    assert differing(tmp_path / "m", tmp_path / "back") == ["beta1_power", "beta2_power", "global_step"]


def test_momentum_goes_back(tmp_path):
    made = [Trained("a", "momentum", 20, counter="global_step")]
    tensors = write_training(tmp_path / "m", made)
    base, plan, variables, (optimizer,) = restored(tmp_path / "m", made)
    with base:
        state = export_optimizer(plan, base, optimizer, variables)
    # By a learning rate of 0.5, there and back.
    assert np.array_equal(state.tensors["a/bias/Momentum"], tensors["a/bias/Momentum"])


def test_lstm_goes_back(tmp_path):
    """The slots take the way back of their variables, without the forget bias."""
    dice = np.random.RandomState(0)
    values = {"rnn/lstm_cell/kernel": dice.normal(size=(5, 8)), "rnn/lstm_cell/bias": dice.normal(size=8)}
    values.update(
        {name + slot: dice.normal(size=v.shape) for name, v in list(values.items()) for slot in ("/Adam", "/Adam_1")}
    )
    values = {name: value.astype("f4") for name, value in values.items()}
    write_saver(tmp_path / "m", values)
    shapes = {"x/kernel": (3, 8), "x/recurrent_kernel": (2, 8), "x/bias": (8,)}
    variables = {name: Variable(shape) for name, shape in shapes.items()}
    with open_checkpoint(tmp_path / "m") as base:
        plan = make_plan(base, variables, [Layer("rnn/lstm_cell", "x")])
        optimizer = Adam()
        load_optimizer(plan, base, optimizer, variables, steps=3)
        state = export_optimizer(plan, base, optimizer, variables)
    for name in state.tensors:
        assert np.array_equal(state.tensors[name], values[name]), name
    assert len(state.tensors) == 4


def test_partitioned_goes_back(tmp_path):
    """Each part of a slot is written under its own name, and what TF 1 restores is the same."""
    with open_checkpoint(data("partitioned")) as base:
        variables = {"fc/kernel": Variable((5, 3)), "fc/bias": Variable((3,))}
        plan = make_plan(base, variables, infer=True)
        load(plan, base, variables)
        optimizer = Adam()
        load_optimizer(plan, base, optimizer, variables)
        optimizer._momentums[0].assign(np.arange(15, dtype="f4").reshape(5, 3))
        state = export_optimizer(plan, base, optimizer, variables)
        write_saver(tmp_path / "back", {**export(plan, variables), **state.tensors}, base=base)
    names = ["dnn/fc/kernel/t_0/Adam", "dnn/fc/kernel/t_1/Adam"]
    assert differing(data("partitioned"), tmp_path / "back") == names
    with open_checkpoint(tmp_path / "back") as back:
        parts = [back.pieces(name) for name in names]
    assert [piece.value.tolist() for (piece,) in parts] == [
        [[0, 1, 2], [3, 4, 5], [6, 7, 8]],
        [[9, 10, 11], [12, 13, 14]],
    ]


def test_what_stays_of_the_base(tmp_path):
    made = [Trained("a", "adam", 20, counter="global_step"), Trained("b", "adam", 7)]
    tensors = write_training(tmp_path / "m", made)
    averages = {"a/bias/ExponentialMovingAverage": tensors["a/bias"]}
    write_saver(tmp_path / "m", {**tensors, **averages}, overwrite=True)
    written = {"a/kernel": np.ones((3, 2), "f4"), "a/bias": np.ones(2, "f4")}
    notes = write_saver(tmp_path / "back", written, base=str(tmp_path / "m"))
    told = ["2 variables are those of", "1 moving averages are", "4 slots are those of", "5 counters are those of"]
    assert [any(note.startswith(each) for note in notes) for each in told] == [True] * 4 and len(notes) == 4
    assert differing(tmp_path / "m", tmp_path / "back") == sorted(written)


@pytest.mark.parametrize(
    "written, told",
    [
        ({"a/kernal": np.ones((3, 2), "f4")}, "has no tensor a/kernal, .*; nearest: a/kernel"),
        ({"a/kernel": np.ones((2, 3), "f4")}, r"a/kernel is float32 \[2, 3\], and was to be float32 \[3, 2\]"),
        ({"a/kernel": np.ones((3, 2), "f8")}, "a/kernel is float64"),
    ],
)
def test_what_does_not_fit_the_base(written, told, tmp_path):
    write_training(tmp_path / "m", [Trained("a", "adam", 20)])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match=told):
        write_saver(tmp_path / "back", written, base=tmp_path / "m")
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_to_export(tmp_path):
    made = [Trained("a", "adam", 20)]
    write_training(tmp_path / "m", made)
    base, plan, variables, _ = restored(tmp_path / "m", made)
    with base, pytest.raises(CheckpointError, match="optimizer Adam: holds no state yet"):
        export_optimizer(plan, base, Adam(), variables)
