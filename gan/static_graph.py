"""The GAN as people wrote it in TensorFlow 1: a static graph of tf.layers under variable scopes, and a Session."""

from __future__ import annotations

import contextlib

import tensorflow.compat.v1 as tf

from gan.losses import discriminator_loss, generator_loss
from gan.settings import LATENT_SIZE


def generator(z):
    """G(z): (batch, LATENT_SIZE) to (batch, 1)."""
    with tf.variable_scope("generator"):
        hidden = tf.layers.dense(z, 64, tf.nn.elu, name="fc1")
        hidden = tf.layers.dense(hidden, 64, tf.nn.elu, name="fc2")
        return tf.layers.dense(hidden, 1, name="G")


def discriminator(x, reuse=False):
    """The logits D(x): (batch, 1) to (batch, 1). `reuse` shares the variables of the first call."""
    with tf.variable_scope("discriminator", reuse=reuse):
        hidden = tf.layers.dense(x, 32, tf.nn.elu, name="fc1")
        return tf.layers.dense(hidden, 1, name="D")


class StaticGraphGAN:
    """The graph, and a Session on it. Use as a context manager: the Session is open within.

    On one thread the same seed gives the same numbers to the last bit.
    """

    config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)

    def __init__(self, settings, initial=None):
        """`initial` is the prefix of a checkpoint to take the variables of both networks from."""
        self.settings, self.initial = settings, initial
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.set_random_seed(settings.seed)
            self._build(settings)

    def _build(self, settings):
        self.x = tf.placeholder(tf.float32, (None, 1), "x")
        self.z = tf.placeholder(tf.float32, (None, LATENT_SIZE), "z")
        self.fake = generator(self.z)
        self.real_logits = discriminator(self.x)
        fake_logits = discriminator(self.fake, reuse=True)
        self.d_loss = discriminator_loss(self.real_logits, fake_logits)
        self.g_loss = generator_loss(fake_logits)

        def adam():
            return tf.train.AdamOptimizer(settings.learning_rate, epsilon=settings.epsilon)

        d_variables = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, "discriminator/")
        g_variables = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, "generator/")
        self.global_step = tf.train.get_or_create_global_step()
        self.train_d = adam().minimize(self.d_loss, var_list=d_variables)
        self.train_g = adam().minimize(self.g_loss, self.global_step, var_list=g_variables)
        self.variables = {variable.op.name: variable for variable in d_variables + g_variables}
        self.values = {name: tf.identity(variable) for name, variable in self.variables.items()}
        self.initializer = tf.global_variables_initializer()
        self.restorer = tf.train.Saver(self.variables)
        self.saver = tf.train.Saver(save_relative_paths=True)  # a checkpoint that can be moved

    def __enter__(self):
        self._context = contextlib.ExitStack()
        self._context.enter_context(self.graph.as_default())
        self.session = self._context.enter_context(tf.Session(config=self.config))
        self.session.run(self.initializer)
        if self.initial is not None:
            self.restorer.restore(self.session, self.initial)
        return self

    def __exit__(self, *error):
        self._context.close()

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch; the losses of the discriminator and the generator.

        The two updates are two runs: tf.layers makes reference variables, and both in one run race for them.
        """
        d_loss, _ = self.session.run([self.d_loss, self.train_d], {self.x: real, self.z: z_for_d})
        g_loss, _ = self.session.run([self.g_loss, self.train_g], {self.z: z_for_g})
        return d_loss, g_loss

    def save(self, prefix):
        """Write a checkpoint (Saver V2) of everything in the graph, slots and counters included, and its .meta."""
        self.saver.save(self.session, prefix, write_meta_graph=False)
        with open(prefix + ".meta", "wb") as file:  # as the Saver writes it, but in the same order every time
            file.write(self.saver.export_meta_graph().SerializeToString(deterministic=True))

    def weights(self):
        """Every variable of both networks by its TensorFlow 1 name, as an array."""
        return self.session.run(self.values)

    def generate(self, z):
        """G(z)."""
        return self.session.run(self.fake, {self.z: z})

    def discriminate(self, x):
        """D(x), logits."""
        return self.session.run(self.real_logits, {self.x: x})
