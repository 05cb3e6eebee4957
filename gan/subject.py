"""What the matrix needs of a subject, in one place. To check another model, write such a module for it.

A subject offers the names below, and nothing else is asked of it. No cell knows a layer of it.
"""

from __future__ import annotations

import numpy as np

from gan.data import latent_batch, real_batch, training_batches, wasserstein
from gan.rules import RULES  # noqa: F401
from gan.settings import Settings

#: How far a release's outputs on `sample_inputs()` may be from TensorFlow 1.15's, in units in the last place of the
#: largest output: twice the most that was measured. One weight of 6400 off by a thousandth is beyond (docs/bounds.md).
ULPS = 18

#: Training with LEARNING must bring the generated samples at least this many times closer to the real ones.
LEARNING_FACTOR = 3.0

#: At 1e-5 nothing shows in a test's time; at 1e-3 the distance falls six- to tenfold within these steps.
LEARNING = Settings(steps=400, learning_rate=1e-3)

#: The run whose checkpoint TensorFlow 2 loads: long enough that weights and slots are all away from their start.
CHECKPOINT = Settings(steps=50, batch=32, learning_rate=1e-3)


#: The run that every mode and release repeats step by step from TensorFlow 1.15's initial variables.
TRAJECTORY = Settings(steps=50, batch=32, learning_rate=1e-3)

#: How far any weight may be from TensorFlow 1.15's at any step of TRAJECTORY: twice the most that was measured.
TRAJECTORY_WEIGHTS = 4e-6

#: The same for the losses.
TRAJECTORY_LOSSES = 1e-5


def unsupported(mode):
    """Why this release cannot run `mode` (one of `gan.trace.MODES`), or None."""
    import tensorflow as tf

    if mode in ("static_graph", "monitored_session") and not hasattr(tf.compat.v1.layers, "Dense"):
        return "tf.layers is gone: Keras 3 is this release's Keras"
    return None


def sample_inputs():
    """The golden inputs by model: {"generator": (16, 100), "discriminator": (16, 1)}, float32, always the same."""
    random = np.random.RandomState(2024)
    return {"generator": latent_batch(random, 16), "discriminator": real_batch(random, 16)}


def keras_models():
    """Freshly made Keras models by name."""
    from gan.keras_models import build_discriminator, build_generator

    return {"generator": build_generator(), "discriminator": build_discriminator()}


def outputs_of(models, inputs):
    """{model name: its outputs on `inputs[name]`, as an array}."""
    from gan.keras_models import outputs_of

    return {name: outputs_of(model, inputs[name]) for name, model in models.items()}


class Training:
    """What a training run saw: `losses`, a list of (discriminator, generator) a step, and the distance `before` and
    `after` between generated and real samples."""

    def __init__(self, gan):
        self.before = _distance(gan)
        self.losses = [gan.step(*batches) for batches in training_batches(gan.settings)]
        self.after = _distance(gan)


def _distance(gan):
    random = np.random.RandomState(7)
    return wasserstein(gan.generate(latent_batch(random, 4096)), real_batch(random, 4096))


def _outputs(gan):
    inputs = sample_inputs()
    return {"generator": gan.generate(inputs["generator"]), "discriminator": gan.discriminate(inputs["discriminator"])}


def train_static_graph(settings=LEARNING, prefix=None):
    """Train as a TensorFlow 1 static graph. With `prefix`, save a Saver V2 checkpoint there at the end.

    Returns (Training, {model name: its outputs on `sample_inputs()`}).
    """
    from gan.static_graph import StaticGraphGAN

    with StaticGraphGAN(settings) as gan:
        training = Training(gan)
        if prefix is not None:
            gan.save(prefix)
        return training, _outputs(gan)


def write_initial(prefix):
    """Save the untrained variables of the static graph as a Saver V2 checkpoint: where TRAJECTORY begins."""
    from gan.static_graph import StaticGraphGAN

    with StaticGraphGAN(TRAJECTORY) as gan:
        gan.save(prefix)


def restore_static_graph(prefix):
    """Restore a name-based checkpoint of the model variables with TensorFlow 1's own Saver, in a fresh graph.

    Returns ({variable name: value}, {model name: its outputs on `sample_inputs()`}).
    """
    from gan.static_graph import StaticGraphGAN

    with StaticGraphGAN(CHECKPOINT, initial=prefix) as gan:
        return gan.weights(), _outputs(gan)


def train_keras(settings=LEARNING):
    """Train as Keras models, the step compiled by tf.function. Returns a Training."""
    from gan.function import FunctionGAN

    with FunctionGAN(settings) as gan:
        return Training(gan)
