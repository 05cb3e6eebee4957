"""Walking a graph forward from a variable to the operations that compute with it, into functions as well.

What trains, saves or initialises a variable is no use of it here: gradients, slots, summaries.
"""

from __future__ import annotations

import re
from typing import Any, Iterator, NamedTuple

from .constants import integers, is_variable
from .graph import Graph
from .nodes import Function, Node, split_reference

# The most steps of an unrolled loop, or towers of a network, that are looked at: all of them compute the same.
_MOST_USES = 64
_DEEPEST = 16
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
    return bool(_IGNORED.fullmatch(node.op)) or is_gradient(node)


def is_gradient(node: Node) -> bool:
    """Whether the node is one of those that compute gradients."""
    return _TRAINING.search(node.name) is not None


def sites(graph: Graph, name: str) -> list[Site]:
    """The operations that compute with the variable (or constant) `name`, at most some dozens."""
    return list(_sites(graph, name))


class _Step(NamedTuple):
    """A tensor that holds the variable: the output (any, where None) of a node, in the functions called one by one."""

    graph: Graph
    name: str
    output: int | None = None
    part: int | None = None
    calls: tuple[tuple[Graph, Node], ...] = ()


def _sites(graph: Graph, name: str) -> Iterator[Site]:
    pending = [_Step(graph, name)]
    seen: set[tuple[Any, ...]] = set()
    found = 0
    while pending and found < _MOST_USES:
        step = pending.pop()
        known = (id(step.graph), step.name, step.output, step.calls[-1:] and step.calls[-1][1].name)
        if known in seen:
            continue
        seen.add(known)
        pending += _returned(step)
        for use in step.graph.consumers(step.name):
            node = use.node
            if (step.output is not None and use.output != step.output) or _TRAINING.search(node.name):
                continue
            called = list(_called(step.graph, node, use.place)) if len(step.calls) < _DEEPEST else []
            passed = step._replace(name=node.name, output=None)
            if called:
                calls = (*step.calls, (step.graph, node))
                pending += [_Step(body, argument, None, step.part, calls) for body, argument in called]
            elif node.op in ("Split", "SplitV") and step.part is None:
                pending += [passed._replace(output=number, part=number) for number in range(_parts(node))]
            elif node.op == "StridedSlice" and use.place == 0 and step.part is None:
                pending.append(passed._replace(part=_begin(step.graph, node)))
            elif _passes(step.graph, node, use.place):
                pending.append(passed)
            elif not _IGNORED.fullmatch(node.op):
                found += 1
                yield Site(step.graph, node, use.place, step.part)


def _returned(step: _Step) -> Iterator[_Step]:
    """Where the caller of a function has what the step holds, if the function returns it."""
    if step.calls and step.name in step.graph.returned:
        graph, caller = step.calls[-1]
        for number, reference in enumerate(step.graph.returns):
            if split_reference(reference).node == step.name:
                yield _Step(graph, caller.name, number, step.part, step.calls[:-1])


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
