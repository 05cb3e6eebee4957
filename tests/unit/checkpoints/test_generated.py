"""Generated models, written and read with the Keras of this environment: right, or an error, never silently wrong.

`CARRYOVER_GENERATED` is the number of models for each kind of file, `CARRYOVER_SEED` the first seed. To write with one
release and read with another one, run `generated_cases`.
"""

from __future__ import annotations

import collections
import itertools
import os

import numpy as np
import pytest

from checkpoints import MappingError, make_plan, model_variables, open_checkpoint

from . import generated_cases as cases

try:
    import tensorflow as tf
except ImportError:
    tf = None
    keras = pytest.importorskip("keras")
else:
    keras = tf.keras
    if not tf.executing_eagerly():
        tf.compat.v1.enable_eager_execution()
pytest.importorskip("h5py")

KERAS_3 = hasattr(keras, "version")
KINDS = cases.writable(keras)
MODELS = int(os.environ.get("CARRYOVER_GENERATED", "4"))
FIRST = int(os.environ.get("CARRYOVER_SEED", "0"))


def written(kind, parent):
    """The folders of models that can be a file of that kind, one after the other."""
    for case in filter(None, (cases.draw_case(keras, seed, kind) for seed in itertools.count(FIRST))):
        folder = parent / str(case["seed"])
        folder.mkdir()
        if cases.write(keras, case, str(folder)):
            yield str(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_right_or_an_error(kind, tmp_path):
    ends = collections.Counter()
    for folder in itertools.islice(written(kind, tmp_path), MODELS):
        end = cases.read(keras, folder, 0)
        assert end.outcome != "wrong", (folder, end)
        ends[end.outcome] += 1
    print(dict(ends))
    assert ends["right"]


class Own(keras.Model):
    """A model of a class of the user's own, with its layers in a list."""

    def __init__(self, names):
        super().__init__(name="own")
        self.parts = [keras.layers.Dense(3, name=name) for name in names]

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.skipif(KERAS_3, reason="Keras 3 writes no layers of a list to either kind of file")
@pytest.mark.parametrize("kind", ["objects", "weights of Keras 2"])
@pytest.mark.parametrize("names", [["d_1", "d_2", "d"], ["d_2", "d_1", "d"]])
def test_lists_against_numbers(kind, names, tmp_path):
    """Keras lists the layers of file and model in one order, their numbers say another: nobody but the user knows."""
    path = str(tmp_path / cases.FILES[kind])
    original, model = Own(names), Own(sorted(names))
    for each in (original, model):
        each(np.ones((2, 3), "f4"))
    original.save_weights(path) if path.endswith(".h5") else tf.train.Checkpoint(model=original).write(path)
    with open_checkpoint(path) as checkpoint:
        with pytest.raises(MappingError, match="the order of the layers says otherwise") as raised:
            make_plan(checkpoint, model_variables(model))
    assert [rule.target for rule in raised.value.suggestions] == ["d | d_1 | d_2"] * 3
