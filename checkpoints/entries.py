"""The messages in a TensorBundle's index: entries, shapes, slices.

Source: `tensorflow/core/protobuf/tensor_bundle.proto`, `tensorflow/core/framework/tensor_shape.proto`,
`tensorflow/core/framework/tensor_slice.proto`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .checkpoint import MOST_DIMENSIONS
from .slices import Extent
from .wire import Fixed, Value, WireError, fields, message, number, once, packed_varints, signed

# What an int64 can count.
_MOST_ELEMENTS = 1 << 63


class Entry(NamedTuple):
    """A BundleEntryProto."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    slices: tuple[tuple[Extent, ...], ...]


def parse_shape(data: memoryview) -> tuple[int, ...]:
    """A TensorShapeProto; WireError for unknown ranks and negative extents, which no stored tensor has."""
    shape: list[int] = []
    count = 1
    for key, value in fields(data):
        if key == 2:
            extent = 0
            for part, size in fields(message(value)):
                if part == 1:
                    extent = signed(number(size))
            if extent < 0:
                raise WireError(f"a dimension of {extent}")
            shape.append(extent)
            count *= extent
            if count >= _MOST_ELEMENTS or len(shape) > MOST_DIMENSIONS:
                raise WireError("a shape of more dimensions or elements than TensorFlow has")
        elif key == 3 and number(value):
            raise WireError("a shape of unknown rank")
    return tuple(shape)


def check_versions(data: memoryview, consumer: int) -> None:
    """Raises WireError where a VersionDef says that a reader of the version `consumer` cannot read the file.

    Source: `CheckVersions` in `tensorflow/core/framework/versions.cc`.
    """
    producer = lowest = 0
    bad: list[int] = []
    for key, value in fields(data):
        if key == 1:
            producer = _int32(number(value))
        elif key == 2:
            lowest = _int32(number(value))
        elif key == 3:
            bad += map(_int32, packed_varints(value))
    if producer < 0 or lowest > consumer or consumer in bad:
        raise WireError(f"it asks for a newer reader than version {consumer} (producer {producer}, at least {lowest})")


def _int32(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def parse_slice(data: memoryview) -> tuple[Extent, ...]:
    """A TensorSliceProto: (start, length) for each dimension, length -1 for all of it."""
    extents = []
    for key, value in fields(data):
        if key == 1:
            start, length = 0, -1
            for part, amount in fields(message(value)):
                if part == 1:
                    start = signed(number(amount))
                elif part == 2:
                    length = signed(number(amount))
            extents.append((start, length))
    return tuple(extents)


# What stands behind the shape in the form that TensorFlow writes: shard, offset, size and CRC, each left out where 0.
_TAIL = re.compile(
    rb"(?:\x18([\x00-\x7f]))?(?:\x20([\x80-\xff]{0,7}[\x00-\x7f]))?(?:\x28([\x80-\xff]{0,7}[\x00-\x7f]))?(?:\x35(.{4}))?",
    re.DOTALL,
)


def split_entry(raw: bytes) -> tuple[tuple[bytes, bytes | None, bytes | None], re.Match[bytes]] | None:
    """What tensors of one kind have in common (type and shape, shard, size), and the rest, all of it still encoded.

    Made for listings of very many tensors, in which nothing is decoded twice. None for another form than the one that
    TensorFlow writes, valid or not, and for an entry with slices.
    """
    if len(raw) < 4:
        return None
    first, dtype, second, length = raw[:4]
    end = 4 + length
    if first != 0x08 or second != 0x12 or dtype | length > 0x7F or end > len(raw):
        return None
    tail = _TAIL.fullmatch(raw, end)
    return ((raw[:end], tail[1], tail[3]), tail) if tail else None


_shapes: dict[bytes, tuple[int, ...]] = {}
_MOST_SHAPES = 4096


def _regular_shape(piece: bytes) -> tuple[int, ...]:
    shape = _shapes.get(piece)
    if shape is None:
        shape = parse_shape(memoryview(piece))
        if len(_shapes) < _MOST_SHAPES:
            _shapes[piece] = shape
    return shape


def _regular_number(varint: bytes | None) -> int:
    value = 0
    for byte in reversed(varint or b""):
        value = value << 7 | byte & 0x7F
    return value


def parse_entry(data: memoryview) -> Entry:
    """A BundleEntryProto."""
    split = split_entry(bytes(data))
    if split is not None:
        (head, shard, size), tail = split
        offset, crc = _regular_number(tail[2]), int.from_bytes(tail[4] or b"", "little")
        numbers = _regular_number(shard), offset, _regular_number(size), crc
        return Entry(head[1], _regular_shape(head[4:]), *numbers, ())
    return _parse_any(data)


def _parse_any(data: memoryview) -> Entry:
    dtype = shard = offset = size = crc = 0
    shape: tuple[int, ...] | None = None
    slices: list[tuple[Extent, ...]] = []
    for key, value in fields(data):
        if key == 1:
            dtype = number(value)
        elif key == 2:
            shape = once(shape, parse_shape(message(value)), "its shape")
        elif key == 3:
            shard = number(value)
        elif key == 4:
            offset = signed(number(value))
        elif key == 5:
            size = signed(number(value))
        elif key == 6:
            crc = _fixed32(value)
        elif key == 7:
            slices.append(parse_slice(message(value)))
    return Entry(dtype, shape or (), shard, offset, size, crc, tuple(slices))


def _fixed32(value: Value) -> int:
    if isinstance(value, Fixed) and len(value) == 4:
        return int.from_bytes(value, "little")
    raise WireError("a checksum is not four bytes")
