"""Keras's own files against models that are configured otherwise: every argument of every kind of layer.

The property: a model of the same arguments loads and computes the same; one with another argument, if it then computes
something else, is refused, and the error names the argument.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from checkpoints import Layer, MappingError, load, make_plan, model_variables, open_checkpoint

from .configured_layers import hard_sigmoid, leaky
from .support import data

h5py = pytest.importorskip("h5py")
backend = os.environ.get("KERAS_BACKEND", "tensorflow")
if backend == "tensorflow":
    tf = pytest.importorskip("tensorflow")
    if not tf.executing_eagerly():
        tf.compat.v1.enable_eager_execution()
    keras = tf.keras
else:
    keras = pytest.importorskip("keras")
KERAS_3 = hasattr(keras, "version")
layers = keras.layers

RNN = {"units": 2, "activation": "softsign", "return_sequences": True}
GATED = {**RNN, "recurrent_activation": "tanh"}
CHANGED_RNN = {"activation": "relu", "return_sequences": False, "go_backwards": True}
CONV = {"filters": 4, "kernel_size": 3, "activation": "relu"}
CHANGED_CONV = {"strides": 2, "padding": "same", "dilation_rate": 2, "activation": "elu"}
# Input shape, class, arguments, and other values of arguments that leave the shapes of the variables alone.
KINDS = [
    ((6,), "Dense", {"units": 3, "activation": "relu"}, {"activation": "tanh"}),
    ((5, 6), "Dense", {"units": 3}, {"activation": "gelu" if KERAS_3 else "softplus"}),
    ((9, 2), "Conv1D", CONV, {**CHANGED_CONV, "padding": "causal"}),
    ((9, 9, 2), "Conv2D", CONV, CHANGED_CONV),
    ((5, 5, 5, 2), "Conv3D", CONV, {"strides": 2, "padding": "same", "activation": "elu"}),
    ((5, 5, 2), "Conv2DTranspose", {**CONV, "strides": 2}, {"strides": 1, "padding": "same", "activation": "selu"}),
    ((4, 4, 4, 2), "Conv3DTranspose", CONV, {"strides": 2, "padding": "same", "activation": "selu"}),
    ((9, 9, 2), "DepthwiseConv2D", {"kernel_size": 3}, {"strides": 2, "padding": "same", "activation": "tanh"}),
    ((9, 2), "SeparableConv1D", CONV, CHANGED_CONV),
    ((9, 9, 2), "SeparableConv2D", CONV, CHANGED_CONV),
    ((4, 4), "BatchNormalization", {"epsilon": 0.01}, {"epsilon": 0.1, "momentum": 0.5, "axis": 1}),
    ((4, 4, 4), "LayerNormalization", {"epsilon": 0.01}, {"epsilon": 0.1, "axis": 2}),
    ((5, 3), "SimpleRNN", RNN, CHANGED_RNN),
    ((5, 3), "LSTM", GATED, {**CHANGED_RNN, "recurrent_activation": "sigmoid"}),
    ((5, 3), "GRU", {**GATED, "reset_after": True}, {**CHANGED_RNN, "recurrent_activation": "sigmoid"}),
    ((5, 3), "GRU", {**GATED, "reset_after": False}, {**CHANGED_RNN, "recurrent_activation": "sigmoid"}),
    ((5, 3), "Bidirectional", {"layer": "LSTM", "merge_mode": "sum"}, {"merge_mode": "mul", "activation": "relu"}),
    ((5, 3), "TimeDistributed", {"layer": "Dense"}, {"activation": "relu"}),
    ((5, 3), "RNN", {"cell": "LSTMCell", "return_sequences": True}, {"activation": "relu", "go_backwards": True}),
    ((3, 5, 5, 2), "ConvLSTM2D", {**CONV, "return_sequences": True}, {"recurrent_activation": "tanh", "strides": 2}),
]
INNER = {"LSTM": {"units": 2, "return_sequences": True}, "Dense": {"units": 2}, "LSTMCell": {"units": 2}}
NAMES = [f"{kind}-{place}" for place, (_, kind, _, _) in enumerate(KINDS)]


def made(kind, arguments, changes=()):
    """The layer, with `changes` to its arguments or to those of the layer inside it."""
    options = {**arguments, **dict(changes)}
    key = "cell" if kind == "RNN" else "layer"
    if isinstance(options.get(key), str):
        inner = options.pop(key)
        own = {name: options.pop(name) for name in dict(changes) if name == "activation"}
        options[key] = getattr(layers, inner)(**{**INNER[inner], **own})
    return getattr(layers, kind)(name="tested", **options)


def model_of(shape, kind, arguments, changes=()):
    keras.backend.clear_session()
    inputs = keras.Input(shape)
    model = keras.Model(inputs, made(kind, arguments, changes)(inputs))
    random = np.random.RandomState(1)
    model.set_weights([np.abs(random.standard_normal(weight.shape)) for weight in model.get_weights()])
    return model


def outputs(model, shape):
    return np.asarray(model(np.random.RandomState(2).standard_normal((2, *shape)).astype("f4"), training=False))


def formats():
    yield "h5"
    if KERAS_3:
        yield "keras"
    elif backend == "tensorflow" and tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 13):
        yield "keras"


@pytest.mark.parametrize("form", list(formats()))
@pytest.mark.parametrize("shape, kind, arguments, wrong", KINDS, ids=NAMES)
def test_arguments_of_a_file(form, shape, kind, arguments, wrong, tmp_path):
    if form == "h5" and KERAS_3 and kind == "Bidirectional":
        pytest.skip("Keras 3's .h5 gives the weights of both directions one name")
    path = str(tmp_path / f"model.{form}")
    # The names in such a file leave open which direction is which.
    rules = [Layer(r"tested/(\w+_lstm).*", r"tested/\1")] if (kind, form) == ("Bidirectional", "h5") else []
    original = model_of(shape, kind, arguments)
    expected = outputs(original, shape)
    original.save(path)
    with open_checkpoint(path) as checkpoint:
        same = model_of(shape, kind, arguments)
        variables = model_variables(same)
        plan = make_plan(checkpoint, variables, rules)
        load(plan, checkpoint, variables)
        np.testing.assert_allclose(outputs(same, shape), expected, rtol=1e-5, atol=1e-5)
        assert not plan.notes
        for argument, value in wrong.items():
            try:
                other = model_of(shape, kind, arguments, {argument: value})
                variables = model_variables(other)
                load(make_plan(checkpoint, variables, rules, compare_config=False), checkpoint, variables)
                computed = outputs(other, shape)
            except (ValueError, TypeError, NotImplementedError, MappingError):
                continue  # this Keras has no such layer, or not with these variables
            if computed.shape == expected.shape and np.allclose(computed, expected) and argument != "momentum":
                continue
            with pytest.raises(MappingError) as raised:
                make_plan(checkpoint, variables, rules)
            assert f": {argument} is " in str(raised.value) and f"({argument}=" in str(raised.value), argument
            assert len(raised.value.problems) <= 2


def old_model(recurrent="sigmoid", window="hard_sigmoid", epsilon=0.01, cut="relu"):
    """The model of data/make_keras_files.py, by default as somebody would write it today."""
    keras.backend.clear_session()
    x = inputs = keras.Input((5, 3))
    x = layers.LSTM(2, return_sequences=True, recurrent_activation=recurrent, name="memory")(x)
    x = layers.Conv1D(3, 2, activation=window, padding="same", name="window")(x)
    x = layers.BatchNormalization(epsilon=epsilon, name="norm")(x)
    x = layers.GRU(2, return_sequences=True, recurrent_activation=recurrent, reset_after=False, name="summary")(x)
    x = layers.TimeDistributed(layers.Dense(2, activation=cut, name="inner"), name="each")(x)
    return keras.Model(inputs, x)


OLD = ["keras_2.2.4", "keras_1.15_recurrent"]


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
@pytest.mark.parametrize("name", OLD)
def test_hard_sigmoid_of_old_files(name, suffix):
    with np.load(data(name + ".npz")) as stored:
        golden = dict(stored)
    with open_checkpoint(data(name + suffix)) as checkpoint:
        with pytest.raises(MappingError) as raised:
            make_plan(checkpoint, model_variables(old_model()))
        # Keras 3 calls something else hard_sigmoid; weights alone do not say what the convolution has.
        wrong = ["memory", "summary", *(["window"] if KERAS_3 and suffix == ".h5" else [])]
        assert sorted(problem.partition(":")[0] for problem in raised.value.problems) == wrong
        assert all("hard_sigmoid (0.2 x + 0.5, as in Keras 2)" in problem for problem in raised.value.problems)
        gates = next(problem for problem in raised.value.problems if problem.startswith("memory"))
        remedy = "recurrent_activation=lambda x: keras.ops.clip(" if KERAS_3 else 'recurrent_activation="hard_sigmoid"'
        assert remedy in gates
        # The version says what the default was, and not that the layer had it.
        assert ("--no-config-check" in gates) == (suffix == ".weights.h5")
        model = old_model(hard_sigmoid, hard_sigmoid)
        variables = model_variables(model)
        plan = make_plan(checkpoint, variables)
        load(plan, checkpoint, variables)
        assert bool(plan.notes) == (suffix == ".weights.h5")
    np.testing.assert_allclose(
        np.asarray(model.predict_on_batch(golden["inputs"])), golden["outputs"], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("name", OLD)
def test_activation_in_a_layer_of_its_own(name):
    """The file applies relu in a layer behind; a model that has it in none is refused, one that has another as well."""
    with open_checkpoint(data(name + ".h5")) as checkpoint:
        for cut in ("linear", "tanh"):
            with pytest.raises(MappingError, match=rf"each/inner: activation is relu in .*, but {cut} in the model"):
                make_plan(checkpoint, model_variables(old_model(hard_sigmoid, hard_sigmoid, cut=cut)))


def test_any_function_is_known_by_its_values(tmp_path):
    path = str(tmp_path / "model.h5")
    model_of((4,), "Dense", {"units": 2, "activation": "relu"}).save(path)
    with open_checkpoint(path) as checkpoint:
        make_plan(checkpoint, model_variables(model_of((4,), "Dense", {"units": 2, "activation": leaky(0.0)})))
        with pytest.raises(MappingError, match=r"activation is relu .*leaky_relu\(0.3\) in the model"):
            make_plan(checkpoint, model_variables(model_of((4,), "Dense", {"units": 2, "activation": leaky(0.3)})))
        unknown = model_of((4,), "Dense", {"units": 2, "activation": lambda x: x * x})
        make_plan(checkpoint, model_variables(unknown))


def stored_for_cudnn(path, gates):
    """A weights file of Keras 2.2.4 with a layer of 2 units of its CuDNN classes, which have two biases."""
    shapes = {"kernel:0": (3, 2 * gates), "recurrent_kernel:0": (2, 2 * gates), "bias:0": (4 * gates,)}
    with h5py.File(path, "w") as file:
        file.attrs.update(keras_version=b"2.2.4", backend=b"tensorflow", layer_names=[b"memory"])
        group = file.create_group("memory")
        group.attrs["weight_names"] = [f"memory/{leaf}".encode() for leaf in shapes]
        for leaf, shape in shapes.items():
            group[f"memory/{leaf}"] = np.ones(shape, "f4")


@pytest.mark.parametrize("kind, options", [("LSTM", {}), ("GRU", {"reset_after": True})])
def test_cudnn_is_sigmoid(kind, options, tmp_path):
    """Up to Keras 2.2 the default was hard_sigmoid, but of the classes that are not cuDNN's."""
    stored_for_cudnn(tmp_path / "old.h5", 4 if kind == "LSTM" else 3)
    inputs = keras.Input((5, 3))
    with open_checkpoint(tmp_path / "old.h5") as checkpoint:
        for recurrent in ("sigmoid", "tanh"):
            layer = getattr(layers, kind)(2, recurrent_activation=recurrent, name="memory", **options)
            variables = model_variables(keras.Model(inputs, layer(inputs)))
            if recurrent == "sigmoid":
                assert len(make_plan(checkpoint, variables).loads()) == 3
                continue
            with pytest.raises(MappingError, match=r'is sigmoid in what .*, but tanh .*activation="sigmoid"'):
                make_plan(checkpoint, variables)


class Own(layers.Layer):
    """A layer of the user's own, whose configuration says nothing that is known."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = layers.Dense(2, name="inner")

    def call(self, x):
        return self.inner(x) * 2


def test_layers_of_ones_own_are_not_known(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Own(name="own")(inputs))
    with open_checkpoint(data("keras_2.2.4.h5")) as checkpoint:
        assert checkpoint.description.keras_version == "2.2.4"
    path = str(tmp_path / "own.weights.h5")
    model.save_weights(path)
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(checkpoint, model_variables(model))
    assert len(plan.loads()) == 2
