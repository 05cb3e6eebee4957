"""Snappy decompression of one block (the raw format, without frames).

Source: the Snappy compressed format description.
"""

from __future__ import annotations

from .wire import WireError, read_varint

# A copy of 64 bytes takes at least 3, a literal at least its own length: nothing unpacks to more than this factor.
_MOST_EXPANSION = 32


def decompress(data: memoryview) -> bytes:
    """The bytes that `data` stands for; WireError if it is no Snappy block."""
    size, position = read_varint(data, 0, len(data))
    if size > _MOST_EXPANSION * len(data):
        raise WireError(f"a snappy block of {len(data)} bytes claims to hold {size}")
    out = bytearray()
    end = len(data)
    while position < end:
        tag = data[position]
        position += 1
        if tag & 3 == 0:
            length = (tag >> 2) + 1
            if length > 60:
                extra = length - 60
                length = int.from_bytes(data[position : position + extra], "little") + 1
                position += extra
            if length > end - position or len(out) + length > size:
                raise WireError("a snappy literal runs past the end")
            out += data[position : position + length]
            position += length
            continue
        if tag & 3 == 1:
            length, offset, extra = (tag >> 2 & 7) + 4, (tag >> 5) << 8, 1
        else:
            length, offset, extra = (tag >> 2) + 1, 0, 2 if tag & 3 == 2 else 4
        if extra > end - position:
            raise WireError("a snappy copy runs past the end")
        offset |= int.from_bytes(data[position : position + extra], "little")
        position += extra
        if offset == 0 or offset > len(out) or len(out) + length > size:
            raise WireError("a snappy copy points outside the block")
        start = len(out) - offset
        run = bytes(out[start : start + length])
        # A copy may reach into what it writes itself: it then repeats the run.
        out += (run * (length // len(run) + 1))[:length]
    if len(out) != size:
        raise WireError(f"a snappy block holds {len(out)} bytes, not {size}")
    return bytes(out)
