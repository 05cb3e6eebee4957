"""What the tests of `checkpoints` share: the small real files, and stand-ins for Keras variables."""

from __future__ import annotations

import glob
import os

import numpy as np
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "data")
CORPUS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(HERE))), os.pardir, "shared", "corpus")

needs_corpus = pytest.mark.skipif(not os.path.isdir(CORPUS), reason="the corpus of other people's files is not here")


def data(name):
    """The path of a file made by TensorFlow 1.15 (see data/make_data.py)."""
    return os.path.join(DATA, name)


def corpus(pattern):
    """The paths in the corpus that match a glob pattern, `**` included."""
    return sorted(glob.glob(os.path.join(CORPUS, pattern), recursive=True))


def expected(base):
    """What TensorFlow reads in one of the small files: {name: array}."""
    with np.load(data("expected.npz")) as stored:
        return {key.partition(":")[2]: stored[key] for key in stored.files if key.partition(":")[0] == base}


def comparable(array):
    """`array` in the form of `expected`: stored integers for extension types, hexadecimal digits for strings."""
    if array.dtype == object:
        return np.array([item.hex() for item in array.reshape(-1)]).reshape(array.shape)
    return array[array.dtype.names[0]] if array.dtype.names else array


class Variable:
    """A stand-in for a Keras variable: shape, dtype, assign, numpy."""

    def __init__(self, shape, dtype="float32"):
        self.shape = shape
        self.dtype = dtype
        self.assigned = 0
        self._value = np.zeros(shape, dtype)

    def assign(self, value):
        self.assigned += 1
        self._value = np.array(value, dtype=self.dtype)

    def numpy(self):
        return self._value
