"""What the data has gone through before it meets each variable of a graph: the order of the layers.

A variable is met where an operation computes with it and with data: once or, as in a network that is built again or a
Keras model inside another one, several times. Its regularizer and its initial value have no data, and what trains it
does not count. Loops are followed once around, functions are not looked into.
"""

from __future__ import annotations

import re
from typing import Collection, Dict, Tuple

from .graph import Graph
from .nodes import Node
from .walk import is_gradient

# What has data without an input that carries any.
_DATA = ("Placeholder", "Iterator", "OneShotIterator", "Queue", "Random", "Truncated", "Multinomial", "Parse", "Decode")
_VARIABLES = ("Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable", "Const", "HostConst")
# What gives a variable its value or stores it, and hands nothing on.
_KEEPING = ("Assign", "Save", "Restore")

_NEXT = ("NextIteration", "RefNextIteration")

Flow = Tuple[Dict[str, int], Dict[str, int]]


def variable_flow(graph: Graph, names: Collection[str]) -> Flow:
    """A bit for each of `names` that meets data in `graph`, and the bits of all that this data has met before.

    A partitioned variable `x` is met where its parts `x/part_0`, ... are.
    """
    variables = [name for name in graph.nodes if _variable(graph.nodes[name], names)]
    places = {name: place for place, name in enumerate(variables)}
    through: Dict[str, int] = {}
    fed: Dict[str, bool] = {}
    training: set[str] = set()
    met: Dict[int, int] = {}
    for name in _sources_first(graph):
        node = graph.nodes[name]
        if name in places:
            through[name], fed[name] = 1 << places[name], False
            continue
        weights = before = 0
        data = node.op.startswith(_DATA)
        sources = _sources(graph, node)
        for source in sources:
            if fed.get(source):
                before |= through[source]
                data = True
            else:
                weights |= through.get(source, 0)
        if is_gradient(node) or not training.isdisjoint(sources):
            # Gradients, and what is made of them, have gone through everything.
            training.add(name)
        elif data and weights:
            for place in _bits(weights):
                met[place] = met.get(place, 0) | before & ~(1 << place)
        keeps = node.op.startswith(_KEEPING)
        through[name], fed[name] = 0 if keeps else weights | before, data
    bits: Dict[str, int] = {}
    upstream: Dict[str, int] = {}
    for place, before in met.items():
        variable = _variable(graph.nodes[variables[place]], names)
        bits[variable] = bits.get(variable, 0) | 1 << place
        upstream[variable] = upstream.get(variable, 0) | before
    return bits, upstream


def _variable(node: Node, names: Collection[str]) -> str:
    """Which of `names` the node holds, or holds a part of; empty if none."""
    if node.op not in _VARIABLES:
        return ""
    if node.name in names:
        return node.name
    whole = re.sub(r"/part_[0-9]+$", "", node.name)
    return whole if whole in names else ""


def _bits(mask: int) -> list[int]:
    found = []
    while mask:
        found.append((mask & -mask).bit_length() - 1)
        mask &= mask - 1
    return found


def _sources(graph: Graph, node: Node) -> list[str]:
    """The nodes whose outputs the node takes.

    What a loop hands to its next round comes out of it at the end, and not into it at the beginning.
    """
    sources = [source for source in map(graph.producer, node.inputs) if source is not None]
    if node.op in ("Exit", "RefExit"):
        merges = [graph.producer(reference) for switch in sources for reference in switch.inputs[:1]]
        sources += [last for merge in merges if merge is not None for last in _next_rounds(graph, merge)]
    else:
        sources = [source for source in sources if source.op not in _NEXT]
    return [source.name for source in sources]


def _next_rounds(graph: Graph, merge: Node) -> list[Node]:
    sources = [graph.producer(reference) for reference in merge.inputs]
    return [source for source in sources if source is not None and source.op in _NEXT]


def _sources_first(graph: Graph) -> list[str]:
    """The names of all nodes, each behind those that it takes something from."""
    ordered: list[str] = []
    seen: set[str] = set()
    for start in graph.nodes:
        pending = [(start, False)]
        while pending:
            name, done = pending.pop()
            if done:
                ordered.append(name)
            elif name not in seen:
                seen.add(name)
                pending.append((name, True))
                pending += [(source, False) for source in _sources(graph, graph.nodes[name]) if source not in seen]
    return ordered
