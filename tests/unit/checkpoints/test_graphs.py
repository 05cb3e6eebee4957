"""`verify` against graphs that TensorFlow 1 leaves, in each of their forms: .meta, SavedModel, frozen."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from checkpoints.cli import main
from checkpoints.tf_graph import reason

tf = pytest.importorskip("tensorflow")
if not tf.executing_eagerly():
    tf.compat.v1.enable_eager_execution()
v1 = tf.compat.v1

MODELS = """
import tensorflow as tf
layers = tf.keras.layers

def same(second="tanh"):
    return tf.keras.Sequential([layers.InputLayer((4,)), layers.Dense(5, activation="elu", name="one"),
        layers.Dense(3, activation=second, name="two"), layers.Dense(2, name="three")])

def other():
    return same("relu")
"""


def network(x, keep, apart=False):
    """Three dense layers, dropout behind the first; with `apart`, activations outside of the layers' scopes."""
    random = np.random.RandomState(0)
    for name, size, activation in (("one", 5, tf.nn.elu), ("two", 3, tf.tanh), ("three", 2, None)):
        with v1.variable_scope(name):
            shape = (int(x.shape[-1]), size)
            kernel = v1.get_variable("kernel", initializer=random.standard_normal(shape).astype("f4"))
            x = tf.matmul(x, kernel) + v1.get_variable("bias", initializer=random.standard_normal(size).astype("f4"))
            x = activation(x) if activation and not apart else x
        x = activation(x) if activation and apart else x
        x = v1.nn.dropout(x, keep_prob=keep) if name == "one" else x
    return tf.identity(x, "y")


def meta(session, x, y, path):
    return v1.train.Saver().save(session, os.path.join(path, "model.ckpt"))


def saved_model(session, x, y, path):
    v1.saved_model.simple_save(session, os.path.join(path, "saved"), {"x": x}, {"y": y})
    return os.path.join(path, "saved")


def frozen(session, x, y, path):
    graph = v1.graph_util.convert_variables_to_constants(session, session.graph_def, ["y"])
    with open(os.path.join(path, "frozen.pb"), "wb") as stream:
        stream.write(graph.SerializeToString())
    return stream.name


@pytest.fixture
def left(tmp_path, monkeypatch):
    """Leaves the network in one of the forms, and gives the path."""
    (tmp_path / "graph_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)

    def leave(form, apart=False):
        with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            x = v1.placeholder(tf.float32, (None, 4), "x")
            y = network(x, v1.placeholder(tf.float32, (), "keep_prob"), apart)
            session.run(v1.global_variables_initializer())
            return form(session, x, y, str(tmp_path))

    return leave


@pytest.mark.parametrize("form", [meta, saved_model, frozen])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("model, layer", [("same", ""), ("other", "two")])
def test_the_first_layer_that_differs_is_named_in_every_form(left, form, model, layer, apart, capsys):
    path = left(form, apart)
    arguments = ["verify", path, "--model", "graph_models:" + model, "--feed", "keep_prob=1.0", "--json"]
    arguments += ["--no-config-check"] if layer else []
    status = main([*arguments, *([] if form is saved_model else ["--output", "y"])])
    told = json.loads(capsys.readouterr().out)
    assert status == (1 if layer else 0), told
    assert (told["layers"]["first"], told["layers"]["of"]) == (layer, 3)
    assert told["layers"]["compared"] == (2 if layer else 3)


def test_missing_number_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with v1.Graph().as_default(), v1.Session() as session:
        x, slope = v1.placeholder(tf.float32, (None, 4), "x"), v1.placeholder(tf.float32, (), "slope")
        tf.identity(slope * tf.matmul(x, v1.get_variable("kernel", (4, 2))), "y")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    arguments = ["golden", "model.ckpt", "--output", "y", "--to", "golden.npz"]
    assert main(arguments) == 4
    assert "the graph wants a number for slope; give it with --feed slope=1.0" in capsys.readouterr().err
    assert main([*arguments, "--feed", "slop=1.0"]) == 4
    assert "the graph has no slop" in capsys.readouterr().err
    assert main([*arguments, "--feed", "slope:0=1.0"]) == 0
    with np.load("golden.npz") as golden:
        assert sorted(golden.files) == ["inputs_x", "outputs_y"]


def test_likely_outputs_are_named(left, capsys):
    assert main(["golden", left(meta), "--to", "golden.npz", "--feed", "keep_prob=1"]) == 4
    candidates = capsys.readouterr().err.partition("candidates: ")[2].split(", ")
    assert "y" in [name.strip() for name in candidates[:4]]


def leave_two(path, shape):
    """A dense layer with its activation outside of its scope, of an input of `shape` and of a constant."""
    with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        fed = v1.placeholder(tf.float32, shape, "x") if shape is not None else v1.placeholder(tf.float32, name="x")
        results = []
        for x in (fed, tf.ones((3, 4), name="constant")):
            with v1.variable_scope("one", reuse=bool(results)):
                kernel = v1.get_variable("kernel", (4, 2), initializer=v1.ones_initializer())
                results.append(tf.matmul(x, kernel) + v1.get_variable("bias", (2,)))
        softmax = tf.nn.softmax(results[0], name="softmax")
        tf.nn.softmax(results[1], name="of_constant")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(path / "model.ckpt"))
        outputs = {"prediction": tf.identity(results[0]), "softmax": softmax}
        v1.saved_model.simple_save(session, str(path / "saved"), {"x": fed}, outputs)


SOFTMAX = """
import tensorflow as tf
layers = tf.keras.layers

def build():
    return tf.keras.Sequential([layers.InputLayer((4,)), layers.Dense(2, activation="softmax", name="one")])
"""


@pytest.mark.parametrize(
    "shape, path, more, status, told",
    [
        ((None, 4), "saved", [], 4, "2 outputs (prediction, softmax) for 1 of the model: choose with --output NAME"),
        ((None, 4), "saved", ["--output", "softmax"], 0, "no layer differs (1 of 1 layers compared)"),
        ((None, 4), "model.ckpt", ["--output", "of_constant"], 4, "--feed TENSOR=VALUE"),
        ((None, 4), "model.ckpt", ["--output", "of_constant", "--feed", "constant=0.5"], 0, "outputs_of_constant"),
        (None, "model.ckpt", ["--output", "softmax"], 4, "give it with --feed x=[[...]]"),
        (None, "model.ckpt", ["--output", "softmax", "--feed", "x=[[1.0, 2, 3, 4]]"], 0, "outputs_softmax"),
    ],
)
def test_what_is_missing_is_said_and_giving_it_helps(shape, path, more, status, told, tmp_path, monkeypatch, capsys):
    (tmp_path / "softmax_model.py").write_text(SOFTMAX)
    monkeypatch.chdir(tmp_path)
    leave_two(tmp_path, shape)
    assert main(["verify", str(tmp_path / path), "--model", "softmax_model:build", *more]) == status
    said = capsys.readouterr()
    assert told in (said.err if status else said.out), said
    assert "first layer that differs" not in said.out


NORMALIZED = """
import tensorflow as tf
layers = tf.keras.layers

def build():
    return tf.keras.Sequential([layers.InputLayer((4,)), layers.BatchNormalization(epsilon=1e-3, name="norm")])
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A graph with a switch that is on by default, one that wants strings, and one that cannot run."""
    (tmp_path / "normalized_model.py").write_text(NORMALIZED)
    monkeypatch.chdir(tmp_path)
    with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, (None, 4), "x")
        switch = v1.placeholder_with_default(True, (), "is_training")
        with v1.variable_scope("norm"):
            mean, variance, gamma, beta = [
                v1.get_variable(name, (4,), initializer=v1.constant_initializer(value))
                for name, value in (("moving_mean", 2), ("moving_variance", 3), ("gamma", 1), ("beta", 0))
            ]
            batch = tf.reduce_mean(x, 0)
            shift = tf.cond(switch, lambda: batch, lambda: mean)
            tf.identity(gamma * (x - shift) / tf.sqrt(variance + 1e-3) + beta, "out")
        words = v1.placeholder(tf.string, (None,), "words")
        tf.identity(v1.string_to_number(words, name="parsed") * 2, "of_words")
        tf.identity(tf.reshape(x, [3, v1.placeholder(tf.int32, (), "n")]), "reshaped")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    return str(tmp_path / "model.ckpt")


def test_a_switch_that_is_on_by_default_is_off(odd, capsys):
    arguments = ["verify", odd, "--model", "normalized_model:build", "--output", "norm/out"]
    assert main(arguments) == 0, capsys.readouterr()
    assert main([*arguments, "--feed", "is_training=true"]) == 1


def test_strings_are_asked_for_and_what_they_are_parsed_into_may_be_fed(odd, capsys):
    arguments = ["golden", odd, "--output", "of_words", "--to", "golden.npz"]
    assert main(arguments) == 4
    assert 'the input words takes strings; give them with --feed words=["..."]' in capsys.readouterr().err
    assert main([*arguments, "--feed", 'words=["1", "2.5"]']) == 0
    with np.load("golden.npz") as golden:
        assert golden["outputs_of_words"].tolist() == [2, 5]
    os.unlink("golden.npz")
    assert main([*arguments, "--feed", "parsed=[3.0]"]) == 0
    with np.load("golden.npz") as golden:
        assert golden["outputs_of_words"].tolist() == [6]


def test_why_a_graph_does_not_run_is_said(odd, capsys):
    assert main(["golden", odd, "--output", "reshaped", "--to", "golden.npz", "--feed", "n=5"]) == 4
    said = capsys.readouterr().err
    assert "its graph does not run: Input to reshape is a tensor with 8 values, but the requested shape has 15" in said


@pytest.mark.parametrize(
    "text",
    [
        "what\n\t [[node x]]\n\nOriginal stack trace for 'x':\n  File y",
        "Graph execution error:\n\nDetected at node 'x' defined at (most recent call last):\nNode: 'x'\nwhat\nmore\n"
        "\t [[{{node x}}]]\n\nOriginal stack trace for 'x':\n",
        "Graph execution error:\n\nDetected at node x defined at (most recent call last):\n"
        "<stack traces unavailable>\nwhat\n\t [[{{node x}}]] [Op:__inference_1]",
        "2 root error(s) found.\n  (0) what\n\t [[{{node x}}]]\n  (1) other\n0 successful operations.",
    ],
)
def test_the_reason_is_found_wherever_a_release_puts_it(text):
    assert reason(ValueError(text)) == "what"
    assert reason(ValueError()) == "ValueError"
