"""TensorFlow's element types: number in the file, name, size, and the NumPy type that holds them bit for bit.

Source: `tensorflow/core/framework/types.proto`. NumPy has no bfloat16, no 8-bit floats, no quantized integers; each of
those is held as a structured type of one field that bears TensorFlow's name, so that no bit and no meaning is lost.
This module is imported for every listing, so it imports NumPy late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class DType(NamedTuple):
    """One element type. `size` is in bytes, 0 where elements have no fixed size; `numpy` is the code of its carrier."""

    number: int
    name: str
    size: int
    numpy: str
    wrapped: bool = False


STRING = 7
VARIANT = 21
RESOURCE = 20

_ALL = (
    DType(1, "float32", 4, "f4"),
    DType(2, "float64", 8, "f8"),
    DType(3, "int32", 4, "i4"),
    DType(4, "uint8", 1, "u1"),
    DType(5, "int16", 2, "i2"),
    DType(6, "int8", 1, "i1"),
    DType(STRING, "string", 0, "O"),
    DType(8, "complex64", 8, "c8"),
    DType(9, "int64", 8, "i8"),
    DType(10, "bool", 1, "?"),
    DType(11, "qint8", 1, "i1", True),
    DType(12, "quint8", 1, "u1", True),
    DType(13, "qint32", 4, "i4", True),
    DType(14, "bfloat16", 2, "u2", True),
    DType(15, "qint16", 2, "i2", True),
    DType(16, "quint16", 2, "u2", True),
    DType(17, "uint16", 2, "u2"),
    DType(18, "complex128", 16, "c16"),
    DType(19, "float16", 2, "f2"),
    DType(RESOURCE, "resource", 0, ""),
    DType(VARIANT, "variant", 0, ""),
    DType(22, "uint32", 4, "u4"),
    DType(23, "uint64", 8, "u8"),
    DType(24, "float8_e5m2", 1, "u1", True),
    DType(25, "float8_e4m3fn", 1, "u1", True),
    DType(26, "float8_e4m3fnuz", 1, "u1", True),
    DType(27, "float8_e4m3b11fnuz", 1, "u1", True),
    DType(28, "float8_e5m2fnuz", 1, "u1", True),
    DType(29, "int4", 1, "i1", True),
    DType(30, "uint4", 1, "u1", True),
)
BY_NUMBER: dict[int, DType] = {dtype.number: dtype for dtype in _ALL}
BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in _ALL}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy type that holds elements of the TensorFlow type `name`, in this machine's byte order.

    Strings are held as objects (bytes). Raises KeyError for an unknown name, TypeError for types that cannot be held.
    """
    import numpy as np

    dtype = BY_NAME[name]
    if not dtype.numpy:
        raise TypeError(f"{name} has no NumPy counterpart")
    return np.dtype([(name, dtype.numpy)]) if dtype.wrapped else np.dtype(dtype.numpy)


def name_of(dtype: Any) -> str | None:
    """TensorFlow's name for a NumPy type, a type name, or anything with a `name` (as tf.DType); None if unknown.

    A structure of one field has a name only if it is what `numpy_dtype` gives: its field alone says nothing of the
    bytes in it.
    """
    if isinstance(dtype, str):
        name = dtype
    elif getattr(dtype, "names", None):
        name = dtype.names[0]
        known = BY_NAME.get(name)
        return name if known and known.wrapped and dtype.newbyteorder("=") == numpy_dtype(name) else None
    elif getattr(dtype, "kind", "") in ("S", "U", "O"):
        name = "string"
    else:
        name = getattr(dtype, "name", None) or str(dtype)
    # A variable of TF 1's reference kind has the type of what it refers to.
    name = name[: -len("_ref")] if name.endswith("_ref") else name
    return name if name in BY_NAME else None


def own(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`array`, held as this module holds elements of its type; TensorFlow and JAX have a bfloat16 of their own."""
    name = name_of(array.dtype)
    if name is None or not BY_NAME[name].wrapped or array.dtype.names:
        return array
    return array.view(numpy_dtype(name))


def widen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`array` as plain numbers: bfloat16 becomes float32 (exactly), quantized integers their stored integers.

    Arrays that hold plain numbers already come back as they are. Raises TypeError for 8-bit floats.
    """
    import numpy as np

    names = array.dtype.names
    if not names:
        return array
    name = names[0]
    stored: np.ndarray[Any, Any] = array[name]
    if name == "bfloat16":
        # Not by a plain 16, with which NumPy 1 makes int64 of a scalar.
        return np.ascontiguousarray(stored.astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(array.shape)
    if name.startswith("float8"):
        raise TypeError(f"{name} cannot be widened without a package that knows it")
    return stored


def cast(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """`array` as elements of the TensorFlow type `name`, rounded to nearest even where bits are lost.

    Raises TypeError for types that this module holds but cannot compute with (quantized, 8-bit floats).
    """
    import numpy as np

    if name_of(array.dtype) == name:
        return array
    plain = widen(array)
    if name == "bfloat16":
        bits = np.ascontiguousarray(plain, dtype=np.float32).reshape(plain.shape).view(np.uint32)
        rounded = (bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)) >> 16
        # Rounding would carry a NaN's payload away; a quiet NaN keeps its sign.
        rounded = np.where(np.isnan(plain), bits >> 16 | 0x40, rounded)
        return rounded.astype(np.uint16).view(numpy_dtype(name))
    if BY_NAME[name].wrapped or not BY_NAME[name].size:
        raise TypeError(f"cannot cast to {name}")
    return plain.astype(numpy_dtype(name))
