"""Right models for other people's files: what their graphs say of the layers never contradicts them.

Each also has a wrong one, which is refused: so a graph that says nothing is found out.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from checkpoints import Ignore, Layer, MappingError, Rule, load, make_plan, model_variables, open_checkpoint

from .support import CORPUS, needs_corpus

pytestmark = needs_corpus
backend = os.environ.get("KERAS_BACKEND", "tensorflow")
if backend == "tensorflow":
    tf = pytest.importorskip("tensorflow")
    if not tf.executing_eagerly():
        tf.compat.v1.enable_eager_execution()
    keras = tf.keras
else:
    keras = pytest.importorskip("keras")
layers = keras.layers


def chain(shape, *made):
    x = inputs = keras.Input(shape)
    for layer in made:
        x = layer(x)
    return keras.Model(inputs, x)


def cifar(activation="relu"):
    conv = layers.Conv2D(32, 7, strides=2, activation=activation, name="conv")
    return chain((32, 32, 3), conv, layers.Flatten(), layers.Dense(10, name="out"))


CIFAR = [Rule("Wconv1", "conv/kernel"), Rule("bconv1", "conv/bias"), Rule("W1", "out/kernel"), Rule("b1", "out/bias")]


def recurrent(kind, **options):
    cell = getattr(layers, kind)(128, recurrent_activation="sigmoid", name="rnn", **options)
    return chain((784,), layers.Reshape((28, 28)), cell, layers.Dense(10, name="model"))


def dnn(activation="relu", last="softmax"):
    sizes = zip((128, 32, 8), ("input", "layer0", "layer1"))
    hidden = [layers.Dense(size, activation=activation, name=name) for size, name in sizes]
    return chain((9,), *hidden, layers.Dense(2, activation=last, name="output"))


def profiled(padding="valid"):
    return chain((8, 8, 3), layers.Conv2D(5, 3, padding=padding, name="conv2d"), layers.Conv2D(5, 3, name="conv2d_1"))


def encoder(activation="tanh"):
    return chain((4,), layers.Dense(1, activation=activation, name="encode"), layers.Dense(4, name="decode"))


def regression(activation="softmax"):
    return chain((784,), layers.Dense(10, activation=activation, name="dense"))


RNN = [Rule("model/w1", "model/kernel"), Rule("model/b1", "model/bias")]
# Path, rules, the right model, a wrong one with the argument that it has wrong, and the golden arrays.
CASES = [
    ("mlnet-cifar-ckpt", CIFAR, cifar, {"activation": "elu"}, "Input", "logits"),
    (
        "t2o-frozen-gru/frozen.pb",
        RNN,
        lambda **o: recurrent("GRU", reset_after=False, **o),
        {"activation": "relu"},
        "X",
        0,
    ),
    ("t2o-frozen-lstm/frozen.pb", RNN, lambda **o: recurrent("LSTM", **o), {"activation": "relu"}, "X", 0),
    ("sts-template-dnn-sm", [], dnn, {"activation": "elu"}, "serving_default__features", "serving_default__softmax"),
    ("sts-template-dnn-sm", [], dnn, {"last": "relu"}, "serving_default__features", "serving_default__softmax"),
    ("tf-profiler-ckpt", [], profiled, {"padding": "same"}, "zeros", "conv2d_2_BiasAdd"),
    ("mattmann-ch9", [], encoder, {"activation": "sigmoid"}, "x", "decoded"),
    ("mlnet-mnist-lr-sm", [], regression, {"activation": "linear"}, "serving_default__Features", 0),
]


@pytest.mark.parametrize("path, rules, make, wrong, given, output", CASES)
def test_models_of_other_people(path, rules, make, wrong, given, output):
    folder = os.path.join(CORPUS, path.split("/")[0])
    with np.load(os.path.join(folder, "golden.npz")) as stored:
        x = stored["inputs_" + given]
        outputs = [name for name in stored.files if name.startswith("outputs_")]
        expected = stored["outputs_" + output if output else outputs[0]]
    with open_checkpoint(os.path.join(CORPUS, path)) as checkpoint:
        model = make()
        variables = model_variables(model)
        plan = make_plan(checkpoint, variables, rules)
        assert not [note for note in plan.notes if "activation" in note], plan.notes
        load(plan, checkpoint, variables)
        np.testing.assert_allclose(np.asarray(model.predict_on_batch(x)), expected, rtol=1e-4, atol=1e-4)
        with pytest.raises(MappingError) as raised:
            make_plan(checkpoint, model_variables(make(**wrong)), rules)
        assert len(raised.value.problems) in (1, 3) and "in the graph" in str(raised.value)


BERT = (("bert/encoder/layer_0/intermediate/dense", "gelu", "gelu"), ("bert/pooler/dense", "tanh", "relu"))


@pytest.mark.parametrize("scope, right, wrong", BERT)
def test_dense_layers_of_bert(scope, right, wrong):
    if right == "gelu" and not hasattr(keras.activations, "gelu"):
        pytest.skip("this Keras has no gelu")
    rules = [Layer(scope, "dense"), Ignore(".*", "of other layers")]
    sizes = {"bert/encoder/layer_0/intermediate/dense": 16, "bert/pooler/dense": 4}
    with open_checkpoint(os.path.join(CORPUS, "keras-bert-tiny", "bert_model.ckpt")) as checkpoint:
        model = chain((4,), layers.Dense(sizes[scope], activation=right, name="dense"))
        assert make_plan(checkpoint, model_variables(model), rules).notes == ()
        wrong = (lambda x: keras.activations.gelu(x, approximate=True)) if wrong == "gelu" else wrong
        model = chain((4,), layers.Dense(sizes[scope], activation=wrong, name="dense"))
        with pytest.raises(MappingError, match=f"activation is {right}"):
            make_plan(checkpoint, model_variables(model), rules)


def test_layer_normalization_of_bert():
    rules = [Layer("bert/embeddings/LayerNorm", "norm"), Ignore(".*", "of other layers")]
    with open_checkpoint(os.path.join(CORPUS, "keras-bert-tiny", "bert_model.ckpt")) as checkpoint:
        model = chain((6, 4), layers.LayerNormalization(epsilon=1e-12, name="norm"))
        plan = make_plan(checkpoint, model_variables(model), rules)
        assert plan.notes == () and not any("0.001" in row.reason for row in plan.rows)
        model = chain((6, 4), layers.LayerNormalization(name="norm"))
        with pytest.raises(MappingError, match=r"epsilon is 1e-12 in the graph .*LayerNormalization\(epsilon=1e-12\)"):
            make_plan(checkpoint, model_variables(model), rules)
