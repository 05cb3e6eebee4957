"""The eager step compiled by tf.function: traced once into a graph, and run from there."""

from __future__ import annotations

import tensorflow as tf

from gan.eager import EagerGAN


def compile_step(python_function, xla):
    """`python_function` as a graph; with `xla`, one that XLA compiles, which the argument's older name asks for too."""
    if not xla:
        return tf.function(python_function)
    try:
        return tf.function(python_function, jit_compile=True)
    except TypeError:  # before 2.5
        return tf.function(python_function, experimental_compile=True)


class FunctionGAN(EagerGAN):
    """The same models, optimizers and updates; the step is one graph."""

    _tracing = False

    def __init__(self, settings, initial=None, folder=None):
        super().__init__(settings, initial, folder)
        self._compiled = compile_step(super().train, settings.xla)

    def train(self, real, z_for_d, z_for_g):
        """Both updates, one after the other or together (`settings.together`); both losses."""
        return self._compiled(real, z_for_d, z_for_g)

    def _draw_graph(self):
        """Show TensorBoard the graph of the whole step: that of the first call, which traces it."""
        tf.compat.v2.summary.trace_on(graph=True)
        self._tracing = True

    def step(self, real, z_for_d, z_for_g):
        """Train on one batch; the losses of the discriminator and the generator before it."""
        losses = super().step(real, z_for_d, z_for_g)
        if self._tracing:
            with self.writer.as_default():
                tf.compat.v2.summary.trace_export("step", step=0)
            self._tracing = False
        return losses
