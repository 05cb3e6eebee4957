"""The GAN as two Keras models, for every Keras from tf.keras of 1.15 to Keras 3."""

from __future__ import annotations

import numpy as np

try:
    from tensorflow import keras
except ImportError:  # Keras 3 on another backend
    import keras

import checkpoints
from gan.settings import LATENT_SIZE


def build_generator():
    """The generator: (batch, LATENT_SIZE) to (batch, 1)."""
    return keras.Sequential(
        [
            keras.layers.InputLayer((LATENT_SIZE,)),
            keras.layers.Dense(64, activation="elu", name="fc1"),
            keras.layers.Dense(64, activation="elu", name="fc2"),
            keras.layers.Dense(1, name="G"),
        ],
        name="generator",
    )


def build_discriminator():
    """The discriminator: (batch, 1) to logits of shape (batch, 1)."""
    return keras.Sequential(
        [
            keras.layers.InputLayer((1,)),
            keras.layers.Dense(32, activation="elu", name="fc1"),
            keras.layers.Dense(1, name="D"),
        ],
        name="discriminator",
    )


def outputs_of(model, inputs):
    """What a Keras model gives for `inputs`, as an array, on whatever backend it computes."""
    outputs = model(inputs)
    return np.asarray(outputs.detach() if hasattr(outputs, "detach") else outputs)


def seed_weights(seed):
    """Make the initial weights follow from `seed`: Keras has a generator of its own, with this setter from 2.7."""
    if hasattr(keras.utils, "set_random_seed"):
        keras.utils.set_random_seed(seed)
        return
    import tensorflow as tf

    tf.compat.v1.set_random_seed(seed)


def named_variables(models):
    """The variables of `models` (by name) as `checkpoints` calls them, which is what TensorFlow 1 calls them."""
    return checkpoints.model_variables(models)


def inner(variables):
    """The tf.Variables of Keras variables: Keras 3 wraps them, earlier ones are tf.Variables."""
    return [variable.value if hasattr(variable, "path") else variable for variable in variables]
