"""The layers of Keras models, of whatever release made them, as `LayerData`. Keras itself is never imported."""

from __future__ import annotations

import warnings
from typing import Any, Iterator, Mapping

from ..keras_models import _inner_layers
from .networks import LayerData, connect, connect_in_order, plain_kind

_KNOWN_MODULES = ("keras", "tensorflow", "tf_keras", "tensorflow_core")


def layers_of_variables(models: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, LayerData]:
    """The layer that each of `variables` belongs to, by the variable's name; those of unknown layers are left out."""
    names = {id(variable): name for name, variable in variables.items()}
    found: dict[str, LayerData] = {}
    for model in models.values():
        for layer, weight in list(_walk(model, None, "", {}, set())):
            name = names.get(id(weight))
            if name is not None:
                # A recurrent layer has the arguments of its cell, and is what people wrote.
                around = layer.parent if layer.kind.endswith("Cell") else None
                found.setdefault(name, around if around is not None and around.kind in layer.kind else layer)
    return found


def _walk(
    layer: Any, parent: LayerData | None, key: str, known: dict[int, LayerData], above: set[int]
) -> Iterator[tuple[LayerData, Any]]:
    """(layer, weight) of all layers of a model: those of inner layers first, as `model_variables` lists them."""
    if id(layer) in above:
        return
    data = known.get(id(layer))
    if data is None:
        data = known[id(layer)] = _data(layer)
        if parent is not None:
            parent.add(key, data)
    inner_ids: set[int] = set()
    inside = list(_inner_layers(layer))
    for place, (name, inner) in enumerate(inside):
        inner_ids.update(id(weight) for weight in inner.weights)
        yield from _walk(inner, data, _role(layer, inner) or name or f"layer {place}", known, above | {id(layer)})
    _connect(layer, [known[id(inner)] for _, inner in inside if id(inner) in known], known)
    for weight in layer.weights:
        if id(weight) not in inner_ids:
            yield data, weight


def _role(layer: Any, inner: Any) -> str:
    """The attribute under which a wrapper has the layer inside it."""
    for attribute in ("forward_layer", "backward_layer", "layer", "cell"):
        if getattr(layer, attribute, None) is inner:
            return attribute
    return ""


def generation_of(layer: Any) -> int:
    """2 or 3: the Keras that a layer is of."""
    own = ("keras.src.layers.layer", "keras.layers.layer")
    return 3 if any(kind.__module__ in own for kind in type(layer).__mro__) else 2


def _data(layer: Any) -> LayerData:
    kind = _kind(layer)
    try:
        with warnings.catch_warnings():
            # Nothing is saved, so that it does not matter what cannot be loaded again.
            warnings.simplefilter("ignore")
            config = layer.get_config()
    except Exception:
        # A layer of the user's own need not have one.
        config = None
    data = LayerData(kind, str(layer.name), config if isinstance(config, Mapping) else None, generation_of(layer))
    for argument in ("activation", "recurrent_activation"):
        function = getattr(layer, argument, None)
        if callable(function):
            data.functions[argument] = function
    data.input_sizes = _input_sizes(layer)
    data.rank = len(data.input_sizes) if data.input_sizes is not None else getattr(_spec(layer), "ndim", None)
    return data


def _kind(layer: Any) -> str:
    """The class of Keras that the layer is of, or made from; its own name if that is none."""
    for kind in type(layer).__mro__:
        if kind.__module__.partition(".")[0] in _KNOWN_MODULES and kind.__name__ not in (
            "Layer",
            "Module",
            "Operation",
        ):
            return plain_kind(kind.__name__)
    return type(layer).__name__


def _spec(layer: Any) -> Any:
    spec = getattr(layer, "input_spec", None)
    return spec[0] if isinstance(spec, (list, tuple)) and len(spec) == 1 else spec


def _input_sizes(layer: Any) -> tuple[int | None, ...] | None:
    """The shape of the one tensor that the layer is applied to; None if it has none, or several."""
    try:
        shape: Any = layer.input.shape
        sizes = shape.as_list() if hasattr(shape, "as_list") else list(shape)
        return tuple(None if size is None else int(size) for size in sizes)
    except Exception:
        return None


def _known(layer: Any, known: dict[int, LayerData]) -> LayerData:
    """What is known of a layer or, where it is an operation that stands among the layers, what that is."""
    if id(layer) not in known:
        known[id(layer)] = operation = LayerData(type(layer).__name__, str(getattr(layer, "name", "")), None, 3)
        operation.followers, operation.before = [], []
    return known[id(layer)]


def _connect(layer: Any, inside: list[LayerData], known: dict[int, LayerData]) -> None:
    """Says which of the layers inside a model follow which, where the model knows."""
    nodes = _nodes(layer)
    if nodes:
        for data in inside:
            data.followers, data.before = [], []
        for target, sources in nodes:
            for source in sources:
                connect(_known(source, known), _known(target, known))
        ends = {id(each) for each in _ends(layer)}
        members = {id(data) for data in inside}
        for each, data in known.items():
            if id(data) in members:
                data.ends = each in ends or not data.followers
    elif plain_kind(type(layer).__name__) == "Sequential":
        connect_in_order(inside)


def _nodes(layer: Any) -> list[tuple[Any, list[Any]]]:
    """(layer or operation, those that it takes from) for the graph of a Functional or Sequential model."""
    holder = getattr(layer, "_functional", None) or layer
    by_depth = getattr(holder, "_nodes_by_depth", None)
    if not isinstance(by_depth, Mapping):
        return []
    found = []
    for nodes in by_depth.values():
        for node in nodes:
            target = _of_node(node)
            parents = getattr(node, "parent_nodes", None)
            if parents is None:
                sources = getattr(node, "inbound_layers", [])
                sources = list(sources) if isinstance(sources, (list, tuple)) else [sources]
            else:
                sources = [_of_node(parent) for parent in parents]
            found.append((target, sources))
    return found


def _of_node(node: Any) -> Any:
    for attribute in ("operation", "layer", "outbound_layer"):
        if getattr(node, attribute, None) is not None:
            return getattr(node, attribute)
    return None


def _ends(layer: Any) -> list[Any]:
    """The layers whose outputs are the model's."""
    holder = getattr(layer, "_functional", None) or layer
    found = [each[0] for each in getattr(holder, "_output_coordinates", None) or ()]
    if not found:
        outputs = getattr(holder, "outputs", None) or []
        found = [history[0] for history in (getattr(each, "_keras_history", None) for each in outputs) if history]
    return found
