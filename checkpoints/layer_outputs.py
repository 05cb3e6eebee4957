"""What each layer of a Keras model computes, to find the first that differs. Imports no Keras."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, Sequence

import numpy as np

from .keras_models import predict
from .plan import Plan, group_by_target
from .ulps import plain

Close = Callable[[Any, Any], bool]


class Watched(NamedTuple):
    """A layer: its `key` among golden arrays, its output in the model, that one's shape, and its variables' names.

    `activation` is the name of the function that the layer ends with, empty where it has none.
    """

    key: str
    output: Any
    shape: tuple[int | None, ...]
    variables: tuple[str, ...]
    activation: str


class Layers(NamedTuple):
    """How many of the layers were compared, and the first that differs; `why` says so where none could be."""

    compared: int
    of: int
    first: str = ""
    absolute: float = 0.0
    why: str = ""

    def __str__(self) -> str:
        if self.why:
            return f"layers not compared: {self.why}"
        count = f"{self.compared} of {self.of} layers compared"
        if self.first:
            return f"first layer that differs: {self.first} ({self.absolute:.3g} absolute; {count})"
        return f"no layer differs ({count})"


def watch(key: str, model: Any, variables: Mapping[str, Any]) -> list[Watched]:
    """The layers of `model` (known as `key` among several) that have one output, in order; none if it is no graph."""
    names = {id(variable): name for name, variable in variables.items()}
    found = []
    for layer in getattr(model, "layers", []) if getattr(model, "inputs", None) else []:
        output = _output(layer)
        shape = getattr(output, "shape", None)
        if shape is None or getattr(shape, "rank", 0) is None:
            continue
        sizes = shape.as_list() if hasattr(shape, "as_list") else list(shape)
        own = tuple(names[id(weight)] for weight in layer.weights if id(weight) in names)
        name = f"{key}_{layer.name}" if key else str(layer.name)
        found.append(Watched(name, output, tuple(sizes), own, _activation(layer)))
    return found


def _activation(layer: Any) -> str:
    """The name of the function that the layer ends with; that of a recurrent layer is applied within."""
    function = getattr(layer, "activation", None)
    if function is None or hasattr(layer, "return_sequences"):
        return ""
    # A layer may also be given as the function, which has its name as its class.
    name: str = getattr(function, "__name__", type(function).__name__)
    return "" if name == "linear" else name


def _output(layer: Any) -> Any:
    """The output of the layer's first use, or None if it was not used or has several outputs."""
    try:
        return layer.get_output_at(0) if hasattr(layer, "get_output_at") else layer.output
    except (AttributeError, RuntimeError, ValueError):
        return None


def requests(watched: Sequence[Watched], plan: Plan) -> dict[str, dict[str, Any]]:
    """What to look for in a graph: for each layer with variables, their names in the file, and how its output is."""
    sources = group_by_target(plan.rows)
    return {
        layer.key: {
            "variables": sorted(
                {row.source for name in layer.variables for row in sources.get(name, []) if row.source}
            ),
            "shape": list(layer.shape),
            "activation": layer.activation,
        }
        for layer in watched
        if layer.variables
    }


def compare(
    model: Any,
    watched: Sequence[Watched],
    inputs: Sequence[Any],
    arrays: Mapping[str, Any],
    close: Close,
    scopes: bool = False,
    passed: bool = False,
) -> Layers:
    """Compares the layers for which `arrays` holds `layers_<key>`, in order, up to the first that is not `close`.

    With `scopes`, golden values are the ends of scopes, which include an activation that the model may have in a layer
    of its own; so a layer also agrees if one without variables that follows it does. Where the model's outputs have
    `passed`, a scope that disagrees ends elsewhere than its layer, before its activation, and is not counted.
    """
    golden = {layer.key: arrays["layers_" + layer.key] for layer in watched if "layers_" + layer.key in arrays}
    total = sum(1 for layer in watched if layer.variables or layer.key in golden)
    if not golden:
        return Layers(0, total)
    parent = next(kind for kind in type(model).__mro__ if kind.__name__ == "Model")
    outputs = predict(parent(model.inputs, [layer.output for layer in watched]), inputs)
    compared = 0
    for place, layer in enumerate(watched):
        wanted = golden.get(layer.key)
        if wanted is None or wanted.shape != outputs[place].shape:
            continue
        compared += 1
        alike = [place, *(_followers(watched, place) if scopes else [])]
        if not any(outputs[other].shape == wanted.shape and close(outputs[other], wanted) for other in alike):
            if scopes and passed:
                compared -= 1
                continue
            error = np.abs(plain(outputs[place]) - plain(wanted))
            return Layers(compared, total, layer.key, float(error.max()))
    return Layers(compared, total)


def _followers(watched: Sequence[Watched], place: int) -> list[int]:
    """The layers without variables right behind the one at `place`."""
    found = []
    for other in range(place + 1, len(watched)):
        if watched[other].variables:
            break
        found.append(other)
    return found


def together(results: Sequence[Layers], why: str) -> Layers:
    """The results of several models as one; `why` tells why there is nothing to compare, if there is nothing."""
    first = next((result for result in results if result.first), None)
    compared, total = sum(result.compared for result in results), sum(result.of for result in results)
    if not compared:
        return Layers(0, total, why=why)
    return Layers(compared, total, first.first if first else "", first.absolute if first else 0.0)
