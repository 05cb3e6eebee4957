"""The constants of a graph: a frozen `.pb`, or the graph inside a SavedModel or `.meta` file."""

from __future__ import annotations

import mmap
import os
import re
from typing import TYPE_CHECKING, Any

from . import dtypes
from .budget import Budget
from .checkpoint import Checkpoint, TensorInfo, element_count
from .errors import CheckpointError
from .graphs.graph import meta_graphs, nodes_of
from .guidance import hint, what_else
from .spans import open_regular
from .tensorproto import describe_tensor, parse_tensor, to_array
from .wire import WireError, fields, message

if TYPE_CHECKING:
    import numpy as np

    from .graphs.nodes import Node
    from .roles import Role

_CONST_OPS = ("Const", "HostConst")


class FrozenGraph(Checkpoint):
    """The `Const` nodes of a graph, by node name. The file is mapped, so a listing touches no value."""

    format = "graph constants"
    _noun = "constant"

    def __init__(self, path: str, budget: Budget | None = None) -> None:
        super().__init__(path, budget)
        with open_regular(path, budget=self.budget) as stream:
            try:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            except (ValueError, OSError) as error:
                raise CheckpointError("{}: {}".format(path, error)) from None
        self._protos: dict[str, memoryview] = {}
        self._read_names: set[str] = set()
        try:
            self._list()
        except CheckpointError:
            self.close()
            raise
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
        for graph, _ in meta_graphs(memoryview(self._map)):
            for node in nodes_of(graph):
                nodes += 1
                if node.op == "Identity":
                    for name in node.inputs:
                        self.budget.list_name(name, self.path)
                        self._read_names.add(name)
                proto = _value(node)
                if proto is None or node.name in self._protos:
                    continue
                said = describe_tensor(proto)
                dtype = dtypes.BY_NUMBER.get(said.dtype)
                if dtype is None:
                    raise WireError("constant {}: unknown element type {}".format(node.name, said.dtype))
                self.budget.list_name(node.name, self.path)
                self._protos[node.name] = proto
                size = element_count(said.shape) * dtype.size if dtype.size else said.nbytes
                tensors.append(TensorInfo(node.name, dtype.name, said.shape, size))
        if not nodes:
            raise WireError("there are no nodes in it")
        self.tensors = {info.name: info for info in sorted(tensors)}
        self._read_names &= set(self.tensors)

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        held = self._protos.get(info.name)
        if held is None:
            raise CheckpointError("{}: is closed".format(self.path))
        place = "{}: constant {}".format(self.path, info.name)
        try:
            proto = parse_tensor(held)
        except WireError as error:
            raise CheckpointError("{}: {}".format(place, error)) from None
        return to_array(proto, proto.dtype, proto.shape, place)


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


def _value(node: Node) -> memoryview | None:
    """The value of a node that is a constant, a TensorProto."""
    value = node.encoded("value") if node.op in _CONST_OPS else None
    tensors = [message(piece) for key, piece in fields(value) if key == 8] if value is not None else []
    return tensors[0] if tensors else None
