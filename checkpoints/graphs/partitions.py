"""How a graph looks up an embedding that is stored in slices.

Source: `_embedding_lookup_and_transform` in TensorFlow 1.15's `python/ops/embedding_ops.py`.
"""

from __future__ import annotations

from typing import Sequence

from .constants import SAME
from .graph import Graph
from .nodes import Node
from .walk import sites

_LOOKUPS = ("Gather", "GatherV2", "ResourceGather")


def partition_strategy(graph: Graph, slices: Sequence[str]) -> str:
    """How ids are looked up in the variables `slices`: "mod", "div", or empty where that is not known.

    By "mod", slice i of n holds the ids i, i + n, ...; by "div", it holds ids that follow each other.
    """
    found = set()
    for name in slices:
        for site in sites(graph, name):
            if site.node.op in _LOOKUPS and site.place == 0:
                found.add(_dealt(site.graph, site.node))
    return found.pop() if len(found) == 1 else ""


def _dealt(graph: Graph, lookup: Node) -> str:
    """How the ids of one look-up are dealt out to the slices."""
    split = _source(graph, lookup.inputs[1])
    if split is None or split.op != "DynamicPartition":
        # The slices are joined before, or somebody else has sorted the ids.
        return "div" if _is_joined(graph, lookup) else ""
    dealt = _source(graph, split.inputs[1])
    return "mod" if dealt is not None and dealt.op in ("FloorMod", "Mod") else "div"


def _is_joined(graph: Graph, lookup: Node) -> bool:
    table = _source(graph, lookup.inputs[0])
    return table is not None and table.op in ("ConcatV2", "Concat")


def _source(graph: Graph, reference: str) -> Node | None:
    """The node that a value comes from, behind those that hand it on or give it another type or shape."""
    node = graph.producer(reference)
    for _ in range(8):
        if node is None or node.op not in (*SAME, "Cast", "Reshape") or not node.inputs:
            break
        node = graph.producer(node.inputs[0])
    return node
