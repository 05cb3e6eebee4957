"""Values that a graph holds as constants, and the few that follow from them, such as 1 - momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..checkpoint import element_count
from ..errors import CheckpointError
from ..tensorproto import parse_tensor, to_array
from ..wire import WireError
from .nodes import split_reference

if TYPE_CHECKING:
    from .graph import Graph
    from .nodes import Node

# A hyperparameter, a permutation or a list of paddings; what is larger is a weight.
_MOST_ELEMENTS = 4096
_DEEPEST = 8
SAME = frozenset(
    ("Identity", "Enter", "RefEnter", "RefIdentity", "Switch", "RefSwitch", "StopGradient", "Cast", "ReadVariableOp")
)


def constant(node: Node | None) -> Any:
    """The value of a `Const` as an array; None for other nodes, and for constants that are no hyperparameter."""
    if node is None or node.op not in ("Const", "HostConst"):
        return None
    value = node.attribute("value")
    if not isinstance(value, memoryview):
        return None
    try:
        proto = parse_tensor(value)
        if element_count(proto.shape) > _MOST_ELEMENTS or proto.dtype not in dtypes.BY_NUMBER:
            return None
        return to_array(proto, proto.dtype, proto.shape, node.name)
    except (WireError, CheckpointError):
        return None


def integers(graph: Graph, reference: str) -> list[int] | None:
    """The elements of a constant of whole numbers, flat; None if the reference is to something else."""
    value = constant(source(graph, reference))
    if value is None or value.dtype.kind not in "iu":
        return None
    return [int(item) for item in value.reshape(-1)]


def source(graph: Graph, reference: str) -> Node | None:
    """The node that a reference leads to, behind those that only pass a value on."""
    node = graph.producer(reference)
    for _ in range(_DEEPEST):
        if node is None or node.op not in SAME or not node.inputs:
            break
        node = graph.producer(node.inputs[0])
    return node


def numbers(graph: Graph, reference: str, depth: int = _DEEPEST) -> frozenset[float]:
    """Every single number that the reference may stand for: several where a condition decides; none if unknown.

    Follows what TF 1 writes around hyperparameters: `1 - momentum`, and `Merge` of what holds in training and what
    holds otherwise.
    """
    node = graph.producer(reference)
    if node is None or not depth:
        return frozenset()
    value = constant(node)
    if value is not None:
        single = value.dtype.kind in "fiu" and value.size == 1
        return frozenset([float(value.reshape(-1)[0])]) if single else frozenset()
    if node.op in SAME and node.inputs:
        return numbers(graph, node.inputs[0], depth - 1)
    if node.op in ("Merge", "RefMerge"):
        return frozenset().union(*(numbers(graph, each, depth - 1) for each in node.inputs[:4]))
    if node.op in ("Select", "SelectV2") and len(node.inputs) == 3:
        return numbers(graph, node.inputs[1], depth - 1) | numbers(graph, node.inputs[2], depth - 1)
    if node.op == "Sub" and len(node.inputs) == 2:
        left, right = (numbers(graph, each, depth - 1) for each in node.inputs)
        return frozenset(one - other for one in left for other in right)
    return frozenset()


def is_variable(graph: Graph, reference: str) -> bool:
    """Whether the reference leads to a variable, or to a constant that may have been one."""
    node = source(graph, reference)
    if node is None:
        return False
    if node.op in ("Reshape", "ExpandDims", "Squeeze", "ConcatV2", "Split", "StridedSlice") and node.inputs:
        first = node.inputs[1] if node.op == "Split" and len(node.inputs) > 1 else node.inputs[0]
        node = source(graph, first)
    return node is not None and (node.op in VARIABLES or node.op in ("Const", "_Arg"))


VARIABLES = frozenset(("Variable", "VariableV2", "AutoReloadVariable", "VarHandleOp"))


def output_number(reference: str) -> int:
    """The number of the output that a reference is to."""
    return split_reference(reference).output
