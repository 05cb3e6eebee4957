"""What Keras's own files say of the layers that their tensors belong to: configurations, read as data.

Nothing is built from them: a `Lambda` that holds code is so much text. They stand in the attribute `model_config` of an
`.h5`, in `config.json` of a `.keras`, in `keras_metadata.pb` or in the object graph of a SavedModel, and in tensors of
object-based checkpoints of TensorFlow 1.13 to 2.1.

Source: `hdf5_format.py` and `saving_lib.py` of Keras; `saved_metadata.proto`; `saved_object_graph.proto`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Iterable, Mapping

from ..errors import CheckpointError
from ..graphs.graph import map_file, meta_graphs
from ..wire import WireError, fields, message, number, text
from .networks import LayerData, from_configuration

if TYPE_CHECKING:
    from ..budget import Budget
    from ..checkpoint import Checkpoint

_JSON = "/.ATTRIBUTES/OBJECT_CONFIG_JSON"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_WORDS = (r"(.)([A-Z][a-z]+)", r"(.)([A-Z][a-z0-9]+)")


def generation(version: str) -> int:
    """3 for the versions of Keras 3, 2 for all before."""
    match = re.match(r"(\d{1,4})\.", version)
    return 3 if match and int(match.group(1)) >= 3 else 2


def layers_in_file(checkpoint: Checkpoint, labels: Mapping[str, str]) -> dict[str, LayerData]:
    """The layer of each tensor of a Keras file, by the tensor's name; nothing for files that say none.

    `labels` are the names to go by of the tensors, which of object-based checkpoints are the variables' own.
    """
    described = checkpoint.description
    model = from_configuration(described.model, generation(described.keras_version))
    if model is not None:
        places = "layers" in {part for name in checkpoint.tensors for part in name.split("/", 2)[:2]}
        found = {}
        for name, path in _paths(checkpoint.tensors, places).items():
            layer = _at_place(model, path) if places else _named(model, path)
            if layer is not None:
                found[name] = layer
        return found
    objects = _objects(checkpoint)
    return _of_objects(objects, labels) if objects else {}


def _paths(names: Iterable[str], places: bool) -> dict[str, list[str]]:
    from ..weight_files import _as_layers

    spelled = _as_layers(names) if places else {name: name for name in names}
    return {name: path.split("/") for name, path in spelled.items()}


def _at_place(model: LayerData, path: list[str]) -> LayerData | None:
    """The layer at a path such as `layers/dense_1/vars/0`, which counts the layers of a class."""
    layer = model
    parts = [part.lstrip("_") for part in path]
    if "vars" not in parts:
        return None
    parts = parts[: parts.index("vars")]
    while parts:
        part = parts.pop(0)
        inner = layer.inner.get(part)
        if part == "layers" and parts:
            inner = _numbered(layer, parts.pop(0))
        elif part == "layer" and inner is None:
            inner = layer.inner.get("forward_layer")
        if inner is None and part == "cell":
            # A recurrent layer has its cell's arguments itself.
            break
        if inner is None and part in ("forward_layer", "backward_layer"):
            inner = layer.inner.get("layer")
        if inner is None:
            return None
        layer = inner
    return layer


def _numbered(model: LayerData, name: str) -> LayerData | None:
    for words in _WORDS:
        counts: dict[str, int] = {}
        for layer in model.inner.values():
            kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(words, r"\1_\2", layer.kind)).lower()
            counts[kind] = counts.get(kind, -1) + 1
            if name == (f"{kind}_{counts[kind]}" if counts[kind] else kind):
                return layer
    return None


def _named(model: LayerData, path: list[str]) -> LayerData | None:
    """The layer at a path such as `block/dense/kernel`, which has the layers' own names in it, and perhaps others."""
    layer = model
    for part in path[:-1]:
        inner = layer.inner.get(part) if layer.kind not in ("Bidirectional", "TimeDistributed") else None
        if inner is None and layer.kind == "Bidirectional":
            backward = part.startswith("backward") and "backward_layer" in layer.inner
            inner = layer.inner.get("backward_layer" if backward else "layer") or layer.inner.get("forward_layer")
        layer = inner or layer
    for key in ("layer", "cell"):
        if layer.kind in ("TimeDistributed", "Bidirectional", "RNN"):
            layer = layer.inner.get(key, layer)
    return None if layer is model or "layers" in (layer.config or {}) else layer


def _objects(checkpoint: Checkpoint) -> dict[str, tuple[Any, str]]:
    """What is said of each object, by the path to it: its configuration, and where that stands."""
    found = {}
    for name in checkpoint.tensors:
        if name.endswith(_JSON):
            try:
                content = bytes(checkpoint.read(name).reshape(-1)[0])
                found[name[: -len(_JSON)]] = checkpoint.budget.parse_json(content, name)
            except (CheckpointError, IndexError, TypeError):
                # Configurations only help: a damaged one says nothing.
                continue
    directory = os.path.dirname(os.path.dirname(checkpoint.path))
    if os.path.basename(checkpoint.path) == "variables" and os.path.isfile(os.path.join(directory, "saved_model.pb")):
        found.update(_of_saved_model(directory, checkpoint.budget))
    return found


def _of_objects(objects: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, LayerData]:
    root = from_configuration(objects.get(""), 2)
    layers: dict[str, LayerData] = {}
    for path, data in sorted(objects.items()):
        layer = from_configuration(data, 2)
        if layer is None or "layers" in (layer.config or {}):
            continue
        whole = root.inner.get(layer.name) if root is not None else None
        above = layers.get(path.rpartition("/")[0])
        if whole is not None and whole.kind == layer.kind:
            layer = whole
        elif above is not None:
            attribute = path.rpartition("/")[2]
            layer = above.inner.get(attribute) or layer
            layer.parent = layer.parent or above
        layers[path] = layer
    found = {}
    for name, label in labels.items():
        path = name[: -len(_VALUE)] if name.endswith(_VALUE) else name
        while path and path not in layers:
            path = path.rpartition("/")[0]
        if path and "/.OPTIMIZER_SLOT/" not in name:
            layer = layers[path]
            cell = layer.kind in ("TimeDistributed", "Bidirectional", "RNN")
            found[name] = (_named(layer, ["", *label.split("/")]) or layer) if cell else layer
        elif root is not None and _named(root, label.split("/")) is not None:
            found[name] = _named(root, label.split("/")) or root
    return found


def _of_saved_model(directory: str, budget: Budget) -> dict[str, Any]:
    """What a SavedModel says of its objects, by the path to each; nothing if it is damaged or says nothing."""
    metadata = os.path.join(directory, "keras_metadata.pb")
    try:
        if os.path.isfile(metadata):
            return _of_metadata(map_file(metadata, budget), budget)
        for graph in meta_graphs(map_file(os.path.join(directory, "saved_model.pb"), budget)):
            for key, value in fields(graph.meta) if graph.meta is not None else ():
                if key == 7:
                    return _of_object_graph(message(value), budget)
    except (WireError, CheckpointError):
        pass
    return {}


def _of_metadata(data: memoryview, budget: Budget) -> dict[str, Any]:
    found = {}
    for key, node in fields(data):
        if key == 1:
            parts = {part: message(value) for part, value in fields(message(node)) if part in (3, 5)}
            path = text(parts.get(3, memoryview(b"")))
            if path == "root" or path.startswith("root."):
                budget.list_name(path, "keras_metadata.pb")
                said = budget.parse_json(bytes(parts.get(5, b"")), "keras_metadata.pb")
                found[path[len("root.") :].replace(".", "/")] = said
    return found


def _of_object_graph(data: memoryview, budget: Budget) -> dict[str, Any]:
    """Keras before TF 2.5 kept the configurations of layers with the objects themselves."""
    children: list[list[tuple[str, int]]] = []
    said: list[memoryview] = []
    for key, node in fields(data):
        if key != 1:
            continue
        edges, metadata = [], memoryview(b"")
        for part, value in fields(message(node)):
            if part == 1:
                pieces = dict(fields(message(value)))
                edges.append((text(pieces.get(2, memoryview(b""))), number(pieces.get(1, 0))))
                budget.list_name(edges[-1][0], "saved_model.pb")
            elif part == 4:
                metadata = next((message(piece) for inner, piece in fields(message(value)) if inner == 3), metadata)
        children.append(edges)
        said.append(metadata)
    found: dict[str, Any] = {}
    pending = [("", 0)] if children else []
    seen = {0}
    for path, place in pending:
        budget.list_name(path, "saved_model.pb")
        if bytes(said[place][:1]) == b"{":
            found[path] = budget.parse_json(bytes(said[place]), "saved_model.pb")
        for name, child in children[place]:
            if child < len(children) and child not in seen:
                seen.add(child)
                pending.append((f"{path}/{name}" if path else name, child))
    return found
