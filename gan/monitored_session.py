"""The same static graph under tf.train.MonitoredTrainingSession, which initializes, restores and finalizes it."""

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
        scaffold = tf.train.Scaffold(init_op=self.initializer, init_fn=restore, saver=self.saver)
        monitored = tf.train.MonitoredTrainingSession(scaffold=scaffold, config=self.config)
        self.session = self._context.enter_context(monitored)
        return self
