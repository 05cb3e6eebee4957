"""Nodes of a TensorFlow graph, read from their protocol buffers without TensorFlow.

A graph is read in one pass that decodes names, ops and inputs only. Attributes, and with them constants, stay where
they are in the file until somebody asks for them. Nothing recurses: functions and nested messages are taken one level
at a time.

Source: `tensorflow/core/framework/node_def.proto`, `attr_value.proto`.
"""

from __future__ import annotations

import struct
from typing import Any, Callable, NamedTuple

from ..wire import Fixed, WireError, fields, message, number, read_varint, signed, text

# Attributes that are left out where a graph is stored without its defaults, as SavedModels mostly are.
_DEFAULTS: dict[tuple[str, str], Any] = {
    ("BlockLSTM", "cell_clip"): 3.0,
    ("BlockLSTM", "forget_bias"): 1.0,
    ("FusedBatchNorm", "epsilon"): 1e-4,
    ("FusedBatchNormV2", "epsilon"): 1e-4,
    ("FusedBatchNormV3", "epsilon"): 1e-4,
    ("LSTMBlockCell", "cell_clip"): 3.0,
    ("LSTMBlockCell", "forget_bias"): 1.0,
    ("LeakyRelu", "alpha"): 0.2,
}
# A node of this size or less is copied before it is parsed, as bytes are read faster than views.
_SMALL = 1 << 16


class Ref(NamedTuple):
    """What an input refers to: the node's name and the number of its output."""

    node: str
    output: int = 0


class Node:
    """A NodeDef: `inputs` are those that carry data, in order, and `controls` the names of those that only wait.

    `attributes` decodes on first use. Inputs are spelled as in the file: `x`, `x:1`, or `x:output:0` in functions.
    """

    __slots__ = ("_attributes", "_data", "_end", "_start", "controls", "inputs", "name", "op")

    def __init__(self, data: memoryview, start: int, end: int) -> None:
        """Raises WireError if the bytes from `start` to `end` are no node."""
        self._data, self._start, self._end = data, start, end
        self._attributes: dict[str, memoryview] | None = None
        piece: Any = data[start:end]
        if end - start <= _SMALL:
            piece = bytes(piece)
        self.name, self.op, self.inputs, self.controls = _parse(piece)

    def __repr__(self) -> str:
        return f"<{self.op} {self.name}>"

    def attribute(self, name: str) -> Any:
        """The attribute as an int, float, bool, bytes, list of those, DType, Shape, Function, or TensorProto's bytes.

        None if the node has no such attribute, or one that is no AttrValue.
        """
        try:
            value = self.encoded(name)
            return _DEFAULTS.get((self.op, name)) if value is None else _value(value)
        except WireError:
            return None

    def encoded(self, name: str) -> memoryview | None:
        """The attribute as the file has it; None if the node has none. Raises WireError if the node is damaged."""
        if self._attributes is None:
            self._attributes = dict(_attributes(self._data[self._start : self._end]))
        return self._attributes.get(name)

    def integers(self, name: str) -> tuple[int, ...]:
        """The attribute as a tuple of ints; empty if it is none."""
        value = self.attribute(name)
        return tuple(value) if isinstance(value, list) and all(type(item) is int for item in value) else ()

    def text(self, name: str) -> str:
        """The attribute as text; empty if it is none."""
        value = self.attribute(name)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


class DType(int):
    """The number of an element type (see `checkpoints.dtypes.BY_NUMBER`)."""


class Shape(NamedTuple):
    """A shape whose sizes may be unknown (-1), as may be their number (None)."""

    sizes: tuple[int, ...] | None


class Function(NamedTuple):
    """A function of the graph's library that a node calls."""

    name: str


def split_reference(reference: str) -> Ref:
    """The node and the number of the output that an input such as `x`, `x:1` or `x:output:1` refers to."""
    if ":" not in reference:
        return Ref(reference)
    name, _, tail = reference.partition(":")
    number = tail.rpartition(":")[2]
    return Ref(name, int(number) if number.isdecimal() and len(number) < 7 else 0)


def _parse(data: Any) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """Name, op, inputs and control inputs of a NodeDef; its other fields are skipped."""
    name = op = b""
    inputs: list[str] = []
    controls: list[str] = []
    position, end = 0, len(data)
    while position < end:
        tag = data[position]
        size, position = (data[position + 1], position + 2) if position + 1 < end else (0x80, position + 1)
        if size > 0x7F:
            size, position = read_varint(data, position - 1, end)
        if tag > 0x7F or tag & 7 != 2:
            # Fields that no release writes; the general parser knows what to make of them.
            return _parse_any(memoryview(data))
        if size > end - position:
            raise WireError(f"a field of a node runs {size - (end - position)} bytes past the end")
        if tag == 0x1A:
            reference = _text(data[position : position + size])
            if reference[:1] == "^":
                controls.append(reference[1:])
            else:
                inputs.append(reference)
        elif tag == 0x0A:
            name = data[position : position + size]
        elif tag == 0x12:
            op = data[position : position + size]
        position += size
    return _text(name), _text(op), tuple(inputs), tuple(controls)


def _text(data: Any) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise WireError(f"a name is not UTF-8: {bytes(data)[:80]!r}") from None


def _parse_any(data: memoryview) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    found: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for key, value in fields(data):
        if key in found:
            found[key].append(text(value))
    inputs = tuple(item for item in found[3] if item[:1] != "^")
    controls = tuple(item[1:] for item in found[3] if item[:1] == "^")
    return (found[1] or [""])[-1], (found[2] or [""])[-1], inputs, controls


def _attributes(node: memoryview) -> list[tuple[str, memoryview]]:
    found = []
    for key, entry in fields(node):
        if key != 5:
            continue
        name, value = "", memoryview(b"")
        for part, piece in fields(message(entry)):
            if part == 1:
                name = text(piece)
            elif part == 2:
                value = message(piece)
        found.append((name, value))
    return found


def _float(value: Any) -> float:
    if not isinstance(value, Fixed) or len(value) != 4:
        raise WireError("something else stands where a float should")
    return float(struct.unpack("<f", value)[0])


def _int(value: Any) -> int:
    return signed(number(value))


def _function(value: Any) -> Function:
    names = [text(piece) for key, piece in fields(message(value)) if key == 1]
    return Function(names[-1] if names else "")


def _shape(value: Any) -> Shape:
    sizes: list[int] | None = []
    for key, piece in fields(message(value)):
        if key == 2 and sizes is not None:
            size = 0
            for part, extent in fields(message(piece)):
                if part == 1:
                    size = _int(extent)
            sizes.append(size)
        elif key == 3 and piece:
            sizes = None
    return Shape(None if sizes is None else tuple(sizes))


# Field numbers of AttrValue; its lists have the same ones but for the first, `list` itself.
_KINDS: dict[int, Callable[[Any], Any]] = {
    2: lambda value: bytes(message(value)),
    3: _int,
    4: _float,
    5: lambda value: bool(_int(value)),
    6: lambda value: DType(_int(value)),
    7: _shape,
    8: message,
}
_PACKED_FLOAT, _PACKED = 4, (3, 5, 6)


def _value(data: memoryview) -> Any:
    """The value of an AttrValue."""
    found: Any = None
    for key, value in fields(data):
        if key == 1:
            found = _list(message(value))
        elif key == 10:
            found = _function(value)
        elif key in _KINDS:
            found = _KINDS[key](value)
    return found


def _list(data: memoryview) -> list[Any]:
    found: list[Any] = []
    for key, value in fields(data):
        if key == 9:
            found.append(_function(value))
        elif key == _PACKED_FLOAT and isinstance(value, memoryview):
            found += [number for (number,) in struct.iter_unpack("<f", value[: len(value) // 4 * 4])]
        elif key in _PACKED and isinstance(value, memoryview):
            position, end = 0, len(value)
            while position < end:
                item, position = read_varint(value, position, end)
                found.append(_KINDS[key](item))
        elif key in _KINDS:
            found.append(_KINDS[key](value))
    return found
