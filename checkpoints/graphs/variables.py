"""Which graph belongs to a checkpoint, and which of its nodes are the tensors that the checkpoint names.

A `Saver` that was given a dictionary names tensors as it likes, so the graph's own save operations are asked first:
each lists the names and, in the same order, what is stored under them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Mapping

from ..guidance import V1_SHARD
from .constants import SAME, VARIABLES, constant
from .graph import Graph
from .nodes import split_reference

if TYPE_CHECKING:
    from ..checkpoint import Checkpoint

# Where the names and the tensors stand among the inputs of an operation that saves.
_SAVES = {"SaveV2": (1, 3), "SaveSlices": (1, 3), "Save": (1, 2)}


def graph_beside(checkpoint: Checkpoint) -> str:
    """The path of the graph that came with the checkpoint: `.meta`, SavedModel or frozen graph; empty if none did."""
    path = checkpoint.path
    if checkpoint.format == "graph constants":
        return path
    if not checkpoint.format.startswith(("TensorBundle", "V1")):
        return ""
    shard = V1_SHARD.fullmatch(path)
    prefix = shard.group(1) if shard else path
    if os.path.isfile(prefix + ".meta"):
        return prefix + ".meta"
    directory, base = os.path.split(prefix)
    saved = os.path.join(os.path.dirname(directory), "saved_model.pb")
    inside = base == "variables" and os.path.basename(directory) == "variables"
    return saved if inside and os.path.isfile(saved) else ""


def nodes_of_tensors(graph: Graph, labels: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The variables or constants that the tensors of a file are, by name; several for one that is partitioned.

    `labels` gives each tensor's name to go by, which is its key in most files.
    """
    saved = _saved(graph)
    shared = _shared_names(graph)
    found: dict[str, tuple[str, ...]] = {}
    for key, label in labels.items():
        named = [name for name in (key, label) if name in graph.nodes][:1]
        names = saved.get(key) or shared.get(label) or named or _partitions(graph, label)
        if names:
            found[key] = tuple(names)
    return found


def _saved(graph: Graph) -> dict[str, list[str]]:
    """By the name in the file, the variables that the graph stores under it."""
    found: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        if node.op not in _SAVES:
            continue
        named, first = _SAVES[node.op]
        names = constant(graph.producer(node.inputs[named])) if len(node.inputs) > first else None
        if names is None or names.dtype != object:
            continue
        for name, reference in zip(names.reshape(-1), node.inputs[first:]):
            variable = _variable(graph, reference)
            text = bytes(name).decode("utf-8", "replace")
            if variable and variable not in found.setdefault(text, []):
                found[text].append(variable)
    return found


def _variable(graph: Graph, reference: str) -> str:
    """The variable whose value a reference is; empty if it is none."""
    name = split_reference(reference).node
    for _ in range(4):
        node = graph.nodes.get(name)
        if node is None:
            return ""
        if node.op in VARIABLES:
            return name
        if node.op not in SAME or not node.inputs:
            return ""
        name = split_reference(node.inputs[0]).node
    return ""


def _shared_names(graph: Graph) -> dict[str, list[str]]:
    """Resource variables by the name that they share with those of the file."""
    found: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        if node.op == "VarHandleOp":
            name = node.text("shared_name")
            if name and name != node.name:
                found.setdefault(name, []).append(node.name)
    return {name: nodes for name, nodes in found.items() if len(nodes) == 1}


def _partitions(graph: Graph, label: str) -> list[str]:
    names: list[str] = []
    while f"{label}/part_{len(names)}" in graph.nodes:
        names.append(f"{label}/part_{len(names)}")
    return names
