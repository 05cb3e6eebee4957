"""Everything that a training run depends on, in one place."""

from __future__ import annotations

import dataclasses
import math
import os
import sys

LATENT_SIZE = 100

#: What a setting may be, where it is a word.
CHOICES = {
    "optimizer": ("keras", "keras_legacy", "tf1"),
    "onednn": ("default", "on", "off"),
    "device": ("any", "cpu", "gpu"),
}

_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def _setting(default, text):
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to train. The defaults are the subject's own; tests choose a rate at which learning shows in seconds.

    From `epsilon` on they are the differences that two programs may have without anyone having meant them
    (docs/modes.md): Adam's epsilon is 1e-8 in TensorFlow 1 and 1e-7 in Keras, for one. Each is set on purpose.
    Raises ValueError, which names the setting, for what cannot be meant.
    """

    steps: int = _setting(1000, "how many batches to train on in all")
    batch: int = _setting(128, "samples in a batch")
    learning_rate: float = _setting(1e-5, "of both Adams")
    seed: int = _setting(1, "what the initial weights and the batches follow from")
    checkpoint_every: int = _setting(100, "steps from one checkpoint to the next")
    report_every: int = _setting(50, "steps from one line, summary and histogram to the next")
    epsilon: float = _setting(1e-8, "of both Adams; Keras's own is 1e-7")
    optimizer: str = _setting("keras", "whose Adam eager and function use; a static graph always has TensorFlow 1's")
    together: bool = _setting(False, "update both networks at once, from the same weights and the same latent batch")
    xla: bool = _setting(False, "compile the step of function with XLA")
    onednn: str = _setting("default", "oneDNN's kernels; TensorFlow reads this once, when it is imported")
    device: str = _setting("any", "where to compute")

    def __post_init__(self):
        for name in ("steps", "batch", "checkpoint_every", "report_every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError("{} must be a whole number of at least 1, not {!r}".format(name, value))
        for name in ("learning_rate", "epsilon"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError("{} must be a positive number, not {!r}".format(name, value))
        if not 0 <= self.seed < 2**32:
            raise ValueError("seed must be from 0 to 4294967295, which is what NumPy takes, not {!r}".format(self.seed))
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                raise ValueError("{} must be {}, not {!r}".format(name, " or ".join(words), getattr(self, name)))

    @property
    def placement(self):
        """The device as TensorFlow calls it."""
        return {"any": None, "cpu": "/CPU:0", "gpu": "/GPU:0"}[self.device]


def choose_onednn(settings):
    """Do what `settings.onednn` says, for this process; before TensorFlow is imported, or RuntimeError."""
    wanted = {"default": None, "on": "1", "off": "0"}[settings.onednn]
    if wanted is None or os.environ.get(_ONEDNN) == wanted:
        return
    if "tensorflow" in sys.modules:
        raise RuntimeError("onednn is read when TensorFlow is imported, which has happened: use another process")
    os.environ[_ONEDNN] = wanted


def add_options(parser):
    """Give `parser` an option for every setting."""
    for field in dataclasses.fields(Settings):
        option = "--" + field.name.replace("_", "-")
        text = field.metadata["help"]
        if isinstance(field.default, bool):
            parser.add_argument(option, action="store_true", help=text)
        else:
            words = CHOICES.get(field.name)
            given = {"choices": words} if words else {"type": type(field.default), "metavar": "N"}
            parser.add_argument(option, default=field.default, help=text + " (%(default)s)", **given)


def from_options(options):
    """The Settings in what `parser.parse_args()` returned. Raises ValueError."""
    return Settings(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Settings)})


def to_arguments(settings):
    """The arguments that `add_options` makes these settings of, for another process."""
    arguments = []
    for field in dataclasses.fields(Settings):
        value, option = getattr(settings, field.name), "--" + field.name.replace("_", "-")
        if isinstance(value, bool):
            arguments += [option] if value else []
        else:
            arguments += ["{}={!r}".format(option, value) if not isinstance(value, str) else option + "=" + value]
    return arguments
