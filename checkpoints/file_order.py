"""The order of the layers of a file: as Keras lists them in it, or as data flows through the graph beside it."""

from __future__ import annotations

import os
from typing import Mapping

from .checkpoint import Checkpoint
from .errors import CheckpointError
from .layer_order import LayerOrder, Place
from .object_order import object_places
from .objects import object_graph
from .wire import WireError


def layer_order(checkpoint: Checkpoint) -> LayerOrder:
    """What the file, or the graph that was saved with it, says of the order of its layers; by its tensors' names."""
    listed: Mapping[str, Place] = checkpoint.listed_variables()
    graph = object_graph(checkpoint)
    if graph is not None:
        try:
            listed = object_places(graph)
        except WireError:
            # The graph only helps: a damaged one is reported when somebody reads it.
            listed = {}
    if listed:
        return LayerOrder(listed=listed)
    path = graph_beside(checkpoint.path)
    if path is None:
        return LayerOrder()
    from .graphs.flow import variable_flow
    from .graphs.graph import read_graph

    try:
        bits, upstream = variable_flow(read_graph(path), checkpoint.tensors)
    except CheckpointError:
        # The graph only helps: a damaged one is reported when somebody reads it.
        return LayerOrder()
    return LayerOrder(bits, upstream)


def graph_beside(path: str) -> str | None:
    """The file with the graph of the checkpoint at `path`: the `.meta`, the SavedModel, the frozen graph itself."""
    if path.endswith(".pb"):
        return path
    directory, base = os.path.split(path)
    folder, name = os.path.split(directory)
    candidates = [path + ".meta"]
    if (name, base) == ("variables", "variables"):
        candidates.append(os.path.join(folder, "saved_model.pb"))
    return next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
