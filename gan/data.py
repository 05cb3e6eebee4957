"""The real distribution, the latent one, and the distance between what is generated and what is real.

NumPy only, and NumPy's legacy generator, whose stream is the same in every release: each mode and each TensorFlow
trains on the same batches.
"""

from __future__ import annotations

import numpy as np

from gan.settings import LATENT_SIZE

REAL_MEAN, REAL_DEVIATION = 4.0, 1.25


def real_batch(random, size):
    """`size` real samples as float32 of shape (size, 1), from `random`, a numpy.random.RandomState."""
    return random.normal(REAL_MEAN, REAL_DEVIATION, (size, 1)).astype(np.float32)


def latent_batch(random, size):
    """`size` points for the generator as float32 of shape (size, LATENT_SIZE), each coordinate standard normal."""
    return random.normal(0.0, 1.0, (size, LATENT_SIZE)).astype(np.float32)


def training_batches(settings, done=0):
    """The batches of a run in order: per step (real, latent for the discriminator, latent for the generator).

    A run that goes on after `done` steps gets the batches that it would have got. The generator cannot jump, so those
    before are drawn and dropped: less than a millisecond each.
    """
    random = np.random.RandomState(settings.seed)
    for step in range(settings.steps):
        batches = (
            real_batch(random, settings.batch),
            latent_batch(random, settings.batch),
            latent_batch(random, settings.batch),
        )
        if step >= done:
            yield batches


def wasserstein(first, second):
    """The 1-Wasserstein distance between two samples of the same size: the mean distance of their order statistics."""
    first, second = np.sort(np.ravel(first)), np.sort(np.ravel(second))
    if first.shape != second.shape:
        raise ValueError("samples of one size are needed, not {} and {}".format(first.size, second.size))
    return float(np.mean(np.abs(first.astype(np.float64) - second)))
