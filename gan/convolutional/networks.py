"""Both networks as Keras models, and initial values that are the same whatever Keras and whatever the mode."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gan.convolutional.data import LATENT_SIZE, SIZE

layers = tf.keras.layers

NORMALIZATION = 3  # the place of the discriminator's batch normalization among its layers


def _normalization():
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-5)


def build_generator():
    """The generator: (batch, 1, 1, LATENT_SIZE) to images (batch, SIZE, SIZE, 1) within -1 and 1."""
    return tf.keras.Sequential(
        [
            layers.InputLayer((1, 1, LATENT_SIZE)),
            layers.Conv2DTranspose(64, 2, use_bias=False),
            _normalization(),
            layers.ReLU(),
            layers.Conv2DTranspose(32, 4, strides=2, padding="same", use_bias=False),
            _normalization(),
            layers.ReLU(),
            layers.Conv2DTranspose(1, 4, strides=2, padding="same", use_bias=False, activation="tanh"),
        ]
    )


def build_discriminator():
    """The discriminator: images (batch, SIZE, SIZE, 1) to logits (batch, 1, 1, 1)."""
    return tf.keras.Sequential(
        [
            layers.InputLayer((SIZE, SIZE, 1)),
            layers.Conv2D(32, 4, strides=2, padding="same", use_bias=False),
            layers.LeakyReLU(0.2),
            layers.Conv2D(64, 4, strides=2, padding="same", use_bias=False),
            _normalization(),
            layers.LeakyReLU(0.2),
            layers.Conv2D(1, 2, use_bias=False),
        ]
    )


def name_of(variable):
    """What a layer calls a variable of its own: kernel, gamma, beta, moving_mean or moving_variance."""
    return variable.name.rpartition("/")[2].partition(":")[0]


def named_variables(generator, discriminator):
    """{"generator/0/kernel": variable, ...}: every variable by network, place of the layer, and name_of."""
    return {
        "{}/{}/{}".format(network, place, name_of(variable)): variable
        for network, model in (("generator", generator), ("discriminator", discriminator))
        for place, layer in enumerate(model.layers)
        for variable in layer.weights
    }


def statistics(variables):
    """The discriminator's moving mean and variance among `variables`, which are by name."""
    return [variables["discriminator/{}/{}".format(NORMALIZATION, name)] for name in ("moving_mean", "moving_variance")]


def initial_values(variables, seed):
    """Kernels N(0, .02), gammas and betas N(1, .02), moving means 0 and variances 1, by name: the same anywhere."""
    random = np.random.RandomState(1000 + seed)
    values = {}
    for name in sorted(variables):
        kind, shape = name.rpartition("/")[2], tuple(variables[name].shape)
        if kind.startswith("moving"):
            values[name] = np.full(shape, float(kind == "moving_variance"), np.float32)
        else:
            values[name] = random.normal(float(kind != "kernel"), 0.02, shape).astype(np.float32)
    return values
