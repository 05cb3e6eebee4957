"""Distances between floating-point arrays, counted in representable numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dtypes import name_of, own, widen

INCOMPARABLE = 1 << 64
"""The distance of what cannot be compared: a NaN and a number, unequal integers, unequal strings."""

_FLOATS = {"float16": "i2", "bfloat16": "i2", "float32": "i4", "float64": "i8"}


def max_ulps(a: Any, b: Any) -> int:
    """The largest distance, in units in the last place, between elements of `a` and `b` at the same position.

    Both must have one shape and one type (ValueError otherwise). +0 and -0 are 0 apart, as are two NaNs; a NaN and a
    number are `INCOMPARABLE`, a huge number. Values that are not floating-point are 0 apart if equal, else
    `INCOMPARABLE`. Complex numbers are compared by their parts. Returns 0 for arrays without elements.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {list(a.shape)} and {list(b.shape)}")
    if a.dtype != b.dtype:
        raise ValueError(f"types differ: {a.dtype} and {b.dtype}")
    if not a.size:
        return 0
    if a.dtype.kind == "c":
        part = np.dtype(f"f{a.dtype.itemsize // 2}")
        a, b = np.ascontiguousarray(a).view(part), np.ascontiguousarray(b).view(part)
    name = name_of(a.dtype)
    code = _FLOATS.get(name or "")
    if code is None:
        return 0 if np.array_equal(a, b) else INCOMPARABLE
    left, right = _ordinals(a, code), _ordinals(b, code)
    lowest, highest = _nan_bounds(name or "")
    left_nan, right_nan = (left < lowest) | (left > highest), (right < lowest) | (right > highest)
    if np.any(left_nan != right_nan):
        return INCOMPARABLE
    # Unsigned, since the distance between two numbers of either sign exceeds the signed range.
    larger, smaller = np.maximum(left, right), np.minimum(left, right)
    distance = larger.view(np.uint64) - smaller.view(np.uint64)
    return int(np.where(left_nan, np.uint64(0), distance).max())


def plain(values: Any) -> np.ndarray[Any, Any]:
    """`values` in a type that holds them exactly and in which differences can be taken: complex128, else float64.

    Raises TypeError or ValueError for what is no number that NumPy knows.
    """
    widened = widen(own(np.asarray(values)))
    return widened.astype(np.complex128 if widened.dtype.kind == "c" else np.float64)


def ulps_of_largest(a: Any, reference: Any) -> float:
    """The largest difference between `a` and `reference`, in units in the last place of the largest `reference`.

    What to ask of outputs that are sums: one that happens to be near zero is the small difference of large terms, and
    the same error is any number of its own units. Both must be floating-point, of one shape and type (ValueError
    otherwise). Infinite if anything is not finite in one and not the same in the other. 0 without elements.
    """
    a, reference = np.asarray(a), np.asarray(reference)
    if a.shape != reference.shape or a.dtype != reference.dtype or a.dtype.kind != "f":
        raise ValueError(f"{a.dtype} {list(a.shape)} and {reference.dtype} {list(reference.shape)}")
    finite = np.isfinite(a) & np.isfinite(reference)
    if not np.array_equal(a[~finite], reference[~finite]):
        return float("inf")
    if not finite.any():
        return 0.0
    difference = np.abs(a[finite].astype(np.float64) - reference[finite].astype(np.float64)).max()
    return float(difference / np.spacing(np.abs(reference[finite]).max()))


def _ordinals(array: np.ndarray[Any, Any], code: str) -> np.ndarray[Any, Any]:
    """int64 numbers that rise by one from each floating-point number to the next; both zeros are 0."""
    bits = np.ascontiguousarray(array).view(code).reshape(-1).astype(np.int64)
    lowest = -(1 << (8 * np.dtype(code).itemsize - 1))
    return np.where(bits < 0, lowest - bits, bits)


def _nan_bounds(name: str) -> Any:
    """The ordinals of the two infinities; what lies outside is a NaN."""
    infinity = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF << 52}[name]
    return -infinity, infinity
