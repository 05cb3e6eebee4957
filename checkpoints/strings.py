"""String tensors: all lengths as varints, the masked CRC-32C of the lengths, then the bytes.

Source: `ReadStringTensor` and `WriteStringTensor` in `tensorflow/core/util/tensor_bundle/tensor_bundle.cc`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from .checkpoint import allocate, element_count
from .crc32c import crc32c, mask
from .errors import CheckpointError
from .spans import byte_view
from .varints import encode, take
from .wire import WireError

if TYPE_CHECKING:
    import numpy as np


# Strings are made in pieces, as their places are objects for a while.
_PIECE = 1 << 16


def _lengths_crc(lengths: np.ndarray[Any, Any], order: str) -> int:
    """The checksum of the lengths as integers, each in four bytes, or in eight where it needs them."""
    if not len(lengths) or int(lengths.max()) < 1 << 32:
        return crc32c(byte_view(lengths.astype("<u4" if order == "little" else ">u4")))
    widths = [(int(length), 4 if length < 1 << 32 else 8) for length in lengths]
    return crc32c(b"".join(length.to_bytes(width, order) for length, width in widths))  # type: ignore[arg-type]


def read_strings(data: bytearray, shape: tuple[int, ...], stored: int, place: str) -> np.ndarray[Any, Any]:
    """The string tensor in `data`, as an array of bytes objects; CheckpointError if it is damaged."""
    import numpy as np

    count = element_count(shape)
    # Every string takes at least the byte of its length, so the shape cannot ask for more than the data holds.
    if count > len(data):
        raise CheckpointError(f"{place}: {count} strings cannot stand in {len(data)} bytes")
    try:
        lengths, position = take(np.frombuffer(data, np.uint8), count)
        longest = int(lengths.max()) if count else 0
        body = position + 4
        taken = body + (int(lengths.sum()) if longest <= len(data) else longest)
        if taken != len(data):
            raise WireError(f"its strings take {taken} bytes, not {len(data)}")
    except WireError as error:
        raise CheckpointError(f"{place}: {error}") from None
    view = memoryview(data)
    check = bytes(view[position:body])
    for order in ("little", "big"):
        crc = _lengths_crc(lengths, order)
        if mask(crc).to_bytes(4, order) == check and mask(crc32c(view[body:], crc32c(check, crc))) == stored:
            break
    else:
        raise CheckpointError(f"{place}: checksum mismatch: the file is damaged")
    strings = allocate(shape, np.dtype(object), place)
    flat = strings.reshape(-1)
    for start in range(0, count, _PIECE):
        piece = []
        for length in lengths[start : start + _PIECE].tolist():
            piece.append(bytes(view[body : body + length]) if length else b"")
            body += length
        flat[start : start + _PIECE] = piece
    return strings


def write_strings(values: Sequence[bytes]) -> tuple[bytes, int]:
    """The bytes of a string tensor in little-endian order, and the (unmasked) CRC-32C for its entry."""
    import numpy as np

    lengths = np.fromiter(map(len, values), np.uint64, len(values))
    crc = _lengths_crc(lengths, "little")
    check = mask(crc).to_bytes(4, "little")
    # In pieces, as `join` takes 80 bytes more for each of what it joins.
    body = b"".join([b"".join(values[start : start + _PIECE]) for start in range(0, len(values), _PIECE)])
    return encode(lengths) + check + body, crc32c(body, crc32c(check, crc))
