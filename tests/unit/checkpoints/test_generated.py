"""Generated Keras models with layers of equal shapes, under other names in file and model: right, or an error.

Whatever an error suggests is pasted as it stands: it loads what is right, or leads to another error.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

from checkpoints import MappingError, load, make_plan, model_variables, open_checkpoint

tf = pytest.importorskip("tensorflow")
pytest.importorskip("h5py")
if not tf.executing_eagerly():
    tf.compat.v1.enable_eager_execution()
keras = tf.keras
layers = keras.layers
KERAS_3 = hasattr(keras, "version")
UNITS = 3


class Block(layers.Layer):
    """A layer of the user's own with two of Keras's."""

    def __init__(self, name, inner):
        super().__init__(name=name)
        self.one, self.two = (layers.Dense(UNITS, activation="tanh", name=each) for each in inner)

    def call(self, inputs):
        return self.two(self.one(inputs))


def nested(name, inner):
    inputs = keras.Input((4, UNITS))
    outputs = inputs
    for each in inner:
        outputs = layers.Dense(UNITS, activation="tanh", name=each)(outputs)
    return keras.Model(inputs, outputs, name=name)


MAKERS = {
    "dense": lambda name, inner: layers.Dense(UNITS, activation="tanh", name=name),
    "gru": lambda name, inner: layers.GRU(UNITS, return_sequences=True, name=name),
    "time_distributed": lambda name, inner: layers.TimeDistributed(layers.Dense(UNITS, name=inner[0]), name=name),
    "bidirectional": lambda name, inner: layers.Bidirectional(
        layers.LSTM(UNITS, return_sequences=True, name=inner[0]), merge_mode="sum", name=name
    ),
    "stack": lambda name, inner: layers.RNN(
        [layers.LSTMCell(UNITS, name=each) for each in inner], return_sequences=True, name=name
    ),
    "model": nested,
    "block": Block,
}
KINDS = [["dense"], ["time_distributed"], ["bidirectional"], ["gru", "bidirectional"], ["model"], ["dense", "block"]]
KINDS += [["stack"], ["dense", "time_distributed", "model"], ["gru", "stack"]]


def number(rng, style, count):
    """The numbers of `count` layers, in the order in which data goes through them."""
    numbers = list(range(count))
    if style == "from 1":
        return [each + 1 for each in numbers]
    if style == "with gaps":
        return sorted(rng.sample(range(3 * count), count))
    if style == "in any order":
        rng.shuffle(numbers)
    return numbers


def build(rng, plan, style):
    """A model of these kinds of layers, named in that style, inner layers as the outer ones are."""
    if style == "words":
        words = ["alpha", "beta", "gamma", "delta", "eta", "theta"]
        rng.shuffle(words)
        names = [(name, [f"{name}_a", f"{name}_z"]) for name in words]
    else:
        numbers = {kind: number(rng, style, plan.count(kind)) for kind in set(plan)}
        used = [f"_{each}" if each else "" for each in (numbers[kind].pop(0) for kind in plan)]
        inner = [[f"inner_{2 * int(each[1:] or 0) + part}" for part in (0, 1)] for each in used]
        names = [(kind + each, parts) for kind, each, parts in zip(plan, used, inner)]
    inputs = outputs = keras.Input((4, UNITS))
    for kind, (name, parts) in zip(plan, names):
        outputs = MAKERS[kind](name, parts)(outputs)
    return keras.Model(inputs, outputs)


def scrambled(model):
    """`model` with weights that are all different."""
    random_state = np.random.RandomState(0)
    for _, variable in sorted(model_variables(model).items()):
        variable.assign(random_state.normal(size=variable.shape).astype("f4"))
    return model


def save(model, form, path):
    """The path of the file that `model` is written to."""
    if form == "objects":
        tf.train.Checkpoint(model=model).write(path)
    elif form == "bare":
        path += ".npz"
        np.savez(path, **{name: variable.numpy() for name, variable in model_variables(model).items()})
    elif KERAS_3:
        path += ".h5"
        model.save(path)
    else:
        path += ".h5"
        model.save_weights(path)
    return path


STYLES = ["from 0", "from 1", "with gaps", "in any order", "words"]


@pytest.mark.parametrize("seed", range(16))
def test_right_or_an_error(seed, tmp_path):
    rng = random.Random(seed)
    kinds = rng.choice(KINDS)
    plan = [rng.choice(kinds) for _ in range(rng.randint(2, 5))]
    form = rng.choice(["hdf5", "hdf5", "objects", "bare"])
    # Nothing but numbers is in a bare file, so that they are believed there.
    style = rng.choice(STYLES[:3] if form == "bare" else STYLES)
    original = scrambled(build(rng, plan, style))
    try:
        path = save(original, form, str(tmp_path / "model"))
    except RuntimeError as error:
        pytest.skip(f"this Keras cannot write it: {error}")
    model = build(rng, plan, rng.choice(STYLES))
    variables = model_variables(model)
    rules = []
    for _ in range(4):
        try:
            with open_checkpoint(path) as checkpoint:
                load(make_plan(checkpoint, variables, rules), checkpoint, variables)
        except MappingError as error:
            fresh = [rule for rule in error.suggestions if rule not in rules]
            if not fresh:
                return
            rules += fresh
        else:
            inputs = np.random.RandomState(1).normal(size=(2, 4, UNITS)).astype("f4")
            wanted = original.predict_on_batch(inputs)
            np.testing.assert_allclose(model.predict_on_batch(inputs), wanted, rtol=0, atol=1e-5)
            return
    raise AssertionError(f"there is no end to what is suggested: {rules}")
