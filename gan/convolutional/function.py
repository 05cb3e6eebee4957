"""The eager step under tf.function, which runs the updates of the moving statistics as the program's order has them."""

from __future__ import annotations

import tensorflow as tf

from gan.convolutional.eager import EagerGAN


class FunctionGAN(EagerGAN):
    """The same models, optimizers and updates; the step is one graph."""

    def __init__(self, settings):
        super().__init__(settings)

        @tf.function
        def compiled(real, z_for_d, z_for_g):
            d_loss = self.train_discriminator(real, z_for_d)
            return d_loss, self.train_generator(z_for_g)

        self._compiled = compiled

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch, one network after the other; the losses of the discriminator and the generator."""
        d_loss, g_loss = self._compiled(tf.constant(real), tf.constant(z_for_d), tf.constant(z_for_g))
        return d_loss.numpy(), g_loss.numpy()
