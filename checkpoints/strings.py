"""String tensors: all lengths as varints, the masked CRC-32C of the lengths, then the bytes.

Source: `ReadStringTensor` and `WriteStringTensor` in `tensorflow/core/util/tensor_bundle/tensor_bundle.cc`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

from .checkpoint import allocate, element_count
from .crc32c import crc32c, mask
from .errors import CheckpointError
from .wire import WireError, read_varint, write_varint

if TYPE_CHECKING:
    import numpy as np


def _lengths_crc(lengths: Sequence[int], order: Any) -> int:
    """The checksum of the lengths as integers, each in four bytes, or in eight where it needs them."""
    packed = b"".join(length.to_bytes(4 if length < 1 << 32 else 8, order) for length in lengths)
    return crc32c(packed)


def read_strings(data: bytearray, shape: tuple[int, ...], stored: int, place: str) -> np.ndarray[Any, Any]:
    """The string tensor in `data`, as an array of bytes objects; CheckpointError if it is damaged."""
    import numpy as np

    count = element_count(shape)
    # Every string takes at least the byte of its length, so the shape cannot ask for more than the data holds.
    if count > len(data):
        raise CheckpointError(f"{place}: {count} strings cannot stand in {len(data)} bytes")
    lengths: list[int] = []
    position = 0
    try:
        for _ in range(count):
            length, position = read_varint(data, position, len(data))
            lengths.append(length)
        body = position + 4
        if body + sum(lengths) != len(data):
            raise WireError(f"its strings take {body + sum(lengths)} bytes, not {len(data)}")
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
    flat = np.empty(count, dtype=object)
    for item, length in enumerate(lengths):
        flat[item] = bytes(view[body : body + length])
        body += length
    array = allocate(shape, np.dtype(object), place)
    array[...] = flat.reshape(shape)
    return array


def write_strings(values: Sequence[bytes]) -> tuple[bytes, int]:
    """The bytes of a string tensor in little-endian order, and the (unmasked) CRC-32C for its entry."""
    lengths = [len(value) for value in values]
    crc = _lengths_crc(lengths, "little")
    check = mask(crc).to_bytes(4, "little")
    body = b"".join(values)
    return b"".join(write_varint(length) for length in lengths) + check + body, crc32c(body, crc32c(check, crc))
