"""Which optimizer a name or an object is of: those whose state is carried, and others that only look alike."""

from __future__ import annotations

import re
from typing import Any

from .errors import CheckpointError

_ALIASES = {
    "adam": ("adam", "adamw", "adamweightdecay", "lazyadam"),
    "momentum": ("momentum", "momentumw"),
    "rmsprop": ("rmsprop",),
    "adagrad": ("adagrad", "proximaladagrad"),
    "ftrl": ("ftrl",),
    "sgd": ("sgd", "sgdw", "gradientdescent"),
}
# Known so that they are not taken for another: their slots have the same names or shapes, and hold something else.
_OTHERS = ("adadelta", "adafactor", "adagradda", "adamax", "lamb", "lars", "lion", "muon", "nadam", "yogi")
_KINDS = {alias: kind for kind, aliases in _ALIASES.items() for alias in aliases}
_KINDS.update((name, name) for name in _OTHERS)
_NUMBER = re.compile(r"_\d+$")


def kind_of_name(name: str) -> str:
    """The kind of the optimizer called `name` (`training/Adam_1`, `rm_sprop`, `AdamOptimizer`), or nothing.

    The whole name counts: AdaMax and AdagradDA are neither Adam nor Adagrad.
    """
    plain = _NUMBER.sub("", name.rpartition("/")[2].lower()).replace("_", "")
    return _KINDS.get(plain) or _KINDS.get(plain[: -len("optimizer")] if plain.endswith("optimizer") else "", "")


def kind_of(optimizer: Any) -> str:
    """The kind of a Keras optimizer, by its class or the nearest one above; SGD that keeps momentum is `momentum`.

    Raises CheckpointError for one whose state TF 1's has no counterpart for.
    """
    for parent in type(optimizer).__mro__:
        kind = _KINDS.get(parent.__name__.lower(), "")
        if kind in _OTHERS:
            break
        if kind == "sgd":
            # Legacy SGD says in a private flag whether it keeps momentum; its hyperparameter may be a variable.
            import numpy as np

            momentum = getattr(optimizer, "momentum", 0)
            kept = getattr(optimizer, "_momentum", False) is True
            return "momentum" if kept or (momentum is not None and float(np.asarray(plain_value(momentum)))) else "sgd"
        if kind:
            return kind
    raise CheckpointError(f"optimizer {type(optimizer).__name__}: no conversion from TF 1 is known")


def fits(name: str, kind: str) -> bool:
    """Whether the optimizer called `name` keeps the slots of `kind`: Keras's SGD keeps momentum too."""
    found = kind_of_name(name)
    return found == kind or (kind == "momentum" and found == "sgd")


def plain_value(value: Any) -> Any:
    """What `value` holds, where it is a variable."""
    return value.numpy() if hasattr(value, "numpy") else value
