"""Two Keras models in a static graph, trained with a TensorFlow 1 optimizer in a Session.

The optimizer has to be TensorFlow 1's: the one of Keras 2.11 to 2.15 runs in a static graph and trains nothing, and
says nothing. Keras 3 wraps its variables, and the optimizer needs what is inside.
"""

from __future__ import annotations

import contextlib
import os

import tensorflow as tf

from gan.initial import initial_values
from gan.keras_models import build_discriminator, build_generator, inner, named_variables, seed_weights
from gan.losses import discriminator_loss, generator_loss
from gan.settings import LATENT_SIZE


class KerasStaticGraphGAN:
    """The models, the graph that calls them, and a Session on it."""

    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1, allow_soft_placement=True
    )

    def __init__(self, settings, initial=None, folder=None):
        """`initial` is the prefix of a TensorFlow 1 checkpoint to take the variables of both networks from.

        With a `folder`, checkpoints and event files are kept there, and its newest checkpoint is gone on from.
        """
        self.settings, self.folder = settings, folder
        self.graph = tf.Graph()
        with self.graph.as_default(), tf.compat.v1.device(settings.placement):
            seed_weights(settings.seed)
            self._build(settings)
            tf.compat.v1.summary.scalar("d_loss", self.d_loss)
            tf.compat.v1.summary.scalar("g_loss", self.g_loss)
            tf.compat.v1.summary.histogram("generated", self.fake)
            self.summaries = tf.compat.v1.summary.merge_all()
        self.initial = {} if initial is None else initial_values(initial, self.variables)

    def _build(self, settings):
        self.x = tf.compat.v1.placeholder(tf.float32, (None, 1), "x")
        self.z = tf.compat.v1.placeholder(tf.float32, (None, LATENT_SIZE), "z")
        self.generator, self.discriminator = build_generator(), build_discriminator()
        self.fake = self.generator(self.z)
        self.real_logits = self.discriminator(self.x)
        fake_logits = self.discriminator(self.fake)
        self.d_loss = discriminator_loss(self.real_logits, fake_logits)
        self.g_loss = generator_loss(fake_logits)

        self.global_step = tf.compat.v1.train.get_or_create_global_step()
        self._build_updates(
            settings, inner(self.discriminator.trainable_variables), inner(self.generator.trainable_variables)
        )
        models = {"generator": self.generator, "discriminator": self.discriminator}
        self.variables = dict(zip(named_variables(models), inner(named_variables(models).values())))
        self.values = {name: tf.identity(variable) for name, variable in self.variables.items()}
        self.initializer = tf.compat.v1.global_variables_initializer()
        self.saver = tf.compat.v1.train.Saver(save_relative_paths=True)

    def _build_updates(self, settings, d_variables, g_variables):
        d_adam = tf.compat.v1.train.AdamOptimizer(settings.learning_rate, epsilon=settings.epsilon)
        g_adam = tf.compat.v1.train.AdamOptimizer(settings.learning_rate, epsilon=settings.epsilon)
        if not settings.together:
            self.train_d = d_adam.minimize(self.d_loss, var_list=d_variables)
            self.train_g = g_adam.minimize(self.g_loss, self.global_step, var_list=g_variables)
            return
        # Nothing is updated before all losses and gradients are there.
        d_gradients = d_adam.compute_gradients(self.d_loss, d_variables)
        g_gradients = g_adam.compute_gradients(self.g_loss, g_variables)
        computed = [self.d_loss, self.g_loss] + [gradient for gradient, _ in d_gradients + g_gradients]
        with tf.control_dependencies(computed):
            self.train_d = d_adam.apply_gradients(d_gradients)
            self.train_g = g_adam.apply_gradients(g_gradients, self.global_step)

    def __enter__(self):
        self._context = contextlib.ExitStack()
        self._context.enter_context(self.graph.as_default())
        self.session = self._context.enter_context(tf.compat.v1.Session(config=self.config))
        self.session.run(self.initializer)
        for name, value in self.initial.items():
            self.variables[name].load(value, self.session)
        if self.folder is None:
            return self
        kept = tf.train.get_checkpoint_state(self.folder)
        if kept is not None:
            self.saver.restore(self.session, kept.model_checkpoint_path)
            self.saver.recover_last_checkpoints(kept.all_model_checkpoint_paths)
        writer = tf.compat.v1.summary.FileWriter(self.folder, self.graph)
        self.writer = self._context.enter_context(writer)
        return self

    def __exit__(self, *error):
        return self._context.__exit__(*error)

    @property
    def steps_done(self):
        """How many steps have been trained, those before the checkpoint included."""
        return int(self.session.run(self.global_step))

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch, one network after the other; the losses of the discriminator and the generator."""
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
        self.writer.add_summary(self.session.run(self.summaries, {self.x: real, self.z: z}), step)

    def weights(self):
        """Every variable of both networks by its TensorFlow 1 name, as an array."""
        return self.session.run(self.values)

    def generate(self, z):
        """G(z)."""
        return self.session.run(self.fake, {self.z: z})

    def discriminate(self, x):
        """D(x), logits."""
        return self.session.run(self.real_logits, {self.x: x})
