"""The GAN as two Keras models, for every Keras from tf.keras of 1.15 to Keras 3."""

from __future__ import annotations

import tensorflow as tf

from gan.settings import LATENT_SIZE


def build_generator():
    """The generator: (batch, LATENT_SIZE) to (batch, 1)."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.Input((LATENT_SIZE,)),
            tf.keras.layers.Dense(64, activation="elu", name="fc1"),
            tf.keras.layers.Dense(64, activation="elu", name="fc2"),
            tf.keras.layers.Dense(1, name="G"),
        ],
        name="generator",
    )


def build_discriminator():
    """The discriminator: (batch, 1) to logits of shape (batch, 1)."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.Input((1,)),
            tf.keras.layers.Dense(32, activation="elu", name="fc1"),
            tf.keras.layers.Dense(1, name="D"),
        ],
        name="discriminator",
    )
