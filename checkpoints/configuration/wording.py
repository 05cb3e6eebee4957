"""How classes and settings are written: the names that layers get by default, and the arguments that people set."""

from __future__ import annotations

import re
from typing import Any, Iterable

from ..foreign_text import literal, named
from ..graphs.layers import Padding
from . import activations
from .networks import LayerData

_ACTIVATIONS = ("activation", "recurrent_activation")
# Classes that may have variables of the same names and shapes, as `tf.layers`, slim, contrib and Keras call them.
_BY_NAME = (
    (re.compile(r"conv(\dd)_?transpose"), "Conv{}Transpose"),
    (re.compile(r"conv(\dd)"), "Conv{}"),
    (re.compile(r"batch_?norm(?:alization)?()"), "BatchNormalization"),
    (re.compile(r"layer_?norm(?:alization)?()"), "LayerNormalization"),
    (re.compile(r"group_?norm(?:alization)?()"), "GroupNormalization"),
)


def class_by_name(label: str) -> str:
    """The class of Keras that a variable's layer is of by its name, `conv2d_transpose_1/kernel`; empty for others."""
    scope = label.rpartition("/")[0].rpartition("/")[2]
    name = re.sub(r"_\d+$", "", scope).lower()
    found = ((pattern.fullmatch(name), kind) for pattern, kind in _BY_NAME)
    return next((kind.format(match.group(1).upper()) for match, kind in found if match), "")


def listed(argument: str, values: Iterable[Any]) -> str:
    """The values of an argument as alternatives."""
    return " or ".join(sorted(_shown(argument, value) for value in values))


def _shown(argument: str, value: Any) -> str:
    if argument in _ACTIVATIONS and isinstance(value, str):
        return activations.spelled(value)
    if isinstance(value, Padding):
        return f"{value.kind} behind {_pads(value)}" if value.before else value.kind
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return named(", ".join(map(str, value)) if len(value) == 1 else str(value))
    return named(str(value))


def _pads(padding: Padding) -> str:
    pairs = [pair[0] if pair[0] == pair[1] else pair for pair in padding.before or ()]
    sizes = pairs[0] if len(set(pairs)) == 1 else tuple(pairs)
    return f"ZeroPadding{len(pairs)}D({sizes})"


def remedy(owner: LayerData, argument: str, values: Iterable[Any]) -> str:
    """The model's layer with the argument that it should have, as Python source."""
    value = sorted(values, key=str)[0]
    behind = ""
    if argument in _ACTIVATIONS and isinstance(value, str):
        source = activations.argument(value, owner.generation)
    elif isinstance(value, Padding):
        source = f'"{value.kind}"'
        behind = f" behind {_pads(value)}" if value.before else ""
    elif isinstance(value, tuple) and len(value) == 1:
        source = repr(value[0])
    elif isinstance(value, float):
        source = f"{value:.6g}"
    elif isinstance(value, str):
        source = literal(value)
    else:
        source = repr(value)
    return f"{owner.kind}({argument}={source}){behind}"
