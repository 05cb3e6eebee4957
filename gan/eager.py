"""The Keras models trained eagerly: one step is plain Python around two tf.GradientTapes."""

from __future__ import annotations

import contextlib

import numpy as np
import tensorflow as tf

from gan import summaries
from gan.initial import initial_values
from gan.keras_models import build_discriminator, build_generator, inner, named_variables, seed_weights
from gan.losses import discriminator_loss, generator_loss
from gan.settings import LATENT_SIZE


def make_optimizer(settings):
    """Adam of Keras, its legacy one, or TensorFlow 1's (`settings.optimizer`), with the epsilon of the settings."""
    if settings.optimizer == "tf1":
        return tf.compat.v1.train.AdamOptimizer(settings.learning_rate, epsilon=settings.epsilon)
    if settings.optimizer == "keras_legacy":
        return tf.keras.optimizers.legacy.Adam(settings.learning_rate, epsilon=settings.epsilon)
    return tf.keras.optimizers.Adam(settings.learning_rate, epsilon=settings.epsilon)


class EagerGAN:
    """The two models with an optimizer each."""

    def __init__(self, settings, initial=None, folder=None):
        """`initial` is the prefix of a TensorFlow 1 checkpoint to take the variables of both networks from.

        With a `folder`, checkpoints and event files are kept there, and its newest checkpoint is gone on from.
        """
        seed_weights(settings.seed)
        self.settings, self.folder = settings, folder
        with tf.device(settings.placement):
            self.generator, self.discriminator = build_generator(), build_discriminator()
            self.variables = named_variables({"generator": self.generator, "discriminator": self.discriminator})
            if initial is not None:
                for name, value in initial_values(initial, self.variables).items():
                    self.variables[name].assign(value)
            self.d_optimizer, self.g_optimizer = make_optimizer(settings), make_optimizer(settings)
        self._steps_done = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.checkpoint = tf.train.Checkpoint(
            steps_done=self._steps_done,
            generator=self.generator,
            discriminator=self.discriminator,
            d_optimizer=self.d_optimizer,
            g_optimizer=self.g_optimizer,
        )
        if settings.optimizer == "tf1":  # whose slots are kept only with the tf.Variables that they belong to
            self.checkpoint.trained = inner(self.variables.values())

    def __enter__(self):
        self._context = contextlib.ExitStack()
        if self.folder is None:
            return self
        self._build_optimizers()
        self.manager = tf.train.CheckpointManager(self.checkpoint, self.folder, max_to_keep=5)
        if self.manager.latest_checkpoint:
            self.checkpoint.restore(self.manager.latest_checkpoint).assert_existing_objects_matched()
        self.writer = tf.compat.v2.summary.create_file_writer(self.folder)
        self._context.callback(self.writer.close)
        self._draw_graph()
        return self

    def __exit__(self, *error):
        return self._context.__exit__(*error)

    def _build_optimizers(self):
        """Make the slots, where Keras can (since 2.11): those that do not exist yet are not restored, silently."""
        models = ((self.d_optimizer, self.discriminator), (self.g_optimizer, self.generator))
        for optimizer, model in models:
            if hasattr(optimizer, "build"):
                optimizer.build(model.trainable_variables)

    def _draw_graph(self):
        """Show TensorBoard what is computed: eager execution has no graph, so the networks are traced for it."""

        @tf.function
        def networks(z):
            return self.discriminator(self.generator(z))

        tf.compat.v2.summary.trace_on(graph=True)
        networks(tf.zeros((1, LATENT_SIZE)))
        with self.writer.as_default():
            tf.compat.v2.summary.trace_export("networks", step=0)

    @property
    def steps_done(self):
        """How many steps have been trained, those before the checkpoint included."""
        return int(self._steps_done.numpy())

    def train_discriminator(self, real, z):
        """One update of the discriminator's variables only; its loss before it."""
        with tf.GradientTape() as tape:
            real_logits = self.discriminator(real, training=True)
            fake_logits = self.discriminator(self.generator(z, training=True), training=True)
            loss = discriminator_loss(real_logits, fake_logits)
        gradients = tape.gradient(loss, self.discriminator.trainable_variables)
        self._apply(self.d_optimizer, gradients, self.discriminator)
        return loss

    def train_generator(self, z):
        """One update of the generator's variables only; its loss before it."""
        with tf.GradientTape() as tape:
            loss = generator_loss(self.discriminator(self.generator(z, training=True), training=True))
        gradients = tape.gradient(loss, self.generator.trainable_variables)
        self._apply(self.g_optimizer, gradients, self.generator)
        return loss

    def train_together(self, real, z):
        """One update of both, from the same weights and the same `z`; both losses before it."""
        with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
            real_logits = self.discriminator(real, training=True)
            fake_logits = self.discriminator(self.generator(z, training=True), training=True)
            d_loss, g_loss = discriminator_loss(real_logits, fake_logits), generator_loss(fake_logits)
        d_gradients = d_tape.gradient(d_loss, self.discriminator.trainable_variables)
        g_gradients = g_tape.gradient(g_loss, self.generator.trainable_variables)
        self._apply(self.d_optimizer, d_gradients, self.discriminator)
        self._apply(self.g_optimizer, g_gradients, self.generator)
        return d_loss, g_loss

    def _apply(self, optimizer, gradients, model):
        variables = model.trainable_variables
        if self.settings.optimizer == "tf1":
            variables = inner(variables)
        optimizer.apply_gradients(zip(gradients, variables))

    def train(self, real, z_for_d, z_for_g):
        """Both updates, one after the other or together (`settings.together`); both losses."""
        if self.settings.together:
            return self.train_together(real, z_for_d)
        d_loss = self.train_discriminator(real, z_for_d)
        return d_loss, self.train_generator(z_for_g)

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch; the losses of the discriminator and the generator before it."""
        with tf.device(self.settings.placement):
            d_loss, g_loss = self.train(tf.constant(real), tf.constant(z_for_d), tf.constant(z_for_g))
        self._steps_done.assign_add(1)
        return d_loss.numpy(), g_loss.numpy()

    def keep(self):
        """Write a checkpoint into the folder, and delete the oldest of more than five."""
        self.manager.save(self._steps_done)

    def summarize(self, step, losses, real, z):
        """Write what TensorBoard shows of this step into the folder."""
        with self.writer.as_default():
            summaries.scalar("d_loss", losses[0], step)
            summaries.scalar("g_loss", losses[1], step)
            summaries.histogram("generated", self.generate(z), step)

    def weights(self):
        """Every variable of both networks by its TensorFlow 1 name, as an array."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def generate(self, z):
        """G(z)."""
        return np.asarray(self.generator(tf.constant(z)))

    def discriminate(self, x):
        """D(x), logits."""
        return np.asarray(self.discriminator(tf.constant(x)))
