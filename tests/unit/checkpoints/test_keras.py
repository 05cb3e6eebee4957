"""With a real Keras, where one is installed: layers, optimizers and object-based checkpoints, against what TF computed.

Runs in every environment from TF 1.15 on, and is skipped where there is none.
"""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import export, load, load_optimizer, make_plan, max_ulps, model_variables, open_checkpoint

from .support import corpus, data, needs_corpus
from .test_layouts import Part

tf = pytest.importorskip("tensorflow")
if not tf.executing_eagerly():
    tf.compat.v1.enable_eager_execution()
keras = tf.keras
layers = keras.layers
KERAS_3 = hasattr(keras, "version")


def recurrent(name):
    """LSTM or GRU with the arithmetic of TF 2, which 1.15 has under another name."""
    if tf.__version__.startswith("1."):
        return getattr(pytest.importorskip("tensorflow.python.keras.layers.recurrent_v2"), name)
    return getattr(layers, name)


@pytest.fixture(scope="module")
def golden():
    with np.load(data("layouts.npz")) as stored:
        return dict(stored)


def lstm(**options):
    return recurrent("LSTM")(2, return_sequences=True, **options)


def gru(**options):
    return recurrent("GRU")(2, return_sequences=True, **options)


CASES = {
    "basic": lambda x: lstm()(x),
    "block": lambda x: lstm()(x),
    "cudnn_lstm": lambda x: lstm()(x),
    "gru": lambda x: gru(reset_after=False)(x),
    "cudnn_gru": lambda x: gru(reset_after=True)(x),
    "stack": lambda x: lstm(name="lstm_1")(lstm(name="lstm")(x)),
    "both": lambda x: layers.Bidirectional(lstm())(x),
    "conv": lambda x: layers.Conv2D(3, 2)(x),
    "transposed": lambda x: layers.Conv2DTranspose(3, 2)(x),
    "separable": lambda x: layers.SeparableConv2D(3, 2)(x),
    "dense": lambda x: layers.Dense(3)(layers.Flatten()(x)),
    "norm": lambda x: layers.BatchNormalization(epsilon=1e-3)(x),
    "slim_conv": lambda x: layers.Conv2D(3, 2, padding="same")(x),
    "slim_separable": lambda x: layers.SeparableConv2D(3, 2, padding="same")(x),
    "slim_norm": lambda x: layers.BatchNormalization(epsilon=1e-3)(x),
}
TF_LAYERS = ("conv", "transposed", "separable", "dense", "norm")


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_layer_computes_what_it_computed_in_tf1(case, golden):
    image = case in TF_LAYERS or case.startswith("slim")
    x = golden["image" if image else "inputs"]
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, CASES[case](inputs))
    variables = model_variables({"net": model})
    with open_checkpoint(data("layouts")) as checkpoint:
        part = Part(checkpoint, "layers" if case in TF_LAYERS else case)
        if case in TF_LAYERS:
            part.tensors = {name: info for name, info in part.tensors.items() if name.split("/")[1] == case}
        plan = make_plan(part, variables, infer=True, averages="raw")
        load(plan, part, variables)
        for name, value in export(plan, variables).items():
            assert max_ulps(value, checkpoint.read(name)) <= 2
    np.testing.assert_allclose(np.asarray(model(x)), golden[case], rtol=0, atol=2e-6)


def optimizers(module):
    return {
        "adam": lambda: module.Adam(1e-2, epsilon=1e-8),
        "momentum": lambda: module.SGD(1e-2, momentum=0.9),
        "rmsprop": lambda: module.RMSprop(1e-2, rho=0.9, momentum=0.5, epsilon=1e-7),
        "centered": lambda: module.RMSprop(1e-2, rho=0.9, momentum=0.5, epsilon=1e-7, centered=True),
        "adagrad": lambda: module.Adagrad(1e-2, epsilon=1e-7),
        "ftrl": lambda: module.Ftrl(1e-2),
        "sgd": lambda: module.SGD(1e-2),
    }


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", sorted(optimizers(keras.optimizers)))
def test_training_goes_on_as_in_tf1(name, legacy):
    if legacy and (KERAS_3 or not hasattr(keras.optimizers, "legacy")):
        pytest.skip("this Keras has no legacy optimizers")
    with np.load(data("optimizers.npz")) as stored:
        golden = dict(stored)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, name="fc")(inputs))
    variables = model_variables({"net": model})
    with open_checkpoint(data("optimizer_" + name)) as checkpoint:
        plan = make_plan(checkpoint, variables)
        load(plan, checkpoint, variables)
        optimizer = optimizers(keras.optimizers.legacy if legacy else keras.optimizers)[name]()
        assert load_optimizer(plan, checkpoint, optimizer, variables).steps == 20
    weights = model.trainable_weights
    watched = [weight.value for weight in weights] if KERAS_3 else weights
    for _ in range(10):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(golden["x"]) - golden["y"]))
        optimizer.apply_gradients(zip(tape.gradient(loss, watched), weights))
    for weight, leaf in zip(model.get_weights(), ("kernel", "bias")):
        # Measured: 2.1e-7 for Adam, 6e-8 for the others.
        np.testing.assert_allclose(weight, golden[f"{name}_{leaf}"], rtol=0, atol=5e-7)


@pytest.mark.parametrize("generation", [2, 3])
def test_object_based_checkpoints_of_either_keras_load(generation):
    inputs = keras.Input((5, 3))
    x = layers.LSTM(2, name="rnn")(inputs)
    x = layers.Dense(2, name="fc1")(x)
    x = layers.BatchNormalization(name="bn")(x)
    model = keras.Model(inputs, layers.Dense(2, name="fc2")(x))
    variables = model_variables({"": model})
    path = data(f"objects_keras{generation}")
    with open_checkpoint(path) as checkpoint:
        load(make_plan(checkpoint, variables, infer=True), checkpoint, variables)
    with np.load(path + ".npz") as stored:
        for number, weight in enumerate(model.get_weights()):
            assert np.array_equal(weight, stored[f"arr_{number}"])


def test_what_is_written_is_what_tensorflow_reads(tmp_path):
    from checkpoints import write_saver

    with open_checkpoint(data("types")) as checkpoint:
        values = {name: checkpoint.read(name) for name in checkpoint.tensors}
    write_saver(tmp_path / "m", values)
    reader = tf.train.load_checkpoint(str(tmp_path / "m"))
    assert sorted(reader.get_variable_to_shape_map()) == sorted(values)
    for name in ("d/float32", "d/int64", "d/complex128", "d/bool", "scalar", "empty"):
        assert np.asarray(reader.get_tensor(name)).tobytes() == values[name].tobytes()
    assert reader.get_tensor("s/scalar") == values["s/scalar"][()]


@needs_corpus
def test_verify_runs_the_graph_that_came_with_a_checkpoint(tmp_path, monkeypatch, capsys):
    from checkpoints.cli import main

    (tmp_path / "cifar_model.py").write_text(
        "import tensorflow as tf\n"
        "def build():\n"
        "    inputs = tf.keras.Input((32, 32, 3))\n"
        "    x = tf.keras.layers.Conv2D(32, 7, strides=2, activation='relu')(inputs)\n"
        "    return tf.keras.Model(inputs, tf.keras.layers.Dense(10)(tf.keras.layers.Flatten()(x)))\n"
    )
    monkeypatch.chdir(tmp_path)
    (folder,) = corpus("mlnet-cifar-ckpt")
    arguments = ["verify", folder, "--model", "cifar_model:build", "--graph", folder + "/model.ckpt"]
    assert main([*arguments, "--output", "add_1"]) == 0
    assert main([*arguments, "--output", "Output"]) == 1
    assert "DIFFERS" in capsys.readouterr().out
