"""The slices of a tensor that was saved in pieces (a partitioned variable): their keys, extents and tiling.

Source: `tensorflow/core/framework/tensor_slice.h`, `tensorflow/core/util/saved_tensor_slice_util.cc` (keys), and
OrderedCode, `tensorflow/core/lib/strings/ordered_code.cc`, which writes names so that bytes sort as they do.
"""

from __future__ import annotations

from typing import Sequence, Tuple

from .checkpoint import element_count
from .wire import WireError

# A file made for it could otherwise keep its reader busy for hours.
_MOST_COMPARISONS = 5_000_000

Extent = Tuple[int, int]
"""Start and length in one dimension; the length -1 means all of it."""

Box = Tuple[Extent, ...]
"""Start and length in every dimension, all of them known."""


def _ordered_number(value: int) -> bytes:
    """A non-negative number: one byte for its length, then its bytes, highest first."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def _ordered_string(value: bytes) -> bytes:
    return value.replace(b"\xff", b"\xff\x00").replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def _ordered_signed(value: int) -> bytes:
    """A signed number: sign-extended, with the length in the leading bits and those flipped for the sign."""
    magnitude = ~value if value < 0 else value
    size = 1
    while magnitude >> (7 * size - 1):
        size += 1
    # `size` leading ones say how long the number is, then the sign follows in the next bit.
    width = 8 * size
    pattern = value & ((1 << width) - 1)
    header = ((1 << size) - 1) << (width - size)
    return (pattern ^ header).to_bytes(size, "big")


def slice_key(name: str, extents: Sequence[Extent]) -> bytes:
    """The key of one slice in the index table."""
    key = _ordered_number(0) + _ordered_string(name.encode("utf-8")) + _ordered_number(len(extents))
    for start, length in extents:
        key += _ordered_signed(start) + _ordered_signed(length)
    return key


def index_of(box: Box) -> tuple[slice, ...]:
    """The NumPy index of a box."""
    return tuple(slice(start, start + length) for start, length in box)


def missing_elements(slices: Sequence[Sequence[Extent]], shape: tuple[int, ...]) -> int:
    """How many elements of a tensor of `shape` are in none of its slices, if these do not overlap."""
    sizes = [[extent if length == -1 else length for (_, length), extent in zip(each, shape)] for each in slices]
    return max(0, element_count(shape) - sum(element_count(tuple(size)) for size in sizes))


def resolve(extents: Sequence[Extent], shape: Sequence[int]) -> Box:
    """`extents` within a tensor of `shape`, all lengths positive numbers; WireError where they do not fit."""
    if len(extents) != len(shape):
        raise WireError(f"a slice of {len(extents)} dimensions in a tensor of {len(shape)}")
    resolved = []
    for (start, length), extent in zip(extents, shape):
        if length == -1:
            start, length = 0, extent
        if start < 0 or length < 0 or start + length > extent:
            raise WireError(f"the slice {list(extents)} leaves the shape {list(shape)}")
        resolved.append((start, length))
    return tuple(resolved)


def check_tiling(pieces: Sequence[Box], shape: Sequence[int]) -> None:
    """Raises WireError unless the pieces cover the shape with no gap and no overlap."""
    covered = sum(element_count(tuple(length for _, length in piece)) for piece in pieces)
    whole = element_count(tuple(shape))
    if covered != whole:
        raise WireError(f"its slices cover {covered} of {whole} elements")
    boxes = [piece for piece in pieces if all(length for _, length in piece)]
    if len(boxes) < 2:
        return
    # Along the dimension that is cut most, a piece can only overlap with those that start before it and reach it.
    starts = [len({piece[axis][0] for piece in boxes}) for axis in range(len(shape))]
    if not starts:
        raise WireError("its slices overlap")
    axis = starts.index(max(starts))
    boxes.sort(key=lambda piece: piece[axis])
    active: list[Box] = []
    budget = _MOST_COMPARISONS
    for box in boxes:
        active = [other for other in active if other[axis][0] + other[axis][1] > box[axis][0]]
        budget -= len(active)
        if budget < 0:
            raise WireError(f"its {len(boxes)} slices are cut in a way that takes too long to check")
        for other in active:
            if all(a + m > b and b + n > a for (a, m), (b, n) in zip(other, box)):
                raise WireError(f"its slices {list(other)} and {list(box)} overlap")
        active.append(box)
