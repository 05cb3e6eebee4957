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
from .varints import decode
from .wire import Fixed, Value, WireError, fields, message, number, once, write_varint

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


class TensorProto(NamedTuple):
    """The parsed message: `lists` holds the undecoded pieces of every typed list, by field number."""

    dtype: int
    shape: tuple[int, ...]
    content: memoryview | None
    lists: dict[int, list[Value]]


class Described(NamedTuple):
    """What a TensorProto says of itself; `nbytes` is what its elements take where they stand."""

    dtype: int
    shape: tuple[int, ...]
    nbytes: int


def describe_tensor(data: memoryview) -> Described:
    """Type, shape and size of the TensorProto in `data`, nothing of which is kept; WireError if it is none."""
    dtype = size = 0
    shape: tuple[int, ...] | None = None
    for key, value in fields(data):
        if key == 1:
            dtype = number(value)
        elif key == 2:
            shape = once(shape, parse_shape(message(value)), "its shape")
        elif key == _CONTENT or key in _FIXED or key in _VARINT or key == _STRINGS:
            size += 1 if isinstance(value, int) else len(value)
    return Described(dtype, shape or (), size)


def parse_tensor(data: memoryview) -> TensorProto:
    """The TensorProto in `data`, its elements not yet decoded; WireError if it is none."""

    dtype = 0
    shape: tuple[int, ...] | None = None
    content = None
    lists: dict[int, list[Value]] = {}
    for key, value in fields(data):
        if key == 1:
            dtype = number(value)
        elif key == 2:
            shape = once(shape, parse_shape(message(value)), "its shape")
        elif key == _CONTENT:
            content = message(value) if len(message(value)) else None
        elif key in _FIXED or key in _VARINT or key == _STRINGS:
            lists.setdefault(key, []).append(value)
    return TensorProto(dtype, shape or (), content, lists)


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
            if proto.lists:
                raise WireError("it holds its values twice")
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
    if not proto.lists.keys() <= {key}:
        raise WireError(f"it holds values of another type than {kind.name}")
    pieces = proto.lists.get(key, [])
    if key == _STRINGS:
        values = np.empty(len(pieces), dtype=object)
        for place, piece in enumerate(pieces):
            values[place] = bytes(message(piece))
        return values
    if key in _FIXED:
        code = np.dtype(_FIXED[key])
        if any(isinstance(item, int) or (isinstance(item, Fixed) and len(item) != code.itemsize) for item in pieces):
            raise WireError("its list of numbers is of another width")
        raw = b"".join(pieces)  # type: ignore[arg-type]
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

    raw = b"".join(write_varint(item) if isinstance(item, int) else message(item) for item in pieces)
    return decode(np.frombuffer(raw, np.uint8))


def _fill(
    values: np.ndarray[Any, Any], kind: dtypes.DType, shape: tuple[int, ...], count: int, place: str, exact: bool
) -> np.ndarray[Any, Any]:
    if len(values) > count or (exact and len(values) != count):
        raise CheckpointError(
            "{}: {} elements cannot fill the shape {}: the file is damaged".format(place, len(values), list(shape))
        )
    array = allocate(shape, dtypes.numpy_dtype(kind.name), place)
    flat = array.reshape(-1) if kind.name == "string" else array.reshape(-1).view(kind.numpy)
    flat[: len(values)] = values
    if len(values) < count:
        flat[len(values) :] = values[-1] if len(values) else (b"" if kind.name == "string" else 0)
    return array
