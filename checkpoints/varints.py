"""Varints by the million, decoded together with NumPy; `wire` decodes one at a time, without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .wire import WireError, write_varint

if TYPE_CHECKING:
    import numpy as np

# Each byte takes dozens while it is decoded, so that many are decoded in pieces.
_PIECE = 1 << 20
_LONGEST = 10


def decode(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """All numbers in `data`, bytes (uint8), as uint64; WireError where the last is cut short or one is too long."""
    import numpy as np

    if not len(data):
        return np.zeros(0, np.uint64)
    if data[-1] > 0x7F:
        raise WireError("a varint runs past the end")
    decoded = []
    start = 0
    while start < len(data):
        end = min(start + _PIECE, len(data))
        while data[end - 1] > 0x7F:
            end += 1
        decoded.append(_decode_piece(data[start:end]))
        start = end
    return np.concatenate(decoded)


def take(data: np.ndarray[Any, Any], count: int) -> tuple[np.ndarray[Any, Any], int]:
    """The first `count` numbers in `data`, and the position behind them; WireError if there are fewer."""
    import numpy as np

    found = position = 0
    while found < count:
        ends = np.flatnonzero(data[position : position + _PIECE] < 0x80)
        if not len(ends):
            raise WireError("a varint runs past the end")
        here = min(len(ends), count - found)
        found += here
        position += int(ends[here - 1]) + 1
    return decode(data[:position]), position


def encode(numbers: np.ndarray[Any, Any]) -> bytes:
    """The varints of `numbers` (uint64), one behind the other."""
    import numpy as np

    pieces = []
    for start in range(0, len(numbers), _PIECE):
        piece = numbers[start : start + _PIECE]
        short = int(piece.max()) < 0x80
        pieces.append(
            piece.astype(np.uint8).tobytes() if short else b"".join([write_varint(number) for number in piece.tolist()])
        )
    return b"".join(pieces)


def _decode_piece(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The numbers in `data`, the last byte of which ends one."""
    import numpy as np

    last = np.flatnonzero(data < 0x80)
    if len(last) == len(data):
        return data.astype(np.uint64)
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(len(data)) - np.repeat(first, last - first + 1)
    if place.max() >= _LONGEST:
        raise WireError("a varint is longer than ten bytes")
    parts = (data & np.uint8(0x7F)).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.bitwise_or.reduceat(parts, first)
