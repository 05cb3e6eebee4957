"""The same static graph under tf.train.MonitoredTrainingSession, whose hooks do what one does by hand in a Session.

It initializes or restores the variables, finalizes the graph, and keeps checkpoints and summaries as it goes.
"""

from __future__ import annotations

import contextlib

import tensorflow.compat.v1 as tf

from gan.static_graph import StaticGraphGAN


class MonitoredSessionGAN(StaticGraphGAN):
    """The graph in a MonitoredTrainingSession. A scaffold says how the variables begin; the graph is then read-only."""

    def __enter__(self):
        def restore(scaffold, session):
            if self.initial is not None:
                self.restorer.restore(session, self.initial)

        self._context = contextlib.ExitStack()
        self._context.enter_context(self.graph.as_default())
        monitored = tf.train.MonitoredTrainingSession(
            scaffold=tf.train.Scaffold(init_op=self.initializer, init_fn=restore, saver=self.saver),
            checkpoint_dir=self.folder,
            save_checkpoint_steps=self.settings.checkpoint_every,
            save_summaries_steps=self.settings.report_every,
            log_step_count_steps=None,
            config=self.config,
        )
        self.session = self._context.enter_context(monitored)
        return self

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch; the losses of the discriminator and the generator before it.

        The hooks run after each of the two runs, and the one for summaries needs every placeholder.
        """
        if self.settings.together:
            return super().step(real, z_for_d, z_for_g)
        d_loss, _ = self.session.run([self.d_loss, self.train_d], {self.x: real, self.z: z_for_d})
        g_loss, _ = self.session.run([self.g_loss, self.train_g], {self.x: real, self.z: z_for_g})
        return d_loss, g_loss

    def keep(self):
        """Nothing to do: CheckpointSaverHook has counted the steps."""

    def summarize(self, step, losses, real, z):
        """Nothing to do: SummarySaverHook has counted the steps."""

    def evaluate(self, fetches, feeds=None):
        """Run what trains nothing, without the hooks."""
        return self.session.run_step_fn(lambda step_context: step_context.session.run(fetches, feeds))
