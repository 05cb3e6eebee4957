"""Files of Keras 3 (and of Keras 2 from TF 2.13 on), into models whose layers are of equal shape and other names."""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import MappingError, load, make_plan, model_variables, open_checkpoint

from .support import data

tf = pytest.importorskip("tensorflow")
pytest.importorskip("h5py")
if not tf.executing_eagerly():
    tf.compat.v1.enable_eager_execution()
keras = tf.keras
layers = keras.layers


class Block(layers.Layer):
    """A layer of the user's own: layers in a list, in an attribute, in a private one, and a variable."""

    def __init__(self, prefix):
        super().__init__(name=prefix + "block")
        self.parts = [layers.Dense(3, name=f"{prefix}part{number}") for number in (1, 0)]
        self.norm = layers.BatchNormalization(name=prefix + "norm")
        self._hidden = layers.Dense(3, name=prefix + "hidden")

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(3,), initializer="ones")
        super().build(shape)

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return self.norm(self._hidden(x)) * self.scale


def stack(prefix=""):
    """Layers of equal shape whose order is not that of their names, a model within, and recurrent layers."""
    inner = keras.Sequential(
        [layers.InputLayer((3,)), layers.Dense(3, name=prefix + "d"), layers.Dense(3, name=prefix + "c")]
    )
    inputs = keras.Input((4, 3))
    x = layers.Bidirectional(layers.LSTM(2), name=prefix + "both")(inputs)
    x = layers.Dropout(0.5)(layers.Dense(3, name=prefix + "z")(x))
    x = layers.Dense(3, name=prefix + "b")(layers.Dense(3, name=prefix + "a")(x))
    x = layers.BatchNormalization(name=prefix + "norm")(inner(x))
    return keras.Model(inputs, Block(prefix)(x))


def scrambled(model):
    """`model` with weights that are all different."""
    random = np.random.RandomState(0)
    # By name: the order of weights differs between releases.
    for _, variable in sorted(model_variables({"": model}).items()):
        variable.assign(random.rand(*variable.shape).astype("f4"))
    return model


needs_the_format = pytest.mark.skipif(
    not (hasattr(keras, "version") or tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 13)),
    reason="this Keras does not write such files",
)


@needs_the_format
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_every_variable_goes_where_keras_itself_puts_it(suffix, compiled, tmp_path):
    model = scrambled(stack())
    if compiled:
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(np.ones((2, 4, 3), "f4"), np.ones((2, 3), "f4"), verbose=0)
    path = str(tmp_path / ("model" + suffix))
    model.save(path) if suffix == ".keras" else model.save_weights(path)
    theirs, ours = scrambled(stack("x_")), stack("y_")
    variables = model_variables({"": ours})
    with open_checkpoint(path) as checkpoint:
        plan = make_plan(checkpoint, variables)
        load(plan, checkpoint, variables)
    if suffix == ".weights.h5":
        theirs.load_weights(path)
        for mine, other in zip(ours.get_weights(), theirs.get_weights()):
            assert np.array_equal(mine, other)
    for mine, other in zip(ours.get_weights(), model.get_weights()):
        assert np.array_equal(mine, other)
    assert {row.reason for row in plan.loads()} == {"its place in the model, by which Keras names it"}


@pytest.mark.parametrize("name", ["weights_keras2.weights.h5", "weights_keras3.weights.h5"])
def test_files_of_either_keras_load_into_this_one(name):
    ours = stack("y_")
    variables = model_variables({"net": ours})
    with open_checkpoint(data(name)) as checkpoint:
        load(make_plan(checkpoint, variables), checkpoint, variables)
    for mine, other in zip(ours.get_weights(), scrambled(stack()).get_weights()):
        assert np.array_equal(mine, other)


def test_a_file_of_another_model_is_not_mapped_by_place(tmp_path):
    other = keras.Sequential([layers.InputLayer((3,)), layers.Dense(3, name="one"), layers.Dense(3, name="two")])
    variables = model_variables({"": other})
    with open_checkpoint(data("weights_keras3.weights.h5")) as checkpoint, pytest.raises(MappingError):
        make_plan(checkpoint, variables, infer=True)
