"""When two values of an argument compute the same."""

from __future__ import annotations

import math
from typing import Any, FrozenSet

from ..graphs.layers import Padding
from .convolutions import geometry_of, pads_alike, unpadded_sizes
from .settings import Setting


def alike(argument: str, theirs: FrozenSet[Any], ours: Setting, rank: int | None) -> bool:
    """Whether one of the values in the file and one of those in the model compute the same.

    `rank` is that of the tensors that the layer is applied to, None if not known.
    """
    if theirs & ours.values:
        return True
    if argument == "padding":
        return _pads(theirs, ours)
    if argument in ("center", "scale"):
        # What the file lacks, the plan fills with what changes nothing.
        return theirs == {False}
    return any(_same(argument, one, other, rank) for one in theirs for other in ours.values)


def _same(argument: str, one: Any, other: Any, rank: int | None) -> bool:
    if argument in ("epsilon", "momentum"):
        return close(argument, one, other)
    if argument in ("strides", "dilation_rate"):
        return _same_sizes(one, other)
    return argument == "axis" and _same_axes(one, other, rank)


def close(argument: str, one: Any, other: Any) -> bool:
    """Whether two numbers are the same but for what float32 and the fused operation make of them."""
    if not all(isinstance(value, (int, float)) for value in (one, other)):
        return False
    if argument == "momentum":
        return math.isclose(one, other, abs_tol=1e-5)
    # The fused operation takes at least 1.001e-5, which is what a graph then says for 1e-5.
    return math.isclose(one, other, rel_tol=2e-3)


def _same_axes(one: Any, other: Any, rank: int | None) -> bool:
    """Whether two tuples name the same axes; where the rank is not known, whether they may."""
    if not isinstance(one, tuple) or not isinstance(other, tuple) or len(one) != len(other):
        return False
    if not all(isinstance(axis, int) for axis in one + other):
        return False
    if rank:
        return sorted(axis % rank for axis in one) == sorted(axis % rank for axis in other)
    return any((first < 0) != (second < 0) for first, second in zip(one, other))


def _same_sizes(one: Any, other: Any) -> bool:
    """Whether strides or rates are the same, where one side has an axis more that is not moved along."""
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return False
    count = min(len(one), len(other))
    more = one[: len(one) - count] + other[: len(other) - count]
    return bool(count) and one[-count:] == other[-count:] and all(size == 1 for size in more)


def _pads(theirs: FrozenSet[Any], ours: Setting) -> bool:
    geometry = geometry_of(ours.layer)
    if geometry is None:
        return True
    sizes, transposed = unpadded_sizes(ours.layer), ours.layer.kind.endswith("Transpose")
    return any(
        pads_alike(one, other, geometry, sizes, transposed)
        for one in theirs
        for other in ours.values
        if isinstance(one, Padding) and isinstance(other, Padding)
    )
