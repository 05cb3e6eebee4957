"""What the graph that a checkpoint came with says of the layers of a model: which recogniser is asked about which."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple

from ..budget import Budget
from ..errors import CheckpointError
from ..graphs import layers, recurrent
from ..graphs.graph import Graph, read_graph
from ..graphs.variables import graph_beside, nodes_of_tensors
from ..graphs.walk import Site, sites

if TYPE_CHECKING:
    from ..checkpoint import Checkpoint

_BATCH_NORMALIZATION = layers.each(layers.batch_normalization)
# By class of Keras and name of its variable: what is asked of the operations that compute with that variable.
_RECOGNISERS = (
    (r"(?:Batch|SyncBatch)Normalization", r"gamma|beta|moving_mean|moving_variance", _BATCH_NORMALIZATION),
    (r"LayerNormalization", r"gamma", layers.each(layers.layer_normalization)),
    (r"SeparableConv\dD", r"depthwise_kernel", layers.each(layers.geometry)),
    (r"SeparableConv\dD", r"pointwise_kernel", layers.each(layers.pointwise)),
    (r"DepthwiseConv\dD", r"depthwise_kernel|kernel", layers.each(layers.convolution)),
    (r"Conv\dD(?:Transpose)?", r"kernel", layers.each(layers.convolution)),
    (r"Dense|EinsumDense", r"kernel", layers.each(layers.dense)),
    (r"LSTM(?:Cell)?", r"kernel", recurrent.lstm),
    (r"GRU(?:Cell)?", r"kernel", recurrent.gru),
    (r"SimpleRNN(?:Cell)?", r"kernel", recurrent.plain),
)


class GraphBeside(NamedTuple):
    """A graph, its path, and which of its nodes the tensors of the checkpoint are."""

    path: str
    graph: Graph
    nodes: Mapping[str, tuple[str, ...]]

    def says(self, tensor: str, kind: str, leaf: str) -> layers.Findings:
        """What the uses of `tensor` say of a layer of class `kind` that has it as its variable `leaf`."""
        return self.recognised(tensor, recogniser_of(kind, leaf))

    def recognised(self, tensor: str, recognise: layers.Recogniser | None) -> layers.Findings:
        """What `recognise` finds among the operations that compute with `tensor`."""
        if recognise is None:
            return {}
        found: list[Site] = []
        for node in self.nodes.get(tensor, ())[:1]:
            found += sites(self.graph, node)
        return recognise(found) if found else {}


def recogniser_of(kind: str, leaf: str) -> layers.Recogniser | None:
    """The recogniser for the variable `leaf` of layers of class `kind`; None if there is none."""
    for kinds, leaves, recognise in _RECOGNISERS:
        if re.fullmatch(kinds, kind) and re.fullmatch(leaves, leaf):
            return recognise
    return None


def read_beside(checkpoint: Checkpoint, labels: Mapping[str, Any]) -> tuple[GraphBeside | None, str]:
    """The graph that came with the checkpoint, and what keeps it from being read; neither where there is none."""
    path = graph_beside(checkpoint)
    if not path:
        return None, ""
    try:
        graph = read_graph(path, Budget(checkpoint.budget.factor))
    except CheckpointError as error:
        return None, str(error)
    return GraphBeside(path, graph, nodes_of_tensors(graph, labels)), ""
