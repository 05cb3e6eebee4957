"""The Keras models trained eagerly: one step is plain Python around two tf.GradientTapes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gan.keras_models import build_discriminator, build_generator, initial_values, inner, named_variables, seed_weights
from gan.losses import discriminator_loss, generator_loss


def make_optimizer(settings):
    """Adam of Keras, or of TensorFlow 1 (`settings.optimizer`); both take the epsilon of the settings."""
    if settings.optimizer == "tf1":
        return tf.compat.v1.train.AdamOptimizer(settings.learning_rate, epsilon=settings.epsilon)
    return tf.keras.optimizers.Adam(settings.learning_rate, epsilon=settings.epsilon)


class EagerGAN:
    """The two models with an optimizer each."""

    def __init__(self, settings, initial=None):
        """`initial` is the prefix of a TensorFlow 1 checkpoint to take the variables of both networks from."""
        seed_weights(settings.seed)
        self.settings = settings
        self.generator, self.discriminator = build_generator(), build_discriminator()
        self.variables = named_variables({"generator": self.generator, "discriminator": self.discriminator})
        if initial is not None:
            for name, value in initial_values(initial, self.variables).items():
                self.variables[name].assign(value)
        self.d_optimizer, self.g_optimizer = make_optimizer(settings), make_optimizer(settings)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def train_discriminator(self, real, z):
        """One update of the discriminator's variables only; its loss before it."""
        with tf.GradientTape() as tape:
            real_logits = self.discriminator(real, training=True)
            fake_logits = self.discriminator(self.generator(z, training=True), training=True)
            loss = discriminator_loss(real_logits, fake_logits)
        self._apply(self.d_optimizer, tape, loss, self.discriminator)
        return loss

    def train_generator(self, z):
        """One update of the generator's variables only; its loss before it."""
        with tf.GradientTape() as tape:
            loss = generator_loss(self.discriminator(self.generator(z, training=True), training=True))
        self._apply(self.g_optimizer, tape, loss, self.generator)
        return loss

    def _apply(self, optimizer, tape, loss, model):
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        if self.settings.optimizer == "tf1":
            variables = inner(variables)
        optimizer.apply_gradients(zip(gradients, variables))

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch, one network after the other; the losses of the discriminator and the generator."""
        d_loss = self.train_discriminator(tf.constant(real), tf.constant(z_for_d))
        return d_loss.numpy(), self.train_generator(tf.constant(z_for_g)).numpy()

    def weights(self):
        """Every variable of both networks by its TensorFlow 1 name, as an array."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def generate(self, z):
        """G(z)."""
        return np.asarray(self.generator(tf.constant(z)))

    def discriminate(self, x):
        """D(x), logits."""
        return np.asarray(self.discriminator(tf.constant(x)))
