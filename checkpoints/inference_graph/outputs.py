"""Likely outputs of the networks in a graph, best first: never losses, metrics, gradients, summaries or savers.

What comes behind the last use of a variable belongs to the output until something else joins it: labels, which no
variable is used on, the input itself as in the loss of an autoencoder, or a mean over the batch.
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, Sequence

from ..graphs.walk import is_training
from .body import SAME, Body, data_inputs, name_of
from .placeholders import PLACEHOLDERS
from .scalars import constant
from .sources import is_source
from .updates import updates

VARIABLES = frozenset(("Variable", "VariableV2", "VarHandleOp"))
_FLOATS = (1, 2, 14, 19)
_REDUCES = frozenset(("Mean", "Sum", "Prod", "Max", "Min"))
_LOSSES = frozenset(
    ("SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits", "SquaredDifference", "L2Loss", "CTCLoss")
    + ("InTopK", "InTopKV2", "Equal", "NotEqual", "Log", "Log1p")
)
# Two ways of the same input come together in these within a network, as in a residual one.
_JOINS = frozenset(
    ("Add", "AddV2", "AddN", "Concat", "ConcatV2", "Pack", "Mul", "Select", "SelectV2", "Merge", "Reshape")
)
# What may come between the last layer and a loss, and is worth comparing.
_ACTIVATIONS = frozenset(
    ("Identity", "Softmax", "LogSoftmax", "Sigmoid", "Tanh", "Relu", "Relu6", "Elu", "Selu", "Softplus", "LeakyRelu")
)
_PARTS = frozenset(
    ("ArgMax", "ArgMin", "TopK", "TopKV2", "Greater", "GreaterEqual", "Less", "Round", "Cast", "StridedSlice", "Exit")
)
_MOST = 8


def candidates(nodes: Iterable[Any]) -> list[str]:
    """The names of at most eight nodes among `nodes`, those of a GraphDef."""
    network = _Network(nodes)
    found = network.ends(network.layers)
    scopes = {name.partition("/")[0] for names in network.layers.values() for name in names if "/" in name}
    for scope in sorted(scopes):
        # A network within the graph, such as the generator of a GAN, has layers of its own.
        own = {layer: names for layer, names in network.layers.items() if any(n.startswith(scope + "/") for n in names)}
        if len({name.rpartition("/")[0] for names in own.values() for name in names}) > 1:
            found += [name for name in network.ends(own) if name not in found]
    return found[:_MOST]


class _Network:
    """What depends on the data that enters a graph, without training.

    `layers` are the nodes that use variables, and which. Loops are cut where a step hands over to the next.
    """

    def __init__(self, nodes: Iterable[Any]) -> None:
        nodes = list(nodes)
        # Constants are variables where there are no others, as in a frozen graph.
        self._frozen = not any(node.op in VARIABLES for node in nodes)
        self._body = Body(nodes)
        dropped = updates(self._body, self._variables, _ACTIVATIONS - SAME)
        kept = [node for node in nodes if not is_training(node) and node.name not in dropped]
        self._body = Body(_unrolled(kept))
        self._order = {name: place for place, name in enumerate(self._body.nodes)}
        nodes = self._body.nodes.values()
        sources = [node.name for node in nodes if is_source(node.op) or node.op in PLACEHOLDERS]
        reached = self._downstream(sources)
        self.layers = {name: used for name in reached for used in [self._variables(name)] if used}
        labels = [name for name in sources if not self._downstream([name]) & set(self.layers)]
        self._loss = self._downstream(labels) | {name for name in reached if self._is_loss(self._body.nodes[name])}
        self._bypass = self._downstream(sources, stop=self.layers) - self._downstream(self.layers)
        entered, left = ([node.name for node in nodes if node.op == op] for op in ("Enter", "Exit"))
        self._looped = self._downstream(entered, stop=left)

    def ends(self, layers: Mapping[str, Sequence[str]]) -> list[str]:
        """Where the network of these layers ends, best first."""
        last = set(layers) - self._body.upstream({name for layer in layers for name in self._sources(layer)})
        region = last | self._downstream(last, stop=self.layers)
        region -= self._downstream([name for name in region if name in self._loss or self._joins_input(name)])
        ranks = {name: rank for name in region for rank in [self._rank(name, region, last)] if rank is not None}
        return sorted(ranks, key=lambda name: (ranks[name], -self._order[name]))

    def _rank(self, name: str, region: set[str], last: set[str]) -> int | None:
        """0 where nothing goes on, 1 where only a loss does, 2 for indexes, parts and states; None for no output."""
        op = self._body.nodes[name].op
        if name in self._looped:
            return None
        if op in _PARTS:
            return None if self._body.uses(name) else 2
        if not self._body.uses(name):
            return 0
        if op not in _ACTIVATIONS and name not in last:
            return None
        followers = self._downstream([name], stop=set(self.layers) - {name}) & region - {name}
        ends = [each for each in followers if self._body.nodes[each].op in _ACTIVATIONS or not self._body.uses(each)]
        boundary = any(use.node.name not in region for use in self._body.uses(name))
        return 1 if boundary or not ends else 3 if name in last else None

    def _downstream(self, names: Iterable[str], stop: Iterable[str] = ()) -> set[str]:
        """The nodes `names` and all that data flows to from them, without those to `stop` at."""
        pending, ends = list(names), set(stop)
        seen = set(pending)
        while pending:
            for use in self._body.uses(pending.pop()):
                if use.node.name not in seen and use.node.name not in ends:
                    seen.add(use.node.name)
                    pending.append(use.node.name)
        return seen

    def _sources(self, name: str) -> list[str]:
        return [name_of(reference) for reference in data_inputs(self._body.nodes[name])]

    def _variables(self, name: str) -> list[str]:
        """The variables that a node uses, or the constants that they became in a frozen graph."""
        if self._body.nodes[name].op in SAME:
            return []
        sources = [self._body.source(reference) for reference in data_inputs(self._body.nodes[name])]
        return [node.name for node in sources if node is not None and self._is_variable(node)]

    def _is_variable(self, node: Any) -> bool:
        if node.op in VARIABLES:
            return True
        shape = node.attr["value"].tensor.tensor_shape if self._frozen and node.op == "Const" else None
        return shape is not None and node.attr["dtype"].type in _FLOATS and len(shape.dim) > 0

    def _is_loss(self, node: Any) -> bool:
        if node.op in _REDUCES:
            axes = constant(self._body.source(data_inputs(node)[1]))
            return axes is None or axes.size == 0 or 0 in axes.reshape(-1).tolist()
        return node.op in _LOSSES

    def _joins_input(self, name: str) -> bool:
        """Whether what a layer computed meets here what comes from the input by another way, as in a loss."""
        joins = any(source in self._bypass for source in self._sources(name))
        return joins and self._body.nodes[name].op not in _JOINS


def _unrolled(nodes: Iterable[Any]) -> Iterator[Any]:
    """`nodes`, with loops of one turn: what would go to the next goes out of the loop."""
    known = {node.name: node for node in nodes}

    def before(node: Any, op: str) -> Any:
        found = (known.get(name_of(reference)) for reference in node.input)
        return next((each for each in found if each is not None and each.op == op), None)

    for node in known.values():
        if node.op == "Exit":
            switch = before(node, "Switch")
            merge = before(switch, "Merge") if switch is not None else None
            turn = before(merge, "NextIteration") if merge is not None else None
            if turn is not None:
                left = type(node)()
                left.CopyFrom(node)
                left.input.append(turn.input[0])
                node = left
        if node.op != "NextIteration":
            yield node
