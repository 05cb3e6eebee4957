"""The object graph that tf.train.Checkpoint stores beside its tensors: it knows each tensor's own name.

Keys of such checkpoints are paths through Python objects, which differ between Keras 2 and Keras 3; the full names of
the variables (`fc1/kernel`, `Adam/m/fc1/kernel`) are in the graph, and differ less.

Source: `tensorflow/core/protobuf/trackable_object_graph.proto`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping

from .errors import CheckpointError
from .wire import WireError, fields, message, text

if TYPE_CHECKING:
    from .checkpoint import Checkpoint

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
AGAIN = "_all_variables"  # Keras 3's Model.export lists here, once more, what it has under `variables`


def object_graph(checkpoint: Checkpoint) -> memoryview | None:
    """The object graph that is stored in the checkpoint; None where there is none, or none that can be read."""
    info = checkpoint.tensors.get(GRAPH)
    if info is None or info.dtype != "string" or info.shape:
        return None
    try:
        return memoryview(bytes(checkpoint.read(GRAPH).item()))
    except CheckpointError:
        return None


def object_names(checkpoint: Checkpoint) -> dict[str, str]:
    """Key to full name, for the tensors of an object-based checkpoint that have one of their own; else nothing."""
    return unique_names(shared_names(checkpoint))


def unique_names(names: Mapping[str, str]) -> dict[str, str]:
    """`names` without those that several tensors share, which tell nothing apart."""
    counts: dict[str, int] = {}
    for key, name in names.items():
        if not key.startswith(AGAIN + "/"):
            counts[name] = counts.get(name, 0) + 1
    return {key: name for key, name in names.items() if counts.get(name) == 1 and not key.startswith(AGAIN + "/")}


def shared_names(checkpoint: Checkpoint) -> dict[str, str]:
    """Key to full name, for all tensors of an object-based checkpoint that have one, shared or not; else nothing."""
    graph = object_graph(checkpoint)
    if graph is None:
        return {}
    try:
        names = _parse(graph)
    except WireError:
        # The graph only helps: a damaged one is reported when somebody reads it.
        return {}
    return {key: name for key, name in names.items() if key in checkpoint.tensors and name}


def _parse(data: memoryview) -> dict[str, str]:
    names = {}
    for number, node in fields(data):
        if number != 1:
            continue
        for part, attribute in fields(message(node)):
            if part == 2:
                values = {key: text(value) for key, value in fields(message(attribute)) if key in (2, 3)}
                if 3 in values:
                    names[values[3]] = values.get(2, "")
    return names
