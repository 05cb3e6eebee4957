"""Everything that a training run depends on, in one place."""

from __future__ import annotations

import dataclasses
import math

LATENT_SIZE = 100


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to train. The defaults are the subject's own; tests choose a rate at which learning shows in seconds.

    `optimizer` is whose Adam the eager modes use, `keras` or `tf1`. `epsilon` is Adam's, and set on purpose:
    TensorFlow 1 has 1e-8 and Keras 1e-7, which alone moves the weights apart.
    """

    steps: int = 1000
    batch: int = 128
    learning_rate: float = 1e-5
    epsilon: float = 1e-8
    seed: int = 1
    optimizer: str = "keras"

    def __post_init__(self):
        for name in ("steps", "batch"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError("{} must be a whole number of at least 1, not {!r}".format(name, value))
        if self.optimizer not in ("keras", "tf1"):
            raise ValueError("optimizer must be 'keras' or 'tf1', not {!r}".format(self.optimizer))
        for name in ("learning_rate", "epsilon"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError("{} must be a positive number, not {!r}".format(name, value))
