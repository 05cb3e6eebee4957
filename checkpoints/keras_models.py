"""Keras models and their variables: the one module that touches Keras, of whatever release made them.

Names are computed from the models, not taken from the variables: `variable.name` is `fc1_2/kernel:0` in one release and
`kernel` in another, while a model's layers and their weights are the same in all. Keras itself is never imported; the
objects that come in are asked for what they have.
"""

from __future__ import annotations

import re
import sys
from math import inf
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from . import dtypes
from .atomic import Placement
from .errors import CheckpointError
from .model_order import layer_order
from .open import open_checkpoint
from .weight_files import Variables, find_places


def model_variables(models: Any) -> dict[str, Any]:
    """Every weight of `models` under the name `<key>/<layer>/<weight>`, such as `generator/fc1/kernel`.

    `models` maps keys to models. With the empty key, and for one model alone, names begin with the layer. Works on
    Keras 2 models (those of TF 1.15 included) and Keras 3 models; they must be built. Layers inside layers keep their
    path (`generator/block/fc1/kernel`); a recurrent cell's
    weights bear the name of the layer around it (`rnn/kernel`), which is what differs least between releases. A weight
    that several layers share is listed once, where it is met first. Vocabularies in lookup tables and what else has no
    fixed shape are no variables: they keep what the model has, and the result's `excluded` names them. Raises
    CheckpointError if two weights get one name or a model is not built.
    """
    if not isinstance(models, Mapping):
        models = {"": models}
    found = Variables()
    found.models = dict(models)
    seen: set[int] = set()
    clashes: list[str] = []
    for key, model in models.items():
        _check_built(key, model)
        for path, weight, reason in _walk(model, key, set()):
            if id(weight) in seen and weight is not None:
                continue
            seen.add(id(weight))
            if reason:
                found.excluded.setdefault(path, reason)
                continue
            if path in found:
                clashes.append(path)
            found[path] = weight
        left = [str(weight.name) for weight in model.weights if id(weight) not in seen]
        if left:
            raise CheckpointError("model {}: these weights belong to no layer: {}".format(key, ", ".join(left)))
    if clashes:
        raise CheckpointError(
            "several weights share a name: {}; give their layers names of their own".format(", ".join(sorted(clashes)))
        )
    found.order = layer_order(models, found, _inner_layers)
    if len(models) == 1:
        found.places = find_places(next(iter(models.values())), {id(weight): path for path, weight in found.items()})
    return found


def _check_built(key: str, model: Any) -> None:
    if not hasattr(model, "weights") or not hasattr(model, "layers"):
        raise CheckpointError(f"model {key}: is no Keras model but of type {type(model).__name__}")
    if not getattr(model, "built", True):
        raise CheckpointError(f"model {key}: has no variables yet; build it or call it once")


def _walk(layer: Any, path: str, above: set[int]) -> Iterator[tuple[str, Any, str]]:
    """(name, weight, why it is no variable) of `layer`: those of its inner layers first, then its own."""
    if id(layer) in above:
        return
    if _is_lookup(layer):
        # What such a layer has beside its table, such as the frequencies of its words, was adapted with it.
        yield from ((path, weight, _TABLE) for weight in [None, *layer.weights])
        return
    if any(parent.__name__ == "Wrapper" for parent in type(layer).__mro__):
        for inner in _unbuilt(layer):
            raise CheckpointError(f"{path}: layer {inner} inside has no variables yet; call the model once")
    above = above | {id(layer)}
    inner_ids: set[int] = set()
    for name, inner in _inner_layers(layer):
        inner_ids.update(id(weight) for weight in inner.weights)
        yield from _walk(inner, _join(path, name), above)
    own = [weight for weight in layer.weights if id(weight) not in inner_ids]
    yield from ((path, weight, _TABLE) for weight in own if not hasattr(weight, "name"))
    own = [weight for weight in own if hasattr(weight, "name")]
    for name, weight in zip(_own_names(own), own):
        yield _join(path, name), weight, "" if _has_fixed_shape(weight) else _NO_SHAPE


def _unbuilt(layer: Any) -> Iterator[str]:
    """The layers inside that make their variables later than `layer`: Keras 3 builds a wrapper without calling it."""
    for name, inner in _inner_layers(layer):
        if not getattr(inner, "built", True):
            yield name
        yield from _unbuilt(inner)


_TABLE = "a lookup table, which keeps what the model has: set its vocabulary in the model"
_NO_SHAPE = "of no fixed shape, which keeps what the model has"


def _is_lookup(layer: Any) -> bool:
    """Whether the layer is one of Keras's that look up what they were adapted to, such as TextVectorization.

    Keras 2 lists tables among the weights, as objects without a name; Keras 3 does not list them.
    """
    return hasattr(layer, "get_vocabulary") and (
        not layer.weights or any(not hasattr(weight, "name") for weight in layer.weights)
    )


def _has_fixed_shape(weight: Any) -> bool:
    shape = weight.shape
    return getattr(shape, "rank", 0) is not None and all(extent is not None for extent in tuple(shape))


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path and name else path or name


def _inner_layers(layer: Any) -> Iterator[tuple[str, Any]]:
    """(name, layer) of the layers directly inside; the name is empty for a recurrent layer's one cell."""
    listed = getattr(layer, "layers", None)
    if not isinstance(listed, (list, tuple)):
        flatten = getattr(layer, "_flatten_layers", None)
        # Keras 2 from TF 2.5 on has the first, Keras 3 and older Keras 2 the second.
        listed = flatten(recursive=False, include_self=False) if flatten else getattr(layer, "_layers", None) or []
    # Others may have a layer of their own in an attribute of that name.
    recurrent = any(parent.__name__ == "RNN" for parent in type(layer).__mro__)
    cell = getattr(layer, "cell", None) if recurrent else None
    pending = list(listed)
    seen: set[int] = set()
    while pending:
        inner = pending.pop(0)
        if hasattr(inner, "weights") and hasattr(inner, "call"):
            if id(inner) not in seen:
                seen.add(id(inner))
                yield "" if inner is cell else str(inner.name), inner
        elif inner is not layer:
            # Keras 2 wraps lists and dictionaries of layers into containers of its own.
            pending = list(getattr(inner, "layers", None) or getattr(inner, "_layers", None) or []) + pending


def _own_names(weights: Sequence[Any]) -> list[str]:
    """The last components of the weights' names.

    TF 1.15 and 2.0 number those of the second and later cells of a stack (`recurrent_kernel_1`), later releases do not.
    """
    names = [_base_name(weight) for weight in weights]
    plain = [re.sub(r"_\d+$", "", name) for name in names]
    numbers = {name[len(stem) :] for name, stem in zip(names, plain)}
    return plain if "recurrent_kernel" in plain and len(numbers) == 1 else names


def _base_name(weight: Any) -> str:
    """The last component of a weight's name, without the `:0` of a graph's output."""
    return str(weight.name).rpartition("/")[2].partition(":")[0]


def value_of(variable: Any) -> np.ndarray[Any, Any]:
    """The value of a Keras or TensorFlow variable, in a type of `checkpoints.dtypes`."""
    backend = _graph_backend(variable)
    if backend is not None:
        value = np.asarray(backend.get_value(variable))
    else:
        value = np.asarray(variable.numpy() if hasattr(variable, "numpy") else variable)
    return dtypes.own(value)


def assign(variable: Any, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Assigns `value` to a Keras or TensorFlow variable and returns the value as it must now read."""
    given = value[value.dtype.names[0]].view(_own_dtype(variable)) if value.dtype.names else value
    backend = _graph_backend(variable)
    if backend is not None:
        backend.set_value(variable, given)
    else:
        variable.assign(given)
    return value


def _graph_backend(variable: Any) -> Any:
    """Keras's own way to the values of a variable in a static graph and its session; None for eager variables."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not isinstance(variable, tensorflow.Variable) or tensorflow.executing_eagerly():
        return None
    return tensorflow.keras.backend


def _own_dtype(variable: Any) -> Any:
    """The NumPy type that a bfloat16 (or other extension) variable exchanges values in."""
    own = getattr(variable.dtype, "as_numpy_dtype", None)
    if own is not None:
        return own
    return np.asarray(variable.numpy()).dtype


def predict(model: Any, inputs: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """The outputs of `model` on a whole batch, in inference mode, as arrays."""
    given = inputs[0] if len(inputs) == 1 else list(inputs)
    outputs = model.predict_on_batch(given)
    if isinstance(outputs, dict):
        outputs = [outputs[name] for name in sorted(outputs)]
    return [np.asarray(output) for output in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def save(model: Any, path: str, overwrite: bool = False) -> None:
    """Has `model` write itself to `path` (`.weights.h5` or `.keras`), under that name only when it is complete.

    Raises CheckpointError if it exists and `overwrite` is not set, or if this Keras cannot write it.
    """
    # Keras goes by the suffix, which the hidden name keeps.
    with Placement([path], overwrite, lambda names: _check_saved(model, names[0])) as (temporary,):
        try:
            (model.save_weights if path.endswith(".weights.h5") else model.save)(temporary)
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{path}: {error}") from error


def _check_saved(model: Any, path: str) -> None:
    """Raises CheckpointError unless the file that `model` was saved to can be read, and holds something."""
    with open_checkpoint(path, inf) as written:
        if model.weights and not written.tensors:
            raise CheckpointError(f"{path}: no variables are in it")
