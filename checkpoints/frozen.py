"""The constants of a graph: a frozen `.pb`, or the graph inside a SavedModel or `.meta` file.

Source: `tensorflow/core/framework/graph.proto`, `node_def.proto`, `attr_value.proto`, and for the wrappers
`tensorflow/core/protobuf/meta_graph.proto`, `saved_model.proto`.
"""

from __future__ import annotations

import mmap
import os
import re
from typing import TYPE_CHECKING, Any, Iterator

from . import dtypes
from .checkpoint import Checkpoint, TensorInfo, element_count
from .errors import CheckpointError
from .guidance import hint, what_else
from .spans import open_regular
from .tensorproto import TensorProto, parse_tensor, to_array
from .wire import WireError, fields, message, text

if TYPE_CHECKING:
    import numpy as np

    from .roles import Role

_CONST_OPS = (b"Const", b"HostConst")


class FrozenGraph(Checkpoint):
    """The `Const` nodes of a graph, by node name. The file is mapped, so a listing touches no value."""

    format = "graph constants"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        with open_regular(path) as stream:
            try:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            except (ValueError, OSError) as error:
                raise CheckpointError("{}: {}".format(path, error)) from None
        self._protos: dict[str, TensorProto] = {}
        self._read_names: set[str] = set()
        try:
            self._list()
        except WireError as error:
            what = what_else(self._map[:512])
            self.close()
            told = f"no checkpoint or graph, but {what}" if what else f"no TensorFlow graph, or a damaged one: {error}"
            raise CheckpointError(f"{path}: {told}{hint(os.path.dirname(path), path)}") from None

    def close(self) -> None:
        """Lets go of the file."""
        self._protos.clear()
        try:
            self._map.close()
        except BufferError:
            # A caught exception still refers to a piece of it; it goes when that does.
            pass

    def roles(self) -> dict[str, Role]:
        """Constants that are read through an Identity, as variables were, are variables; the others are constants."""
        from .roles import Role

        return {
            name: Role("variable" if self._is_variable(info) else "constant") for name, info in self.tensors.items()
        }

    def _is_variable(self, info: TensorInfo) -> bool:
        if not info.dtype.startswith(("float", "bfloat")):
            return False
        # Some tools leave the Identity nodes out; then every array of numbers may have been a variable.
        return info.name in self._read_names if self._read_names else bool(info.shape)

    def _list(self) -> None:
        nodes = 0
        tensors = []
        for graph in _graphs(memoryview(self._map)):
            for node in _nodes(graph):
                nodes += 1
                self._read_names.update(_identity_input(node))
                found = _constant(node)
                if found is None or found[0] in self._protos:
                    continue
                name, proto = found
                dtype = dtypes.BY_NUMBER.get(proto.dtype)
                if dtype is None:
                    raise WireError("constant {}: unknown element type {}".format(name, proto.dtype))
                self._protos[name] = proto
                size = element_count(proto.shape) * dtype.size if dtype.size else proto.nbytes()
                tensors.append(TensorInfo(name, dtype.name, proto.shape, size))
        if not nodes:
            raise WireError("there are no nodes in it")
        self.tensors = {info.name: info for info in sorted(tensors)}
        self._read_names &= set(self.tensors)

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        proto = self._protos.get(info.name)
        if proto is None:
            raise CheckpointError("{}: is closed".format(self.path))
        return to_array(proto, proto.dtype, proto.shape, "{}: constant {}".format(self.path, info.name))


_READS = re.compile(r"(?P<layer>.+)/(?P<op>[^/]+?)(_\d+)?/ReadVariableOp/resource")
_LEAVES = {
    "kernel": ("MatMul", "Cast", "Tensordot", "Conv1D", "Conv2D", "Conv3D", "convolution", "depthwise"),
    "bias": ("BiasAdd", "Add", "add"),
}


def variable_name(name: str) -> str:
    """The variable that a constant of a frozen function was: `fc1/MatMul/ReadVariableOp/resource` was `fc1/kernel`.

    Freezing a function of TensorFlow 2 names a constant after the op that reads it, and not after the variable. Other
    names are returned as they are.
    """
    found = _READS.fullmatch(name)
    for leaf, ops in _LEAVES.items() if found else ():
        if found and found["op"] in ops:
            return "{}/{}".format(found["layer"], leaf)
    return name


def _graphs(data: memoryview) -> Iterator[memoryview]:
    """The GraphDefs in `data`, which is a GraphDef, a MetaGraphDef or a SavedModel."""
    # GraphDef: nodes in field 1. MetaGraphDef: the graph in field 2, a message in field 1 too, but one without an op.
    # SavedModel: a number in field 1, the meta graphs in field 2.
    top = [(key, value) for key, value in fields(data) if key in (1, 2)]
    if any(key == 1 and isinstance(value, int) for key, value in top):
        for key, value in top:
            if key == 2:
                for inner, graph in fields(message(value)):
                    if inner == 2:
                        yield message(graph)
        return
    nodes = [message(value) for key, value in top if key == 1]
    if nodes and _is_node(nodes[0]):
        yield data
        return
    for key, value in top:
        if key == 2:
            yield message(value)


def _is_node(data: memoryview) -> bool:
    """Whether this is a NodeDef: a name and an op, both text. MetaInfoDef has a message or nothing in field 2."""
    names = 0
    try:
        for key, value in fields(data):
            if key in (1, 2):
                word = text(value)
                names += bool(word) and word.isprintable()
    except WireError:
        return False
    return names == 2


def _nodes(graph: memoryview) -> Iterator[memoryview]:
    for key, value in fields(graph):
        if key == 1:
            yield message(value)


def _identity_input(node: memoryview) -> list[str]:
    """What an Identity node passes on; nothing for other nodes."""
    op, inputs = b"", []
    for key, item in fields(node):
        if key == 2:
            op = bytes(message(item))
        elif key == 3:
            inputs.append(text(item))
        elif key > 3:
            break
    return inputs if op == b"Identity" else []


def _constant(node: memoryview) -> tuple[str, TensorProto] | None:
    """Name and value of a node that is a constant."""
    name, op, value = "", b"", None
    for key, item in fields(node):
        if key == 1:
            name = text(item)
        elif key == 2:
            op = bytes(message(item))
        elif key == 5 and op in _CONST_OPS:
            attribute, content = b"", None
            for part, piece in fields(message(item)):
                if part == 1:
                    attribute = bytes(message(piece))
                elif part == 2:
                    content = message(piece)
            if attribute == b"value" and content is not None:
                value = content
    if op not in _CONST_OPS or value is None:
        return None
    for key, item in fields(value):
        if key == 8:
            return name, parse_tensor(message(item))
    return None
