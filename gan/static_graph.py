"""The GAN as a TensorFlow 1 static graph: tf.layers under variable scopes, placeholders, a Session."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from gan.data import training_batches
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


def cross_entropy(logits, label):
    """The mean sigmoid cross-entropy of `logits` against `label` (0 or 1) everywhere."""
    labels = tf.fill(tf.shape(logits), float(label))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


class StaticGraphGAN:
    """The graph: placeholders `x` and `z`, outputs `fake` and `real_logits`, losses and one training op a network."""

    def __init__(self, settings):
        self.settings = settings
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
        self.d_loss = cross_entropy(self.real_logits, 1) + cross_entropy(fake_logits, 0)
        self.g_loss = cross_entropy(fake_logits, 1)

        def adam():
            return tf.train.AdamOptimizer(settings.learning_rate, epsilon=settings.epsilon)

        def variables(scope):
            return tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope + "/")

        self.global_step = tf.train.get_or_create_global_step()
        self.train_d = adam().minimize(self.d_loss, var_list=variables("discriminator"))
        self.train_g = adam().minimize(self.g_loss, self.global_step, var_list=variables("generator"))
        self.initializer = tf.global_variables_initializer()
        self.saver = tf.train.Saver(save_relative_paths=True)  # a checkpoint that can be moved

    def session(self):
        """A Session on one thread, where the same seed gives the same numbers to the last bit."""
        config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        return tf.Session(graph=self.graph, config=config)

    def train(self, session):
        """Initialize and train in `session`; the (discriminator, generator) losses of each step.

        The two updates are two runs: tf.layers makes reference variables, and both in one run race for them.
        """
        session.run(self.initializer)
        losses = []
        for real, z_for_d, z_for_g in training_batches(self.settings):
            d_loss, _ = session.run([self.d_loss, self.train_d], {self.x: real, self.z: z_for_d})
            g_loss, _ = session.run([self.g_loss, self.train_g], {self.z: z_for_g})
            losses.append((float(d_loss), float(g_loss)))
        return losses
