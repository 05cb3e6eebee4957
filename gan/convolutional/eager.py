"""The GAN trained eagerly. A call of a model with training=True moves its moving statistics, there and then."""

from __future__ import annotations

import tensorflow as tf

from gan.convolutional import networks
from gan.convolutional.settings import PIXELS, TRAINING
from gan.keras_models import inner
from gan.losses import discriminator_loss, generator_loss


class EagerGAN:
    """The two models with an Adam each."""

    def __init__(self, settings):
        self.d_training, self.g_training = TRAINING[settings.training]
        self.real_scale, self.fake_scale = PIXELS[settings.pixels]
        self.generator, self.discriminator = networks.build_generator(), networks.build_discriminator()
        self.variables = networks.named_variables(self.generator, self.discriminator)
        for name, value in networks.initial_values(self.variables, settings.seed).items():
            self.variables[name].assign(value)
        self.d_optimizer = tf.compat.v1.train.AdamOptimizer(settings.learning_rate, beta1=0.5)
        self.g_optimizer = tf.compat.v1.train.AdamOptimizer(settings.learning_rate, beta1=0.5)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def train_discriminator(self, real, z):
        """One update of the discriminator; its loss before it."""
        with tf.GradientTape() as tape:
            fake = self.generator(z, training=True) * self.fake_scale
            real_logits = self.discriminator(real * self.real_scale, training=self.d_training)
            fake_logits = self.discriminator(fake, training=self.d_training)
            loss = discriminator_loss(real_logits, fake_logits)
        variables = inner(self.discriminator.trainable_variables)
        self.d_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    def train_generator(self, z):
        """One update of the generator; its loss before it."""
        with tf.GradientTape() as tape:
            fake = self.generator(z, training=True) * self.fake_scale
            loss = generator_loss(self.discriminator(fake, training=self.g_training))
        variables = inner(self.generator.trainable_variables)
        self.g_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch, one network after the other; the losses of the discriminator and the generator."""
        d_loss = self.train_discriminator(tf.constant(real), tf.constant(z_for_d))
        return d_loss.numpy(), self.train_generator(tf.constant(z_for_g)).numpy()

    def statistics(self):
        """The discriminator's moving mean and variance, as arrays."""
        return [variable.numpy() for variable in networks.statistics(self.variables)]

    def weights(self):
        """Every variable of both networks by name, as an array."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def generate(self, z, training):
        """G(z) by the statistics of the batch (training=True) or by the moving ones (False)."""
        return self.generator(tf.constant(z), training=training).numpy()
