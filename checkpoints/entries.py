"""The messages in a TensorBundle's index: entries, shapes, slices.

Source: `tensorflow/core/protobuf/tensor_bundle.proto`, `tensorflow/core/framework/tensor_shape.proto`,
`tensorflow/core/framework/tensor_slice.proto`.
"""

from __future__ import annotations

from typing import NamedTuple

from .slices import Extent
from .wire import WireError, fields, message, number, signed


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
    for key, value in fields(data):
        if key == 2:
            extent = 0
            for part, size in fields(message(value)):
                if part == 1:
                    extent = signed(number(size))
            if extent < 0:
                raise WireError(f"a dimension of {extent}")
            shape.append(extent)
        elif key == 3 and value:
            raise WireError("a shape of unknown rank")
    return tuple(shape)


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


_shapes: dict[bytes, tuple[int, ...]] = {}
_MOST_SHAPES = 4096


def _parse_regular(raw: bytes) -> Entry | None:
    """`parse_entry` for the form that TensorFlow writes, four times as fast; None for any other, valid or not."""
    dtype = shard = offset = size = crc = 0
    shape: tuple[int, ...] = ()
    position, end = 0, len(raw)
    try:
        while position < end:
            tag = raw[position]
            value = raw[position + 1]
            position += 2
            if tag == 0x12:
                piece = raw[position : position + value]
                position += value
                if value > 0x7F or position > end:
                    return None
                known = _shapes.get(piece)
                if known is None:
                    known = parse_shape(memoryview(piece))
                    if len(_shapes) < _MOST_SHAPES:
                        _shapes[piece] = known
                shape = known
                continue
            if tag == 0x35:
                crc = int.from_bytes(raw[position - 1 : position + 3], "little")
                position += 3
                continue
            shift = 7
            while raw[position - 1] > 0x7F and shift < 63:
                value += (raw[position] - 1) << shift
                position += 1
                shift += 7
            if tag == 0x20:
                offset = value
            elif tag == 0x28:
                size = value
            elif tag == 0x08:
                dtype = value
            elif tag == 0x18:
                shard = value
            else:
                return None
    except (IndexError, WireError):
        return None
    if position != end or (dtype | shard | offset | size) >> 62:
        return None
    return Entry(dtype, shape, shard, offset, size, crc, ())


def parse_entry(data: memoryview) -> Entry:
    """A BundleEntryProto."""
    regular = _parse_regular(bytes(data))
    if regular is not None:
        return regular
    dtype = shard = offset = size = crc = 0
    shape: tuple[int, ...] = ()
    slices: list[tuple[Extent, ...]] = []
    for key, value in fields(data):
        if key == 1:
            dtype = number(value)
        elif key == 2:
            shape = parse_shape(message(value))
        elif key == 3:
            shard = number(value)
        elif key == 4:
            offset = signed(number(value))
        elif key == 5:
            size = signed(number(value))
        elif key == 6:
            crc = number(value)
        elif key == 7:
            slices.append(parse_slice(message(value)))
    return Entry(dtype, shape, shard, offset, size, crc, tuple(slices))
