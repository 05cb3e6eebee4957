"""The GAN as people wrote it in TensorFlow 1: a static graph of tf.layers under variable scopes, and a Session."""

from __future__ import annotations

import contextlib
import os

import tensorflow.compat.v1 as tf

from gan.initial import check_fit
from gan.losses import discriminator_loss, generator_loss
from gan.settings import LATENT_SIZE


def dense(inputs, units, name, activation=None):
    """tf.layers.dense with TensorFlow 1's own initializer, which follows tf.set_random_seed. Keras 2.7's does not."""
    initializer = tf.glorot_uniform_initializer()
    return tf.layers.dense(inputs, units, activation, kernel_initializer=initializer, name=name)


def generator(z):
    """G(z): (batch, LATENT_SIZE) to (batch, 1)."""
    with tf.variable_scope("generator"):
        hidden = dense(z, 64, "fc1", tf.nn.elu)
        hidden = dense(hidden, 64, "fc2", tf.nn.elu)
        return dense(hidden, 1, "G")


def discriminator(x, reuse=False):
    """The logits D(x): (batch, 1) to (batch, 1). `reuse` shares the variables of the first call."""
    with tf.variable_scope("discriminator", reuse=reuse):
        hidden = dense(x, 32, "fc1", tf.nn.elu)
        return dense(hidden, 1, "D")


class StaticGraphGAN:
    """The graph, and a Session on it. Use as a context manager: the Session is open within.

    On one thread the same seed gives the same numbers to the last bit.
    """

    config = tf.ConfigProto(
        intra_op_parallelism_threads=1,
        inter_op_parallelism_threads=1,
        allow_soft_placement=True,  # counters have no place on a GPU
    )

    def __init__(self, settings, initial=None, folder=None):
        """`initial` is the prefix of a checkpoint to take the variables of both networks from.

        With a `folder`, checkpoints and event files are kept there, and its newest checkpoint is gone on from.
        """
        self.settings, self.initial, self.folder = settings, initial, folder
        self.graph = tf.Graph()
        with self.graph.as_default(), tf.device(settings.placement):
            tf.set_random_seed(settings.seed)
            self._build(settings)
            if initial is not None:
                check_fit(initial, self.variables)
            if folder is not None:
                tf.summary.scalar("d_loss", self.d_loss)
                tf.summary.scalar("g_loss", self.g_loss)
                tf.summary.histogram("generated", self.fake)
                self.summaries = tf.summary.merge_all()

    def _build(self, settings):
        self.x = tf.placeholder(tf.float32, (None, 1), "x")
        self.z = tf.placeholder(tf.float32, (None, LATENT_SIZE), "z")
        self.fake = generator(self.z)
        self.real_logits = discriminator(self.x)
        fake_logits = discriminator(self.fake, reuse=True)
        self.d_loss = discriminator_loss(self.real_logits, fake_logits)
        self.g_loss = generator_loss(fake_logits)

        d_variables = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, "discriminator/")
        g_variables = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, "generator/")
        self.global_step = tf.train.get_or_create_global_step()
        self._build_updates(settings, d_variables, g_variables)
        self.variables = {variable.op.name: variable for variable in d_variables + g_variables}
        self.values = {name: tf.identity(variable) for name, variable in self.variables.items()}
        self.initializer = tf.global_variables_initializer()
        self.restorer = tf.train.Saver(self.variables)
        self.saver = tf.train.Saver(save_relative_paths=True)  # a checkpoint that can be moved

    def _build_updates(self, settings, d_variables, g_variables):
        d_adam = tf.train.AdamOptimizer(settings.learning_rate, epsilon=settings.epsilon)
        g_adam = tf.train.AdamOptimizer(settings.learning_rate, epsilon=settings.epsilon)
        if not settings.together:
            self.train_d = d_adam.minimize(self.d_loss, var_list=d_variables)
            self.train_g = g_adam.minimize(self.g_loss, self.global_step, var_list=g_variables)
            return
        # tf.layers makes reference variables: in one run, what is read and what is updated first is a race. So
        # nothing is updated before all losses and gradients are there.
        d_gradients = d_adam.compute_gradients(self.d_loss, d_variables)
        g_gradients = g_adam.compute_gradients(self.g_loss, g_variables)
        computed = [self.d_loss, self.g_loss] + [gradient for gradient, _ in d_gradients + g_gradients]
        with tf.control_dependencies(computed):
            self.train_d = d_adam.apply_gradients(d_gradients)
            self.train_g = g_adam.apply_gradients(g_gradients, self.global_step)

    def __enter__(self):
        self._context = contextlib.ExitStack()
        self._context.enter_context(self.graph.as_default())
        self.session = self._context.enter_context(tf.Session(config=self.config))
        self.session.run(self.initializer)
        kept = tf.train.get_checkpoint_state(self.folder) if self.folder else None
        if kept is not None:
            self.saver.restore(self.session, kept.model_checkpoint_path)
            self.saver.recover_last_checkpoints(kept.all_model_checkpoint_paths)  # so that old ones are deleted
        elif self.initial is not None:
            self.restorer.restore(self.session, self.initial)
        if self.folder is not None:
            self.writer = self._context.enter_context(tf.summary.FileWriter(self.folder, self.graph))
        return self

    def __exit__(self, *error):
        return self._context.__exit__(*error)

    @property
    def steps_done(self):
        """How many steps have been trained, those before the checkpoint included."""
        return int(self.evaluate(self.global_step))

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch; the losses of the discriminator and the generator before it.

        The two updates are two runs: tf.layers makes reference variables, and both in one run race for them.
        """
        if self.settings.together:
            fetches = [self.d_loss, self.g_loss, self.train_d, self.train_g]
            return tuple(self.session.run(fetches, {self.x: real, self.z: z_for_d})[:2])
        d_loss, _ = self.session.run([self.d_loss, self.train_d], {self.x: real, self.z: z_for_d})
        g_loss, _ = self.session.run([self.g_loss, self.train_g], {self.z: z_for_g})
        return d_loss, g_loss

    def keep(self):
        """Write a checkpoint into the folder, and delete the oldest of more than five."""
        self.saver.save(self.session, os.path.join(self.folder, "model.ckpt"), self.global_step)

    def summarize(self, step, losses, real, z):
        """Write what TensorBoard shows of this step into the folder."""
        self.writer.add_summary(self.evaluate(self.summaries, {self.x: real, self.z: z}), step)

    def save(self, prefix):
        """Write a checkpoint (Saver V2) of everything in the graph, slots and counters included, and its .meta."""
        self.saver.save(self.session, prefix, write_meta_graph=False)
        with open(prefix + ".meta", "wb") as file:  # as the Saver writes it, but in the same order every time
            file.write(self.saver.export_meta_graph().SerializeToString(deterministic=True))

    def evaluate(self, fetches, feeds=None):
        """Run what trains nothing."""
        return self.session.run(fetches, feeds)

    def weights(self):
        """Every variable of both networks by its TensorFlow 1 name, as an array."""
        return self.evaluate(self.values)

    def generate(self, z):
        """G(z)."""
        return self.evaluate(self.fake, {self.z: z})

    def discriminate(self, x):
        """D(x), logits."""
        return self.evaluate(self.real_logits, {self.x: x})
