"""Walking a graph forward from a variable to the operations that compute with it, into functions as well.

What trains, saves or initialises a variable is no use of it here: gradients, slots, summaries.
"""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple

from .constants import integers, is_variable
from .graph import Graph
from .nodes import Function, Node

# The most steps of an unrolled loop, or towers of a network, that are looked at: all of them compute the same.
_MOST_USES = 64
_TRAINING = re.compile(r"(?:^|/)(?:gradients(?:_\d+)?|gradient_tape)/")
_IGNORED = re.compile(
    r"Assign\w*|ResourceApply\w*|Apply\w*|SparseApply\w*|ResourceSparseApply\w*|Scatter\w*|ResourceScatter\w*"
    r"|Save\w*|Restore\w*|\w*IsInitialized\w*|\w*Summary\w*|Shape|ShapeN|Size|Rank|L2Loss|NoOp|StackPush\w*|Assert"
    r"|IsVariableInitialized|DestroyResourceOp|VariableShape|OnesLike|ZerosLike|BroadcastGradientArgs"
)
_PASSING = frozenset(
    ("Identity", "RefIdentity", "ReadVariableOp", "Enter", "RefEnter", "Switch", "RefSwitch", "Merge", "RefMerge")
    + ("Cast", "StopGradient", "ExpandDims", "Squeeze", "Reshape", "Transpose", "IdentityN", "ConcatV2", "Concat")
)


class Site(NamedTuple):
    """An operation that computes with a variable: the graph or function that it is in, and as which input.

    Where it takes a piece of the variable, as Keras's recurrent layers do, `part` orders the pieces in the last axis.
    """

    graph: Graph
    node: Node
    place: int
    part: int | None = None


def is_training(node: Node) -> bool:
    """Whether the node computes gradients, or only keeps, saves or reports something."""
    return bool(_IGNORED.fullmatch(node.op) or _TRAINING.search(node.name))


def sites(graph: Graph, name: str) -> list[Site]:
    """The operations that compute with the variable (or constant) `name`, at most some dozens."""
    return list(_sites(graph, name))


def _sites(graph: Graph, name: str) -> Iterator[Site]:
    pending: list[tuple[Graph, str, int | None, int | None]] = [(graph, name, None, None)]
    seen: set[tuple[int, str, int | None]] = set()
    found = 0
    while pending and found < _MOST_USES:
        inside, current, output, part = pending.pop()
        if (id(inside), current, output) in seen:
            continue
        seen.add((id(inside), current, output))
        for use in inside.consumers(current):
            node = use.node
            if (output is not None and use.output != output) or _TRAINING.search(node.name):
                continue
            called = list(_called(inside, node, use.place))
            if called:
                pending += [(body, argument, None, part) for body, argument in called]
            elif node.op in ("Split", "SplitV") and part is None:
                pending += [(inside, node.name, number, number) for number in range(_parts(node))]
            elif node.op == "StridedSlice" and use.place == 0 and part is None:
                pending.append((inside, node.name, None, _begin(inside, node)))
            elif _passes(inside, node, use.place):
                pending.append((inside, node.name, None, part))
            elif not _IGNORED.fullmatch(node.op):
                found += 1
                yield Site(inside, node, use.place, part)


def _parts(node: Node) -> int:
    count = node.attribute("num_split")
    return count if type(count) is int and 0 < count <= 16 else 0


def _begin(graph: Graph, node: Node) -> int | None:
    """Where a slice begins in the last axis, if it is one of that axis."""
    begin = integers(graph, node.inputs[1]) if len(node.inputs) == 4 else None
    return begin[-1] if begin else None


def _passes(graph: Graph, node: Node, place: int) -> bool:
    """Whether the node hands the value on that comes in at `place`, as it is or in another shape."""
    if node.op not in _PASSING:
        return False
    if node.op in ("ConcatV2", "Concat"):
        values = node.inputs[:-1] if node.op == "ConcatV2" else node.inputs[1:]
        return len(values) <= 1024 and all(is_variable(graph, value) for value in values)
    return place == 0 or node.op in ("Merge", "RefMerge", "IdentityN")


_CALLS = {
    "PartitionedCall": (("f", 0),),
    "StatefulPartitionedCall": (("f", 0),),
    "While": (("body", 0),),
    "StatelessWhile": (("body", 0),),
    "If": (("then_branch", 1), ("else_branch", 1)),
    "StatelessIf": (("then_branch", 1), ("else_branch", 1)),
}


def _called(graph: Graph, node: Node, place: int) -> Iterator[tuple[Graph, str]]:
    """The functions that a node calls, each with the name of the argument that its input `place` becomes."""
    for attribute, first in _CALLS.get(node.op, ()):
        function = node.attribute(attribute)
        body = graph.library.get(function.name) if isinstance(function, Function) else None
        if body is not None and 0 <= place - first < len(body.arguments):
            yield body, body.arguments[place - first]
