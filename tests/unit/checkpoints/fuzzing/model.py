"""A stand-in for a Keras model, so that `verify` can load damaged files into one where there is no Keras."""

from __future__ import annotations

import numpy as np

from ..support import Variable


class Layer:
    """One dense layer, or what contains it."""

    def __init__(self, name, weights=(), layers=None):
        self.name = name
        self.weights = list(weights)
        self.built = True
        if layers is not None:
            self.layers = layers

    def call(self, inputs):
        """What a layer computes."""
        return inputs

    def predict_on_batch(self, inputs):
        """Of inputs (batch, 3) the outputs (batch, 2)."""
        kernel, bias = (weight.numpy() for weight in self.weights)
        return np.asarray(inputs, "f4") @ kernel + bias


def build():
    """A model of one dense layer `fc1`, of 3 inputs and 2 outputs."""
    weights = [Variable((3, 2)), Variable((2,))]
    for weight, name in zip(weights, ("kernel", "bias")):
        weight.name = name
    return Layer("model", weights, [Layer("fc1", weights)])
