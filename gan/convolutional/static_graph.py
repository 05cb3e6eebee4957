"""The GAN as Keras models in a static graph, with and without running the updates of the moving statistics.

A call with training=True adds to the graph the ops that move the statistics, and nothing that makes a Session run them.
"""

from __future__ import annotations

import contextlib

import tensorflow as tf

from gan.convolutional import networks
from gan.convolutional.data import LATENT_SIZE, SIZE
from gan.convolutional.settings import PIXELS, TRAINING
from gan.keras_models import inner
from gan.losses import discriminator_loss, generator_loss


class StaticGraphGAN:
    """The graph, and a Session on it, which fetches the losses and the optimizers' ops."""

    run_updates = False
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)

    def __init__(self, settings):
        self.settings = settings
        self.graph = tf.Graph()
        with self.graph.as_default():
            self._build(settings)

    def _build(self, settings):
        d_training, g_training = TRAINING[settings.training]
        real_scale, fake_scale = PIXELS[settings.pixels]
        self.x = tf.compat.v1.placeholder(tf.float32, (None, SIZE, SIZE, 1), "x")
        self.z = tf.compat.v1.placeholder(tf.float32, (None, 1, 1, LATENT_SIZE), "z")
        self.generator, self.discriminator = networks.build_generator(), networks.build_discriminator()

        self.fake, of_generator = self._call(self.generator, self.z, True)
        fake = self.fake * fake_scale
        real_logits, of_real = self._call(self.discriminator, self.x * real_scale, d_training)
        with tf.control_dependencies(of_real):  # as eagerly, where the call for real images comes first
            fake_logits, of_fake = self._call(self.discriminator, fake, d_training)
        self.d_loss = discriminator_loss(real_logits, fake_logits)
        judged, of_judged = self._call(self.discriminator, fake, g_training)
        self.g_loss = generator_loss(judged)
        self.sampled, _ = self._call(self.generator, self.z, False)

        self.train_d = [self._minimize(self.d_loss, self.discriminator), of_generator + of_real + of_fake]
        self.train_g = [self._minimize(self.g_loss, self.generator), of_generator + of_judged]
        named = networks.named_variables(self.generator, self.discriminator)
        self.variables = dict(zip(named, inner(named.values())))
        self.values = {name: tf.identity(variable) for name, variable in self.variables.items()}
        self.initializer = tf.compat.v1.global_variables_initializer()

    def _call(self, model, inputs, training):
        """The model's outputs, and the ops of this call that move the statistics, if they are to be run.

        Keras puts them into no collection. Keras 2 lists those of all calls in `model.updates`, Keras 3 nowhere: what
        is there in every release is the graph.
        """
        before = set(self.graph.get_operations())
        outputs = model(inputs, training=training)
        new = [op for op in self.graph.get_operations() if op not in before]
        return outputs, [op for op in new if op.type.startswith("Assign")] if self.run_updates else []

    def _minimize(self, loss, model):
        adam = tf.compat.v1.train.AdamOptimizer(self.settings.learning_rate, beta1=0.5)
        return adam.minimize(loss, var_list=inner(model.trainable_variables))

    def __enter__(self):
        self._context = contextlib.ExitStack()
        self._context.enter_context(self.graph.as_default())
        self.session = self._context.enter_context(tf.compat.v1.Session(config=self.config))
        self.session.run(self.initializer)
        for name, value in networks.initial_values(self.variables, self.settings.seed).items():
            self.variables[name].load(value, self.session)
        return self

    def __exit__(self, *error):
        self._context.close()

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch, one network after the other; the losses of the discriminator and the generator."""
        d_loss, _ = self.session.run([self.d_loss, self.train_d], {self.x: real, self.z: z_for_d})
        g_loss, _ = self.session.run([self.g_loss, self.train_g], {self.z: z_for_g})
        return d_loss, g_loss

    def statistics(self):
        """The discriminator's moving mean and variance, as arrays."""
        return self.session.run(networks.statistics(self.values))

    def weights(self):
        """Every variable of both networks by name, as an array."""
        return self.session.run(self.values)

    def generate(self, z, training):
        """G(z) by the statistics of the batch (training=True) or by the moving ones (False)."""
        return self.session.run(self.fake if training else self.sampled, {self.z: z})


class UpdatedStaticGraphGAN(StaticGraphGAN):
    """The same, with the updates fetched beside the optimizers' ops."""

    run_updates = True
