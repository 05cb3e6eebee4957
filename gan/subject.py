"""What the matrix needs of a subject, in one place. To check another model, write such a module for it.

A subject offers the names below and nothing else is asked of it: `RULES`, `ULPS`, `LEARNING_FACTOR`, `sample_inputs`,
`keras_models`, `train_static_graph`, `restore_static_graph` and `train_keras`. No cell knows a layer of it.
"""

from __future__ import annotations

import numpy as np

from checkpoints import Rule
from gan.data import latent_batch, real_batch, wasserstein
from gan.settings import Settings

#: How TensorFlow 1's variables are called in the Keras models. What no rule names must have a role that explains it.
RULES = [
    Rule(r"generator/(fc1|fc2|G)/(kernel|bias)", r"generator/\1/\2"),
    Rule(r"discriminator/(fc1|D)/(kernel|bias)", r"discriminator/\1/\2"),
]

#: How far a release's outputs on `sample_inputs()` may be from TensorFlow 1.15's, in units in the last place: twice
#: the most that was measured (docs/bounds.md). One weight of 6400 that is off by a thousandth shows as 108.
ULPS = 12

#: Training with LEARNING must bring the generated samples at least this many times closer to the real ones.
LEARNING_FACTOR = 3.0

#: At 1e-5 nothing shows in a test's time; at 1e-3 the distance falls six- to tenfold within these steps.
LEARNING = Settings(steps=400, learning_rate=1e-3)

#: The run whose checkpoint TensorFlow 2 loads: long enough that weights and slots are all away from their start.
CHECKPOINT = Settings(steps=50, batch=32, learning_rate=1e-3)


def sample_inputs():
    """The golden inputs by model: {"generator": (16, 100), "discriminator": (16, 1)}, float32, always the same."""
    random = np.random.RandomState(2024)
    return {"generator": latent_batch(random, 16), "discriminator": real_batch(random, 16)}


def keras_models():
    """Freshly made Keras models by name."""
    from gan.keras_models import build_discriminator, build_generator

    return {"generator": build_generator(), "discriminator": build_discriminator()}


class Training:
    """What a training run saw: `losses`, a list of (discriminator, generator) a step, and the distance `before` and
    `after` between generated and real samples."""

    def __init__(self, losses, before, after):
        self.losses, self.before, self.after = losses, before, after


def _distance(generate):
    random = np.random.RandomState(7)
    return wasserstein(generate(latent_batch(random, 4096)), real_batch(random, 4096))


def train_static_graph(settings=LEARNING, prefix=None):
    """Train as a TensorFlow 1 static graph. With `prefix`, save a Saver V2 checkpoint there at the end.

    Returns (Training, {model name: its outputs on `sample_inputs()`}).
    """
    from gan.static_graph import StaticGraphGAN

    gan = StaticGraphGAN(settings)
    with gan.session() as session:
        session.run(gan.initializer)
        before = _distance(lambda z: session.run(gan.fake, {gan.z: z}))
        losses = gan.train(session)
        after = _distance(lambda z: session.run(gan.fake, {gan.z: z}))
        if prefix is not None:
            gan.saver.save(session, str(prefix), write_meta_graph=False)
            with open(str(prefix) + ".meta", "wb") as file:  # as the Saver writes it, but in the same order every time
                file.write(gan.saver.export_meta_graph().SerializeToString(deterministic=True))
        return Training(losses, before, after), _outputs(gan, session)


def restore_static_graph(prefix):
    """Restore a name-based checkpoint of the model variables with TensorFlow 1's own Saver, in a fresh graph.

    Returns ({variable name: value}, {model name: its outputs on `sample_inputs()`}).
    """
    import tensorflow.compat.v1 as tf

    from gan.static_graph import StaticGraphGAN

    gan = StaticGraphGAN(CHECKPOINT)
    with gan.session() as session:
        variables = {variable.op.name: variable for variable in tf.trainable_variables()}
        tf.train.Saver(variables).restore(session, str(prefix))
        return session.run(variables), _outputs(gan, session)


def _outputs(gan, session):
    inputs = sample_inputs()
    return {
        "generator": session.run(gan.fake, {gan.z: inputs["generator"]}),
        "discriminator": session.run(gan.real_logits, {gan.x: inputs["discriminator"]}),
    }


def train_keras(settings=LEARNING):
    """Train as Keras models under tf.GradientTape. Returns a Training."""
    from gan.gradient_tape import GradientTapeGAN

    gan = GradientTapeGAN(settings)
    before = _distance(lambda z: np.asarray(gan.generator(z)))
    losses = gan.train()
    return Training(losses, before, _distance(lambda z: np.asarray(gan.generator(z))))
