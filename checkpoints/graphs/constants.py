"""Values that a graph holds as constants, and the few that follow from them, such as 1 - momentum."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator

from .. import dtypes
from ..checkpoint import element_count
from ..errors import CheckpointError
from ..tensorproto import parse_tensor, to_array
from ..wire import WireError
from .nodes import Function, split_reference

if TYPE_CHECKING:
    from .graph import Graph
    from .nodes import Node

# A hyperparameter, a permutation or a list of paddings; what is larger is a weight.
_MOST_ELEMENTS = 4096
_DEEPEST = 8
_MOST_ALTERNATIVES = 4
_ARITHMETIC: dict[str, Callable[..., float]] = {
    "Add": lambda x, y: x + y,
    "AddV2": lambda x, y: x + y,
    "Sub": lambda x, y: x - y,
    "Mul": lambda x, y: x * y,
    "RealDiv": lambda x, y: x / y,
    "Div": lambda x, y: x / y,
    "Neg": lambda x: -x,
    "Sqrt": math.sqrt,
    "Rsqrt": lambda x: 1 / math.sqrt(x),
    "Reciprocal": lambda x: 1 / x,
}
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

    Follows what TF 1 writes around hyperparameters: arithmetic such as `1 - momentum`, and `Merge` of what holds in
    training and what holds otherwise.
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
        return _either(numbers(graph, each, depth - 1) for each in node.inputs[:_MOST_ALTERNATIVES])
    if node.op in ("If", "StatelessIf"):
        return _either(_of_branches(graph, node, split_reference(reference).output, depth - 1))
    if node.op in ("Select", "SelectV2") and len(node.inputs) == 3:
        return _either(numbers(graph, each, depth - 1) for each in node.inputs[1:])
    if node.op in _ARITHMETIC and 1 <= len(node.inputs) <= 2:
        sides = [sorted(numbers(graph, each, depth - 1))[:_MOST_ALTERNATIVES] for each in node.inputs]
        try:
            return frozenset(_ARITHMETIC[node.op](*pair) for pair in product(*sides))
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            pass
    return frozenset()


def _either(alternatives: Iterable[frozenset[float]]) -> frozenset[float]:
    """All of the alternatives; none if one of them is not known."""
    every = list(alternatives)
    return frozenset().union(*every) if every and all(every) else frozenset()


def _of_branches(graph: Graph, node: Node, output: int, depth: int) -> Iterator[frozenset[float]]:
    """What the two functions return of which a condition chooses one."""
    for attribute in ("then_branch", "else_branch"):
        function = node.attribute(attribute)
        body = graph.library.get(function.name) if isinstance(function, Function) else None
        if body is not None and output < len(body.returns):
            yield numbers(body, body.returns[output], depth)
        else:
            yield frozenset()


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
