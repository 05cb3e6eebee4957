"""The ways of writing the training: which there are, and where each can be used."""

from __future__ import annotations

import importlib

from gan.settings import Settings

#: By module, the class that is that way.
MODES = {
    "static_graph": "StaticGraphGAN",
    "monitored_session": "MonitoredSessionGAN",
    "keras_static_graph": "KerasStaticGraphGAN",
    "eager": "EagerGAN",
    "function": "FunctionGAN",
}


_ANY = Settings()


class Unsupported(Exception):
    """This release cannot do what was asked for; the message says why."""


def is_eager(mode):
    """Whether `mode` needs eager execution, which TensorFlow 1 has to be told of before anything else."""
    return mode in ("eager", "function")


def unsupported(mode, settings=_ANY):
    """Why this release cannot train in `mode` with `settings`, or None."""
    import tensorflow as tf

    release = tuple(int(part) for part in tf.__version__.split(".")[:2])
    keras_3 = not hasattr(tf.compat.v1.layers, "Dense")
    if mode in ("static_graph", "monitored_session") and keras_3:
        return "tf.layers is gone: Keras 3 is this release's Keras"
    if settings.optimizer == "keras_legacy" and is_eager(mode):
        if keras_3:
            return "Keras 3 has taken the legacy optimizers away"
        if release < (2, 11):
            return "before 2.11 Keras has one Adam only, which later became the legacy one"
    if settings.xla and release < (2, 1):
        return "tf.function cannot be told to compile with XLA before 2.1"
    if settings.onednn != "default" and release < (2, 5):
        return "before 2.5 oneDNN is in other builds only"
    if settings.device == "gpu" and not tf.config.experimental.list_physical_devices("GPU"):
        return "TensorFlow finds no GPU here"
    return None


def check(mode, settings):
    """Raise ValueError for settings that `mode` has no use for, rather than ignore them."""
    if settings.xla and mode != "function":
        raise ValueError("xla compiles a tf.function: it goes with the mode function, not with " + mode)
    if settings.optimizer == "keras_legacy" and not is_eager(mode):
        raise ValueError("optimizer keras_legacy goes with the modes eager and function, not with " + mode)


def make(mode, settings, initial=None, folder=None):
    """The GAN written in `mode`, to be used as a context manager.

    It begins from the checkpoint `initial`, a prefix, if there is one. With a `folder` it keeps checkpoints and
    TensorBoard's event files there, and goes on from the newest checkpoint that it finds there.
    Raises ValueError and Unsupported; checkpoints.CheckpointError and checkpoints.MappingError for `initial`.
    """
    check(mode, settings)
    reason = unsupported(mode, settings)
    if reason:
        raise Unsupported(reason)
    return getattr(importlib.import_module("gan." + mode), MODES[mode])(settings, initial, folder)


def begin(mode):
    """Prepare a process of its own for `mode`: eager execution in TensorFlow 1, and one thread.

    On one thread the same seed gives the same numbers to the last bit.
    """
    import tensorflow as tf

    if is_eager(mode):
        tf.compat.v1.enable_eager_execution()
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
