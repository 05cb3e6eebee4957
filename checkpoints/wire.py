"""Protocol-buffer wire format, as much of it as TensorFlow's files need, without descriptors.

Source: the protocol buffers encoding specification. Fields come as (number, value): an int for a varint, a memoryview
for a length-delimited field, its bytes for one of fixed width. Nothing is copied, nothing recurses.
"""

from __future__ import annotations

from typing import Any, Iterator, Union


class Fixed(bytes):
    """The four or eight bytes of a field of fixed width."""


Value = Union[int, memoryview, Fixed]


_SIZES = {0: 0, 1: 8, 2: 0, 5: 4}


class WireError(ValueError):
    """The bytes are not a message; the caller knows which file and where, and says so."""


def read_varint(data: Any, position: int, end: int) -> tuple[int, int]:
    """The unsigned varint (at most ten bytes, 64 bits) at `position`, and the position behind it; or WireError."""
    result = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            raise WireError("a varint is longer than ten bytes")
    raise WireError("a varint runs past the end")


def write_varint(value: int) -> bytes:
    """`value` as a varint; negative numbers take ten bytes, as int32 and int64 fields want them."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> int:
    """The two's-complement reading of a 64-bit varint."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Every field of the message in `data`, in file order.

    Raises WireError on anything that is not a message. Groups, which TensorFlow never writes, are refused.
    """
    position, end = 0, len(data)
    while position < end:
        tag = data[position]
        position += 1
        if tag > 0x7F:
            tag, position = read_varint(data, position - 1, end)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError("field number 0")
        if kind == 0:
            value, position = read_varint(data, position, end)
            yield number, value
            continue
        if kind == 2:
            size, position = read_varint(data, position, end)
        elif kind == 5:
            size = 4
        elif kind == 1:
            size = 8
        else:
            raise WireError(f"wire type {kind}")
        if size > end - position:
            raise WireError(f"field {number} runs {size - (end - position)} bytes past the end")
        piece = data[position : position + size]
        position += size
        yield number, piece if kind == 2 else Fixed(piece)


def skip_field(data: memoryview, position: int, end: int) -> int:
    """The position behind the field that begins at `position`; WireError if there is none."""
    tag, position = read_varint(data, position, end)
    kind = tag & 7
    if not tag >> 3 or kind not in _SIZES:
        raise WireError(f"field number {tag >> 3} of wire type {kind}")
    size = _SIZES[kind]
    if kind in (0, 2):
        size, position = read_varint(data, position, end)
        size = size if kind == 2 else 0
    if size > end - position:
        raise WireError(f"field {tag >> 3} runs {size - (end - position)} bytes past the end")
    return position + size


def message(value: Value) -> memoryview:
    """`value` as a sub-message; WireError if the field was written as a number."""
    if isinstance(value, memoryview):
        return value
    raise WireError("a number stands where a message should")


def number(value: Value) -> int:
    """`value` as the unsigned integer of a varint; WireError if the field was written as anything else."""
    if isinstance(value, int):
        return value
    raise WireError("a message or a number of fixed width stands where a varint should")


def once(before: Any, value: Any, what: str) -> Any:
    """`value`, the sub-message `what`; WireError if there was one `before`.

    A parser of protocol buffers merges the two, which no writer means.
    """
    if before is not None:
        raise WireError(f"{what} is there twice")
    return value


def text(value: Value) -> str:
    """`value` as UTF-8 text; WireError if it is none."""
    try:
        return str(message(value), "utf-8")
    except UnicodeDecodeError:
        raise WireError(f"a name is not UTF-8: {bytes(message(value))[:80]!r}") from None


def packed_varints(value: Value) -> list[int]:
    """A repeated varint field in either of its spellings, packed or one number at a time."""
    if isinstance(value, int):
        return [value]
    data = message(value)
    numbers, position, end = [], 0, len(data)
    while position < end:
        item, position = read_varint(data, position, end)
        numbers.append(item)
    return numbers


def field(number: int, value: int | bytes) -> bytes:
    """One encoded field: an int as a varint, bytes as a length-delimited field."""
    if isinstance(value, int):
        return write_varint(number << 3) + write_varint(value)
    return write_varint(number << 3 | 2) + write_varint(len(value)) + value


def fixed32(number: int, value: int) -> bytes:
    """One encoded fixed32 field."""
    return write_varint(number << 3 | 5) + value.to_bytes(4, "little")
