"""The real images, the latent points, and how far generated images are from real ones. NumPy only."""

from __future__ import annotations

import numpy as np

from gan.data import wasserstein

SIZE = 8
LATENT_SIZE = 32


def real_images(random, count):
    """`count` images of one soft spot each, float32 of shape (count, SIZE, SIZE, 1) within 0 and 1.

    `random` is a numpy.random.RandomState; it says where each spot is, and how wide.
    """
    x, y, width = (random.uniform(low, high, (count, 1, 1)) for low, high in ((2, 5), (2, 5), (1, 2)))
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    spots = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return spots[..., np.newaxis].astype(np.float32)


def latent_points(random, count):
    """`count` points for the generator: float32 of shape (count, 1, 1, LATENT_SIZE), standard normal."""
    return random.normal(0.0, 1.0, (count, 1, 1, LATENT_SIZE)).astype(np.float32)


def batches(settings):
    """The batches of a run in order: per step (real, latent for the discriminator, latent for the generator)."""
    random = np.random.RandomState(settings.seed)
    for _ in range(settings.steps):
        real = real_images(random, settings.batch)
        yield real, latent_points(random, settings.batch), latent_points(random, settings.batch)


def distance(first, second):
    """The sliced 1-Wasserstein distance of two sets of as many images: its mean over 64 directions, always the same."""
    directions = np.random.RandomState(5).normal(size=(SIZE * SIZE, 64))
    directions /= np.linalg.norm(directions, axis=0)
    first, second = (images.reshape(-1, SIZE * SIZE).astype(np.float64) @ directions for images in (first, second))
    return float(np.mean([wasserstein(a, b) for a, b in zip(first.T, second.T)]))
