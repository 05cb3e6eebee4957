"""TensorProto: a tensor inside a message, as frozen graphs and V1 checkpoints hold it.

Source: `tensorflow/core/framework/tensor.proto`. Elements stand either in `tensor_content`, as raw little-endian
bytes, or in the list for their type. In a graph a list may be short: its last element then fills the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import dtypes
from .checkpoint import allocate, element_count
from .entries import parse_shape
from .errors import CheckpointError
from .wire import Value, WireError, fields, message, number

if TYPE_CHECKING:
    import numpy as np

_CONTENT, _STRINGS = 4, 8
_FIXED = {5: "<f4", 6: "<f8", 9: "<f4", 12: "<f8"}
_VARINT = (7, 10, 11, 13, 16, 17)
_LIST_OF = {
    "float32": 5,
    "float64": 6,
    "complex64": 9,
    "complex128": 12,
    "int64": 10,
    "bool": 11,
    "float16": 13,
    "bfloat16": 13,
    "uint32": 16,
    "uint64": 17,
    "string": _STRINGS,
}
_INT_VAL = 7
# One element may stand for a whole constant; a file must not make its reader allocate without end by that.
_MOST_FILLED = 64 << 20


class TensorProto(NamedTuple):
    """The parsed message: `lists` holds the undecoded pieces of every typed list, by field number."""

    dtype: int
    shape: tuple[int, ...]
    content: memoryview | None
    lists: dict[int, list[Value]]

    def nbytes(self) -> int:
        """The bytes that its elements take where they stand."""
        if self.content is not None:
            return len(self.content)
        return sum(len(item) if isinstance(item, memoryview) else 1 for items in self.lists.values() for item in items)


def parse_tensor(data: memoryview) -> TensorProto:
    """The TensorProto in `data`, its elements not yet decoded; WireError if it is none."""

    dtype = 0
    shape: tuple[int, ...] = ()
    content = None
    lists: dict[int, list[Value]] = {}
    for key, value in fields(data):
        if key == 1:
            dtype = number(value)
        elif key == 2:
            shape = parse_shape(message(value))
        elif key == _CONTENT:
            content = message(value) if len(message(value)) else None
        elif key in _FIXED or key in _VARINT or key == _STRINGS:
            lists.setdefault(key, []).append(value)
    return TensorProto(dtype, shape, content, lists)


def to_array(
    proto: TensorProto, dtype: int, shape: tuple[int, ...], place: str, exact: bool = False
) -> np.ndarray[Any, Any]:
    """The elements of `proto` as an array; `exact` refuses lists that are shorter than the shape.

    Raises CheckpointError, which begins with `place`, for other types and for lists that do not fit.
    """
    kind = dtypes.BY_NUMBER.get(dtype)
    if kind is None or not kind.numpy:
        raise CheckpointError("{}: {} can be listed but not read".format(place, kind.name if kind else dtype))
    count = element_count(shape)
    try:
        if proto.content is not None:
            return _from_content(proto.content, kind, shape, count, place)
        values = _decode(proto, kind)
    except WireError as error:
        raise CheckpointError("{}: {}".format(place, error)) from None
    return _fill(values, kind, shape, count, place, exact)


def _from_content(
    content: memoryview, kind: dtypes.DType, shape: tuple[int, ...], count: int, place: str
) -> np.ndarray[Any, Any]:
    if not kind.size or len(content) != count * kind.size:
        raise WireError("shape {} of {} cannot stand in {} bytes".format(list(shape), kind.name, len(content)))
    import numpy as np

    array = allocate(shape, dtypes.numpy_dtype(kind.name), place)
    code = np.dtype(kind.numpy).newbyteorder("<")
    flat = np.frombuffer(content, code)
    array.reshape(-1).view(kind.numpy)[...] = flat
    return array


def _decode(proto: TensorProto, kind: dtypes.DType) -> np.ndarray[Any, Any]:
    """The elements of the list for the type, flat, in the type's carrier."""
    import numpy as np

    key = _LIST_OF.get(kind.name, _INT_VAL)
    pieces = proto.lists.get(key, [])
    if key == _STRINGS:
        values = np.empty(len(pieces), dtype=object)
        for place, piece in enumerate(pieces):
            values[place] = bytes(message(piece))
        return values
    if key in _FIXED:
        code = np.dtype(_FIXED[key])
        raw = b"".join(item.to_bytes(code.itemsize, "little") if isinstance(item, int) else item for item in pieces)
        if len(raw) % np.dtype(kind.numpy).itemsize:
            raise WireError("its list of numbers is cut short")
        return np.frombuffer(raw, code).astype(code.newbyteorder("="), copy=False).view(kind.numpy)
    numbers = _varints(pieces)
    if kind.name in ("float16", "bfloat16"):
        return numbers.astype(np.uint16).view(kind.numpy)
    return numbers.astype(kind.numpy)


def _varints(pieces: list[Value]) -> np.ndarray[Any, Any]:
    """All numbers of a repeated varint field, packed or not, as uint64, decoded together."""
    import numpy as np

    from .wire import write_varint

    raw = b"".join(write_varint(item) if isinstance(item, int) else item for item in pieces)
    data = np.frombuffer(raw, np.uint8)
    last = np.flatnonzero(data < 0x80)
    if not len(data):
        return np.zeros(0, np.uint64)
    if not len(last) or last[-1] != len(data) - 1:
        raise WireError("a varint runs past the end")
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(len(data)) - np.repeat(first, last - first + 1)
    if place.max() > 9:
        raise WireError("a varint is longer than ten bytes")
    parts = (data & np.uint8(0x7F)).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.bitwise_or.reduceat(parts, first)


def _fill(
    values: np.ndarray[Any, Any], kind: dtypes.DType, shape: tuple[int, ...], count: int, place: str, exact: bool
) -> np.ndarray[Any, Any]:
    if len(values) > count or (exact and len(values) != count):
        raise CheckpointError(
            "{}: {} elements cannot fill the shape {}: the file is damaged".format(place, len(values), list(shape))
        )
    size = max(kind.size, 8)
    if (count - len(values)) * size > _MOST_FILLED:
        raise CheckpointError(
            "{}: a constant of {} elements, of which the file holds {}: too large to fill".format(
                place, count, len(values)
            )
        )
    array = allocate(shape, dtypes.numpy_dtype(kind.name), place)
    flat = array.reshape(-1) if kind.name == "string" else array.reshape(-1).view(kind.numpy)
    flat[: len(values)] = values
    if len(values) < count:
        flat[len(values) :] = values[-1] if len(values) else (b"" if kind.name == "string" else 0)
    return array
