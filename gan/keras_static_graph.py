"""Two Keras models in a static graph, trained with a TensorFlow 1 optimizer in a Session.

The optimizer has to be TensorFlow 1's: the one of Keras 2.11 to 2.15 runs in a static graph and trains nothing, and
says nothing. Keras 3 wraps its variables, and the optimizer needs what is inside.
"""

from __future__ import annotations

import contextlib

import tensorflow as tf

from gan.keras_models import build_discriminator, build_generator, initial_values, inner, named_variables
from gan.losses import discriminator_loss, generator_loss
from gan.settings import LATENT_SIZE


class KerasStaticGraphGAN:
    """The models, the graph that calls them, and a Session on it."""

    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)

    def __init__(self, settings, initial=None):
        """`initial` is the prefix of a TensorFlow 1 checkpoint to take the variables of both networks from."""
        self.settings, self.initial = settings, initial
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.compat.v1.set_random_seed(settings.seed)
            self._build(settings)

    def _build(self, settings):
        self.x = tf.compat.v1.placeholder(tf.float32, (None, 1), "x")
        self.z = tf.compat.v1.placeholder(tf.float32, (None, LATENT_SIZE), "z")
        self.generator, self.discriminator = build_generator(), build_discriminator()
        self.fake = self.generator(self.z)
        self.real_logits = self.discriminator(self.x)
        fake_logits = self.discriminator(self.fake)
        self.d_loss = discriminator_loss(self.real_logits, fake_logits)
        self.g_loss = generator_loss(fake_logits)

        def minimize(loss, model):
            adam = tf.compat.v1.train.AdamOptimizer(settings.learning_rate, epsilon=settings.epsilon)
            return adam.minimize(loss, var_list=inner(model.trainable_variables))

        self.train_d = minimize(self.d_loss, self.discriminator)
        self.train_g = minimize(self.g_loss, self.generator)
        models = {"generator": self.generator, "discriminator": self.discriminator}
        self.variables = dict(zip(named_variables(models), inner(named_variables(models).values())))
        self.values = {name: tf.identity(variable) for name, variable in self.variables.items()}
        self.initializer = tf.compat.v1.global_variables_initializer()

    def __enter__(self):
        self._context = contextlib.ExitStack()
        self._context.enter_context(self.graph.as_default())
        self.session = self._context.enter_context(tf.compat.v1.Session(config=self.config))
        self.session.run(self.initializer)
        if self.initial is not None:
            for name, value in initial_values(self.initial, self.variables).items():
                self.variables[name].load(value, self.session)
        return self

    def __exit__(self, *error):
        self._context.close()

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch, one network after the other; the losses of the discriminator and the generator."""
        d_loss, _ = self.session.run([self.d_loss, self.train_d], {self.x: real, self.z: z_for_d})
        g_loss, _ = self.session.run([self.g_loss, self.train_g], {self.z: z_for_g})
        return d_loss, g_loss

    def weights(self):
        """Every variable of both networks by its TensorFlow 1 name, as an array."""
        return self.session.run(self.values)

    def generate(self, z):
        """G(z)."""
        return self.session.run(self.fake, {self.z: z})

    def discriminate(self, x):
        """D(x), logits."""
        return self.session.run(self.real_logits, {self.x: x})
