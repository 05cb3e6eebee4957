"""What one training run depends on: everything that the experiment varies, and nothing else."""

from __future__ import annotations

import dataclasses
import math

#: What the discriminator's calls are given as `training`: (while it is trained itself, while the generator is).
TRAINING = {"True": (True, True), "False": (False, False), "mixed": (False, True)}

#: What the pixels are multiplied by: (real images, which are within 0 and 1; generated ones, within -1 and 1).
PIXELS = {"scaled": (1.0, 1.0), "raw": (255.0, 1.0), "raw-both": (255.0, 255.0)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """One run. Rate, momentum, epsilon and deviations of the initial weights stand where they are used."""

    training: str = "True"
    pixels: str = "scaled"
    seed: int = 1
    steps: int = 200
    batch: int = 32
    learning_rate: float = 2e-4

    def __post_init__(self):
        for name, known in (("training", TRAINING), ("pixels", PIXELS)):
            if getattr(self, name) not in known:
                raise ValueError("{} must be one of {}, not {!r}".format(name, list(known), getattr(self, name)))
        for name in ("steps", "batch"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError("{} must be a whole number of at least 1, not {!r}".format(name, value))
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError("learning_rate must be a positive number, not {!r}".format(self.learning_rate))
