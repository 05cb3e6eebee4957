"""Keras models for the checkpoints in data/, built with whatever Keras a test hands in."""

from __future__ import annotations

import numpy as np

from checkpoints import (
    export,
    load,
    load_optimizer,
    make_plan,
    max_ulps,
    model_variables,
    open_checkpoint,
    write_saver,
)

from .support import data
from .test_layouts import Part

TF_LAYERS = ("conv", "transposed", "separable", "dense", "norm")


def _one_layer(layers, lstm, gru):
    return {
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


CASES = sorted(_one_layer(None, None, None))


def check_layer(keras, case, golden, recurrent=None):
    """Builds the layer of `case`, loads it from data/layouts, and compares outputs and the way back with TF 1."""
    recurrent = recurrent or (lambda name: getattr(keras.layers, name))
    make = [
        lambda kind=kind, **options: recurrent(kind)(2, return_sequences=True, **options) for kind in ("LSTM", "GRU")
    ]
    image = case in TF_LAYERS or case.startswith("slim")
    x = golden["image" if image else "inputs"]
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, _one_layer(keras.layers, *make)[case](inputs))
    variables = model_variables({"net": model})
    with open_checkpoint(data("layouts")) as checkpoint:
        part = Part(checkpoint, "layers" if case in TF_LAYERS else case)
        if case in TF_LAYERS:
            part.tensors = {name: info for name, info in part.tensors.items() if name.split("/")[1] == case}
        plan = make_plan(part, variables, infer=True, averages="raw")
        load(plan, part, variables)
        for name, value in export(plan, variables).items():
            assert max_ulps(value, checkpoint.read(name)) <= 2
    # Measured: 4.2e-7 on each backend of Keras 3.
    np.testing.assert_allclose(np.asarray(model.predict_on_batch(x)), golden[case], rtol=0, atol=2e-6)


CELLS = [(f"old_{release}", case) for release in ("0.12", "1.0") for case in ("basic", "both", "full", "gru", "stack")]
CELLS += [
    (f"rnn_{release}", f"{kind}{form}")
    for release in ("0.12", "1.0", "1.15")
    for kind in ("basic", "block")
    for form in ("", "_stack", "_both")
]
CELLS.append(("rnn_1.15", "block_v2"))


def check_cell(keras, file, case, tmp_path):
    """Loads a recurrent cell of data/`file` by structure alone, compares what it computes, and writes it back.

    Returns the prefix of what was written under the names of the file.
    """
    with np.load(data(file + ".npz")) as stored:
        golden = dict(stored)
    # The Keras of 1.15 has hard_sigmoid where the cells of TF 1, and Keras since 2.0, have sigmoid.
    gates = {} if case.startswith("basic") and file.startswith("rnn") else {"recurrent_activation": "sigmoid"}
    layers = keras.layers
    if file.startswith("old") and case != "gru":
        kind, options = layers.LSTM, gates
    elif not gates:
        kind, options = layers.SimpleRNN, gates
    else:
        kind, options = layers.GRU, dict(gates, reset_after=False)
    count = 2 if case.endswith("stack") else 1
    name = kind.__name__.lower()
    x = inputs = keras.Input(golden["inputs"].shape[1:])
    for number in range(count):
        layer = kind(2, name=f"{name}_{number}" if number else name, return_sequences=True, **options)
        x = (layers.Bidirectional(layer) if case.endswith("both") else layer)(x)
    model = keras.Model(inputs, x)
    variables = model_variables({"net": model})
    with open_checkpoint(data(file)) as checkpoint:
        part = Part(checkpoint, case)
        plan = make_plan(part, variables, infer=True)
        load(plan, part, variables)
    # Measured: 1.2e-7.
    np.testing.assert_allclose(np.asarray(model.predict_on_batch(golden["inputs"])), golden[case], rtol=0, atol=1e-6)
    write_saver(str(tmp_path / "back"), export(plan, variables))
    return str(tmp_path / "back")


def optimizers(module):
    """Name in data/optimizer_* to a maker of the same optimizer."""
    return {
        "adam": lambda: module.Adam(1e-2, epsilon=1e-8),
        "momentum": lambda: module.SGD(1e-2, momentum=0.9),
        "rmsprop": lambda: module.RMSprop(1e-2, rho=0.9, momentum=0.5, epsilon=1e-7),
        "centered": lambda: module.RMSprop(1e-2, rho=0.9, momentum=0.5, epsilon=1e-7, centered=True),
        "adagrad": lambda: module.Adagrad(1e-2, epsilon=1e-7),
        "ftrl": lambda: module.Ftrl(1e-2),
        "sgd": lambda: module.SGD(1e-2),
    }


OPTIMIZERS = sorted(optimizers(None))


def object_model(keras):
    """The model of data/objects_keras2 and data/objects_keras3."""
    layers = keras.layers
    inputs = keras.Input((5, 3))
    x = layers.LSTM(2, name="rnn")(inputs)
    x = layers.Dense(2, name="fc1")(x)
    x = layers.BatchNormalization(name="bn")(x)
    return keras.Model(inputs, layers.Dense(2, name="fc2")(x))


TRAINED = ("keras2", "keras3", "legacy", "keras2_sgd", "keras3_sgd", "legacy_sgd")


def check_trained_on(keras, name):
    """Loads data/trained_<name> with the state of its optimizer, and trains on as the Keras that wrote it did."""
    with np.load(data(f"trained_{name}.npz")) as stored:
        golden = dict(stored)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="fc")(inputs))
    variables = model_variables({"": model})
    sgd = name.endswith("_sgd")
    optimizer = keras.optimizers.SGD(1e-2, momentum=0.9) if sgd else keras.optimizers.Adam(1e-2)
    with open_checkpoint(data(f"trained_{name}")) as checkpoint:
        plan = make_plan(checkpoint, variables, infer=True)
        load(plan, checkpoint, variables)
        assert load_optimizer(plan, checkpoint, optimizer, variables) == (2 if sgd else 4, 5, ())
    model.compile(optimizer=optimizer, loss="mse")
    for _ in range(5):
        model.train_on_batch(golden["x"], golden["y"])
    for value, leaf in zip(model.get_weights(), ("kernel", "bias")):
        # Measured: 1.8e-7.
        np.testing.assert_allclose(value, golden[leaf], rtol=0, atol=5e-7)


def keras_object_model():
    """`object_model` in Keras 3; for --model."""
    import keras

    return object_model(keras)


def network():
    """The network of data/network in Keras 3; `--model tests.unit.checkpoints.networks:network`."""
    import keras

    layers = keras.layers
    image, words = keras.Input((5, 5, 2), name="image"), keras.Input((6,), dtype="int32", name="letters")
    x = layers.Conv2D(3, 2, activation="relu", name="conv")(image)
    x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name="norm")(x)
    x = layers.Dense(4, activation="elu", name="fc")(layers.Flatten()(x))
    y = layers.Embedding(7, 3, name="words")(words)
    y = layers.Bidirectional(layers.LSTM(2, return_sequences=True, name="lstm"), name="both")(y)
    y = layers.LSTM(3, return_sequences=True, name="memory")(y)
    y = layers.GRU(3, reset_after=False, name="summary")(y)
    return keras.Model([image, words], layers.Dense(1, name="out")(layers.Concatenate()([x, y])))
