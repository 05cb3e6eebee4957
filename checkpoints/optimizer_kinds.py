"""Which optimizer a name or an object is of: those whose state is carried, and others that only look alike."""

from __future__ import annotations

import re
from typing import Any, Container

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
SLOTS: dict[str, tuple[str, ...]] = {
    "adadelta": ("accum", "accum_update"),
    "adagrad": ("accumulator",),
    "adagradda": ("gradient_accumulator", "gradient_squared_accumulator"),
    "adam": ("m", "v"),
    "adamax": ("m", "v"),
    "ftrl": ("accumulator", "linear"),
    "momentum": ("accumulator",),
    "nadam": ("m", "v"),
    "rmsprop": ("rms", "momentum"),
}
"""The slots of TF 1's optimizers, in the order of their suffixes (none, `_1`, ...)."""

# Those of three: of people's own AMSGrad, and of RMSProp that is centered.
_THREE = {"adam": ("m", "v", "vhat"), "rmsprop": ("rms", "mg", "momentum")}
# As many slots of one name as it takes to tell these apart, and RMSProp twice from RMSProp that is centered.
_MOST_COUNTED = 5
_KINDS = {alias: kind for kind, aliases in _ALIASES.items() for alias in aliases}
_KINDS.update((name, name) for name in _OTHERS)
_INDEX = re.compile(r"[0-9]{1,9}")
_NUMBER = re.compile(r"_\d+$")


def kind_of_name(name: str) -> str:
    """The kind of the optimizer called `name` (`training/Adam_1`, `rm_sprop`, `AdamOptimizer`), or nothing.

    The whole name counts: AdaMax and AdagradDA are neither Adam nor Adagrad.
    """
    plain = _NUMBER.sub("", name.rpartition("/")[2].lower()).replace("_", "")
    return _KINDS.get(plain) or _KINDS.get(plain[: -len("optimizer")] if plain.endswith("optimizer") else "", "")


def is_index(text: str) -> bool:
    """Whether a part of a name is a number that tells slots apart; not all that `str.isdigit` allows is one."""
    return bool(_INDEX.fullmatch(text))


def count_slots(name: str, tensors: Container[str]) -> int:
    """How many slots there are under `name`, `name_1` and so on, counted no further than `numbered_slot` asks."""
    count = 1
    while count < _MOST_COUNTED and f"{name}_{count}" in tensors:
        count += 1
    return count


def numbered_slot(kind: str, name: str, index: int, count: int) -> tuple[str, str]:
    """The optimizer and the slot of number `index` among the `count` that a variable has under one name.

    Another optimizer of the same name on the same variable goes on with the numbers: `Adam_2` and `Adam_3` are m and v
    of a second Adam, here called `Adam_2`. What cannot be told apart keeps its number for a name.
    """
    slots = _THREE[kind] if count == 3 and kind in _THREE else SLOTS.get(kind, ())
    if not slots or (kind == "rmsprop" and count > 4):
        return name, str(index)
    first = index // len(slots) * len(slots)
    return f"{name}_{first}" if first else name, slots[index - first]


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
