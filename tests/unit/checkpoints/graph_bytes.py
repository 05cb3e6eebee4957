"""Graphs as bytes, built field by field: what tests of the graph reader feed it, without TensorFlow."""

from __future__ import annotations

import struct

import numpy as np

from checkpoints.wire import field, write_varint

NUMBERS = {"float32": 1, "int32": 3, "string": 7, "int64": 9, "bool": 10}


def _fixed32(number, value):
    return write_varint(number << 3 | 5) + struct.pack("<f", value)


def tensor(value):
    """A TensorProto, with its elements as raw bytes, or as a list of strings."""
    array = np.asarray(value)
    dims = b"".join(field(2, field(1, extent)) for extent in array.shape)
    if array.dtype.kind in "OSU":
        items = b"".join(field(8, str(item).encode()) for item in array.reshape(-1))
        return field(1, NUMBERS["string"]) + field(2, dims) + items
    return field(1, NUMBERS[array.dtype.name]) + field(2, dims) + field(4, array.tobytes())


def attribute(value):
    """An AttrValue: of an int, float, bool, text, array, or a list of ints or texts; bytes are taken as they are."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return field(5, int(value))
    if isinstance(value, int):
        return field(3, value)
    if isinstance(value, float):
        return _fixed32(4, value)
    if isinstance(value, str):
        return field(2, value.encode())
    if isinstance(value, np.ndarray):
        return field(8, tensor(value))
    if value and isinstance(value[0], str):
        return field(1, b"".join(field(2, item.encode()) for item in value))
    return field(1, field(3, b"".join(write_varint(item) for item in value)))


def node(name, op, inputs=(), **attributes):
    """A NodeDef."""
    data = field(1, name.encode()) + field(2, op.encode()) + b"".join(field(3, each.encode()) for each in inputs)
    for key, value in attributes.items():
        data += field(5, field(1, key.encode()) + field(2, attribute(value)))
    return data


def constant(name, value):
    """A `Const` node."""
    return node(name, "Const", value=np.asarray(value))


def function(name, arguments, nodes, returns):
    """A FunctionDef: `returns` gives by the name of a result the tensor that it is."""
    signature = field(1, name.encode())
    signature += b"".join(field(2, field(1, argument.encode())) for argument in arguments)
    signature += b"".join(field(3, field(1, result.encode())) for result in returns)
    data = field(1, signature) + b"".join(field(3, each) for each in nodes)
    for result, reference in returns.items():
        data += field(4, field(1, result.encode()) + field(2, reference.encode()))
    return data


def graph_def(nodes, functions=()):
    """A GraphDef."""
    library = b"".join(field(1, each) for each in functions)
    return b"".join(field(1, each) for each in nodes) + (field(2, library) if library else b"")


def meta_graph(graph, tags=(), outputs=()):
    """A MetaGraphDef with one signature that returns the tensors `outputs`."""
    information = field(5, b"1.15.0") + b"".join(field(4, tag.encode()) for tag in tags)
    data = field(1, information) + field(2, graph)
    if outputs:
        entries = b"".join(field(2, field(1, b"out") + field(2, field(1, name.encode()))) for name in outputs)
        data += field(5, field(1, b"serving_default") + field(2, entries))
    return data


def saved_model(*metas):
    """A SavedModel."""
    return field(1, 1) + b"".join(field(2, meta) for meta in metas)
