"""The order of a model's layers: what its inputs go through, from the connections that Keras keeps. Imports no Keras.

Functional and Sequential models say how their layers are connected, in every release; what a layer or model of the
user's own does with those inside is not known.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, Mapping, Tuple

from .layer_order import LayerOrder, Place

Inner = Callable[[Any], Iterator[Tuple[str, Any]]]


def layer_order(models: Mapping[str, Any], variables: Mapping[str, Any], inner: Inner) -> LayerOrder:
    """The order of the layers of `models`, whose variables are given. `inner` gives the layers directly inside one."""
    walker = _Walker({id(variable): name for name, variable in variables.items()}, inner)
    for key, model in models.items():
        walker.visit(model, 0, Place(key, ()))
    return LayerOrder(walker.bits, walker.upstream, walker.listed)


class _Walker:
    def __init__(self, names: Mapping[int, str], inner: Inner) -> None:
        self._names = names
        self._inner = inner
        self._next = 1
        self._done: Dict[int, int] = {}
        self.bits: Dict[str, int] = {}
        self.upstream: Dict[str, int] = {}
        self.listed: Dict[str, Place] = {}

    def visit(self, layer: Any, before: int, place: Place) -> int:
        """Notes that data has gone through `before` when it first comes to `layer`; the bits of all that is inside."""
        if id(layer) in self._done:
            return self._done[id(layer)]
        self._done[id(layer)] = 0
        kinds = {parent.__name__ for parent in type(layer).__mro__}
        inside = 0
        if "Sequential" in kinds or "StackedRNNCells" in kinds:
            for number, (_, other) in enumerate(self._inner(layer)):
                inside |= self.visit(other, before | inside, place.inside(number, connected=True))
        elif kinds & {"Functional", "Network"} and _connections(layer):
            inside = self._connected(layer, before, place)
        else:
            for number, (_, other) in enumerate(self._inner(layer)):
                inside |= self.visit(other, before, place.inside(number, connected=False))
        own = [self._names[id(weight)] for weight in layer.weights if id(weight) in self._names]
        own = [name for name in own if name not in self.bits]
        for name in own:
            self.bits[name], self.upstream[name] = self._next, before
            self.listed[name] = place._replace(own=len(self.listed))
        if own:
            inside |= self._next
            self._next <<= 1
        self._done[id(layer)] = inside
        return inside

    def _connected(self, model: Any, before: int, place: Place) -> int:
        numbers = {id(layer): number for number, layer in enumerate(model.layers)}
        inside = 0
        behind: Dict[int, int] = {}
        for node, layer, parents in _connections(model):
            above = before
            for parent in parents:
                above |= behind.get(id(parent), 0)
            own = 0
            if hasattr(layer, "weights"):
                own = self.visit(layer, above, place.inside(numbers.get(id(layer), 0), connected=True))
            behind[id(node)] = above | own
            inside |= own
        return inside


def _connections(model: Any) -> list[tuple[Any, Any, list[Any]]]:
    """(node, its layer, the nodes before it) for every use of a layer, none before those that it depends on."""
    by_depth = getattr(model, "_nodes_by_depth", None) or {}
    found = []
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            layer = getattr(node, "operation", None) or getattr(node, "outbound_layer", None)
            found.append((node, layer, _parents(node)))
    return found


def _parents(node: Any) -> list[Any]:
    parents = getattr(node, "parent_nodes", None)
    if parents is not None:
        return list(parents)
    # Before TF 2.3 a node has the layers and which of their uses it takes, in lists that may be nested.
    layers, places = _flat(node.inbound_layers), _flat(node.node_indices)
    return [layer._inbound_nodes[place] for layer, place in zip(layers, places)]


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [item for part in value for item in _flat(part)]
    return [value]
