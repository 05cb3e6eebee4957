"""How settings are shown to people, and the arguments that they are to set."""

from __future__ import annotations

from typing import Any, Iterable

from ..foreign_text import literal, named
from ..graphs.layers import Padding
from . import activations
from .networks import LayerData

_ACTIVATIONS = ("activation", "recurrent_activation")


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
