"""Training the Keras models of the GAN with tf.GradientTape, the step compiled by tf.function."""

from __future__ import annotations

import tensorflow as tf

from gan.data import training_batches
from gan.keras_models import build_discriminator, build_generator


def cross_entropy(logits, label):
    """The mean sigmoid cross-entropy of `logits` against `label` (0 or 1) everywhere."""
    labels = tf.fill(tf.shape(logits), float(label))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


def seed_weights(seed):
    """Make the initial weights follow from `seed`: Keras has a generator of its own, with this setter from 2.7."""
    getattr(tf.keras.utils, "set_random_seed", tf.random.set_seed)(seed)


class GradientTapeGAN:
    """The two models with an Adam each."""

    def __init__(self, settings):
        seed_weights(settings.seed)
        self.settings = settings
        self.generator = build_generator()
        self.discriminator = build_discriminator()
        self.d_optimizer = tf.keras.optimizers.Adam(settings.learning_rate, epsilon=settings.epsilon)
        self.g_optimizer = tf.keras.optimizers.Adam(settings.learning_rate, epsilon=settings.epsilon)

    def train_discriminator(self, real, z):
        """One update of the discriminator's variables only; its loss before it."""
        with tf.GradientTape() as tape:
            real_logits = self.discriminator(real, training=True)
            fake_logits = self.discriminator(self.generator(z, training=True), training=True)
            loss = cross_entropy(real_logits, 1) + cross_entropy(fake_logits, 0)
        variables = self.discriminator.trainable_variables
        self.d_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    def train_generator(self, z):
        """One update of the generator's variables only; its loss before it."""
        with tf.GradientTape() as tape:
            loss = cross_entropy(self.discriminator(self.generator(z, training=True), training=True), 1)
        variables = self.generator.trainable_variables
        self.g_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    def train(self):
        """Train; the (discriminator, generator) losses of each step."""

        @tf.function
        def step(real, z_for_d, z_for_g):
            d_loss = self.train_discriminator(real, z_for_d)
            return d_loss, self.train_generator(z_for_g)

        losses = []
        for batches in training_batches(self.settings):
            d_loss, g_loss = step(*map(tf.constant, batches))
            losses.append((float(d_loss), float(g_loss)))
        return losses
