"""What the matrix needs of a subject, in one place. To check another model, write such a module for it.

A subject offers the names below, and nothing else is asked of it. No cell knows a layer of it.
"""

from __future__ import annotations

import numpy as np

from gan.data import latent_batch, real_batch, training_batches
from gan.modes import unsupported  # noqa: F401
from gan.rules import RULES  # noqa: F401
from gan.settings import Settings

#: How far a release's outputs on `sample_inputs()` may be from TensorFlow 1.15's, in units in the last place of the
#: largest output: twice the most that was measured. One weight of 6400 off by a thousandth is beyond (docs/bounds.md).
ULPS = 18

#: What every mode and release must learn in, from the variables that TRAJECTORY begins with (docs/bounds.md).
LEARNING = Settings(steps=75, batch=32, learning_rate=5e-3, report_every=15, checkpoint_every=75)

#: How far the generated samples may be from the real ones after LEARNING: by 1-Wasserstein distance, in their mean and
#: in their standard deviation.
LEARNED = {"wasserstein": 0.35, "mean": 0.25, "deviation": 0.4}

#: The run whose checkpoint TensorFlow 2 loads: long enough that weights and slots are all away from their start.
CHECKPOINT = Settings(steps=50, batch=32, learning_rate=1e-3)

#: The run that every mode and release repeats step by step from TensorFlow 1.15's initial variables.
TRAJECTORY = Settings(steps=50, batch=32, learning_rate=1e-3, device="cpu")

#: How far any weight may be from TensorFlow 1.15's at any step of TRAJECTORY: twice the most that was measured.
TRAJECTORY_WEIGHTS = 4e-6

#: The same for the losses: 1.7 times the most.
TRAJECTORY_LOSSES = 1e-5


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


def _outputs(gan):
    inputs = sample_inputs()
    return {"generator": gan.generate(inputs["generator"]), "discriminator": gan.discriminate(inputs["discriminator"])}


def train_static_graph(settings, prefix):
    """Train as a TensorFlow 1 static graph and save a Saver V2 checkpoint at `prefix`.

    Returns {model name: its outputs on `sample_inputs()`}.
    """
    from gan.static_graph import StaticGraphGAN

    with StaticGraphGAN(settings) as gan:
        for batches in training_batches(settings):
            gan.step(*batches)
        gan.save(prefix)
        return _outputs(gan)


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
