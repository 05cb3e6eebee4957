"""`verify` with a real Keras against TF 1's graph of the same network: which layer is the first that differs."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

from checkpoints import open_checkpoint
from checkpoints.cli import main
from checkpoints.dtypes import widen
from checkpoints.golden_arrays import Golden
from checkpoints.layer_outputs import watch

from .support import HERE

tf = pytest.importorskip("tensorflow")
if not tf.executing_eagerly():
    tf.compat.v1.enable_eager_execution()

FIXTURE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "fixtures", "tf1-saver")
MODELS = """
import tensorflow as tf
layers = tf.keras.layers

def generator(first="elu", second="elu", apart=False):
    middle = [layers.Dense(64, name="fc2"), layers.Activation(second)] if apart else [
        layers.Dense(64, activation=second, name="fc2")]
    return tf.keras.Sequential(
        [layers.InputLayer((100,)), layers.Dense(64, activation=first, name="fc1"), *middle, layers.Dense(1, name="G")])

def same(): return generator()
def first(): return generator(first="relu")
def second(): return generator(second="tanh")
def both(): return generator(first="relu", second="tanh")
def apart(): return generator(apart=True)
def apart_second(): return generator(second="relu", apart=True)

def steps():
    inner = generator()
    return tf.keras.Model(inner.inputs, layers.Reshape((1, 1))(inner.outputs[0]))

class Own(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.fc1 = layers.Dense(64, "elu", name="fc1")
        self.fc2 = layers.Dense(64, "elu", name="fc2")
        self.G = layers.Dense(1, name="G")
    def call(self, x):
        return self.G(self.fc2(self.fc1(x)))

def own():
    model = Own()
    model(tf.zeros((1, 100)))
    return model
"""


@pytest.fixture
def verify(tmp_path, monkeypatch, capsys):
    """Runs `verify` on the generator of the fixture: (status, what it says as JSON, what it says)."""
    (tmp_path / "verified_models.py").write_text(MODELS)
    (tmp_path / "rules.py").write_text(
        'RULES = [Rule("generator/(fc1|fc2|G)/(kernel|bias)", r"\\1/\\2"), Ignore("discriminator/.*", "no part of it")]'
    )
    monkeypatch.chdir(tmp_path)

    def run(model, *arguments):
        common = ["verify", FIXTURE, "--model", "verified_models:" + model, "--rules", "rules.py", *arguments]
        status = main([*common, "--json"])
        told = json.loads(capsys.readouterr().out)
        assert main(common) == status
        return status, told, capsys.readouterr().out

    yield run
    sys.modules.pop("verified_models", None)


GRAPH = ("--graph", os.path.join(FIXTURE, "model.ckpt"), "--output", "generator/G/BiasAdd")


@pytest.mark.parametrize(
    "model, layer",
    [
        ("same", ""),
        ("first", "fc1"),
        ("second", "fc2"),
        ("both", "fc1"),
        ("apart", ""),
        ("apart_second", "fc2"),
    ],
)
def test_the_first_layer_that_differs_from_the_graph_is_named(model, layer, verify):
    status, told, said = verify(model, *GRAPH, "--no-config-check")
    assert status == (1 if layer else 0)
    assert told["layers"]["first"] == layer and told["layers"]["of"] == 3
    assert (
        f"first layer that differs: {layer} (" in said if layer else "no layer differs (3 of 3 layers compared)" in said
    )


def test_steps_and_rows(verify):
    """A graph that joins batch and time before its last layer gives rows, where Keras has steps."""
    status, told, _ = verify("steps", *GRAPH)
    assert status == 0 and told["outputs"][0]["passed"]


def test_golden_files_may_hold_layers(verify, tmp_path):
    x = np.random.RandomState(0).randn(4, 100).astype("f4")
    arrays = {"inputs_x": x, "outputs_y": np.zeros((4, 1), "f4"), "layers_fc2": np.zeros((4, 64), "f4")}
    np.savez(str(tmp_path / "golden.npz"), **arrays)
    status, told, _ = verify("same", "--golden", "golden.npz")
    assert (status, told["layers"]["first"], told["layers"]["compared"]) == (1, "fc2", 1)
    del arrays["layers_fc2"]
    np.savez(str(tmp_path / "golden.npz"), **arrays)
    assert "layers not compared: the golden file has no layers_*" in verify("same", "--golden", "golden.npz")[2]


def test_a_model_that_is_no_graph_of_layers_says_so(verify):
    status, _, said = verify("own", *GRAPH)
    assert status == 0 and "layers not compared: the model does not say how its layers are connected" in said


def test_a_graph_without_scopes_is_not_guessed_at(tmp_path):
    from checkpoints.graph_layers import layer_tensors

    v1 = tf.compat.v1
    with v1.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, (None, 3), "x")
        weights = [v1.get_variable(f"w{number}", (3, 3)) for number in range(2)]
        middle = tf.matmul(x, weights[0])
        layers = {f"l{number}": {"variables": [f"w{number}"], "shape": [None, 3]} for number in range(2)}
        assert layer_tensors(graph, [x], [tf.matmul(middle, weights[1])], layers) == {}
        with v1.variable_scope("net"):
            shared = [v1.get_variable(f"w{number}", (3, 3)) for number in range(2)]
            y = tf.matmul(tf.matmul(x, shared[0]), shared[1])
        layers = {f"l{number}": {"variables": [f"net/w{number}"], "shape": [None, 3]} for number in range(2)}
        assert layer_tensors(graph, [x], [y], layers) == {}


def test_a_layer_given_as_the_activation_is_one():
    """LeakyReLU has long had no function of its own in Keras, so it is passed as a layer."""
    layers = tf.keras.layers
    last = [layers.Dense(3, activation=what) for what in (layers.LeakyReLU(), "elu", tf.nn.tanh, "linear", None)]
    watched = watch("", tf.keras.Sequential([layers.InputLayer((4,)), *last]), {})
    assert [layer.activation for layer in watched[-5:]] == ["LeakyReLU", "elu", "tanh", "", ""]


def test_golden_writes_bfloat16_as_it_reads_it(tmp_path, monkeypatch):
    values = tf.constant([1.5, -2.0], tf.bfloat16).numpy()
    monkeypatch.setattr("checkpoints.tf_runtime.run_graph", lambda *_: Golden({"outputs_y": values}))
    path = str(tmp_path / "golden.npz")
    assert main(["golden", GRAPH[1], "--to", path]) == 0
    with open_checkpoint(path) as golden:
        assert golden.tensors["outputs_y"].dtype == "bfloat16"
        assert widen(golden.read("outputs_y")).tolist() == [1.5, -2.0]
