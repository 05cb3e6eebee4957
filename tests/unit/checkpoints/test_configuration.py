"""The configuration of layers against what files and graphs say of it, with a real Keras, where one is installed."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from checkpoints import MappingError, load, make_plan, model_variables, open_checkpoint
from checkpoints.configuration.settings import family_of

from .configured_layers import CASES
from .support import data
from .test_layouts import Part

backend = os.environ.get("KERAS_BACKEND", "tensorflow")
if backend == "tensorflow":
    tf = pytest.importorskip("tensorflow")
    if not tf.executing_eagerly():
        tf.compat.v1.enable_eager_execution()
    keras = tf.keras
else:
    keras = pytest.importorskip("keras")
CLOSE = {"rtol": 0, "atol": 3e-6}


@pytest.fixture(scope="module")
def golden():
    with np.load(data("configured.npz")) as stored:
        found = dict(stored)
    found["volume"] = found["image"][..., None]
    return found


@pytest.fixture(scope="module")
def checkpoint():
    with open_checkpoint(data("configured")) as opened:
        yield opened


def scope_of(checkpoint, case):
    part = Part(checkpoint, case)
    part.format = checkpoint.format
    return part


@pytest.mark.parametrize("name", sorted(CASES))
def test_graph_agrees(name, checkpoint, golden):
    case = CASES[name]
    x = golden[case.given]
    model = case.model(keras, x.shape[1:])
    variables = model_variables(model)
    part = scope_of(checkpoint, name)
    plan = make_plan(part, variables)
    assert not [note for note in plan.notes if "epsilon" in note or "activation" in note], plan.notes
    load(plan, part, variables)
    np.testing.assert_allclose(np.asarray(model.predict_on_batch(x)), golden[name], **CLOSE)


WRONG = [(name, argument) for name, case in sorted(CASES.items()) for argument in sorted(case.wrong)]


@pytest.mark.parametrize("name, argument", WRONG)
def test_graph_differs(name, argument, checkpoint, golden):
    case = CASES[name]
    model = case.model(keras, golden[case.given].shape[1:], **{argument: case.wrong[argument]})
    part = scope_of(checkpoint, name)
    with pytest.raises(MappingError) as raised:
        make_plan(part, model_variables(model))
    problems = [problem for problem in raised.value.problems if f": {argument} is " in problem]
    assert len(problems) == (2 if case.wraps else 1), raised.value
    assert f"{case.kind}({argument}=" in problems[0] and "in the graph configured.meta, but " in problems[0]
    plan = make_plan(part, model_variables(model), compare_config=False)
    assert any(f": {argument} is " in note for note in plan.notes)


def test_without_a_graph_it_is_noted(golden, tmp_path):
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(data("configured") + suffix, tmp_path / ("configured" + suffix))
    notes = {}
    with open_checkpoint(tmp_path / "configured") as checkpoint:
        for name, case in CASES.items():
            model = case.model(keras, golden[case.given].shape[1:])
            plan = make_plan(scope_of(checkpoint, name), model_variables(model))
            notes[name] = "\n".join(plan.notes)
    assert "activation elu" in notes["dense"]
    assert "epsilon 1e-12" in notes["layer"] and "0.001" not in notes["layer"]
    assert "momentum 0.95 (by default 0.999" not in notes["fused"]
    assert "1.0 is taken" in notes["basic"]
    assert "activation softsign (by default tanh in what wrote it)" in notes["basic"]
    assert notes["layer"].count("\n") == 0


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN"])
def test_cell_is_the_layer_of_a_step(layer):
    """SavedModels describe the cell where the model has the layer around it."""
    assert family_of(f"{layer}Cell") == family_of(layer) != ""


BY_NAME = [
    ("net/conv2d_transpose_1/kernel", (3, 3, 4, 4), "Conv2D", {"filters": 4, "kernel_size": 3}, "a Conv2DTranspose"),
    ("net/Conv2d_2/kernel", (3, 3, 4, 4), "Conv2DTranspose", {"filters": 4, "kernel_size": 3}, "a Conv2D"),
    ("net/conv/kernel", (3, 3, 4, 4), "Conv2DTranspose", {"filters": 4, "kernel_size": 3}, ""),
    ("net/conv2d/kernel", (3, 3, 4, 4), "Conv2D", {"filters": 4, "kernel_size": 3}, ""),
    ("net/batch_normalization/gamma", (4,), "LayerNormalization", {"center": False}, "a BatchNormalization"),
    ("net/LayerNorm_3/gamma", (4,), "LayerNormalization", {"center": False}, ""),
]


@pytest.mark.parametrize("name, shape, kind, arguments, said", BY_NAME, ids=[f"{row[0]}-{row[2]}" for row in BY_NAME])
def test_class_by_name(name, shape, kind, arguments, said, tmp_path):
    """Where neither a configuration nor a graph says of what class a layer is, its default name does."""
    path = str(tmp_path / "m.npz")
    np.savez(path, **{name: np.ones(shape, "f4")})
    if kind.startswith("Conv"):
        arguments = {**arguments, "use_bias": False}
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, getattr(keras.layers, kind)(name="tested", **arguments)(inputs))
    with open_checkpoint(path) as checkpoint:
        if said:
            told = f"tested: is {said} by its name, {name}, but a {kind} in the model; should .*--no-config-check"
            with pytest.raises(MappingError, match=told):
                make_plan(checkpoint, model_variables(model))
        plan = make_plan(checkpoint, model_variables(model), compare_config=False)
        assert len(plan.loads()) == 1 and any("by its name" in note for note in plan.notes) == bool(said)
