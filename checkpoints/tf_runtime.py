"""The one module that imports TensorFlow: to run a graph that a checkpoint came with, and to write what only it can.

Everything is imported when a function is called, and works with TF 1.15 as with 2.x (through `compat.v1`).
"""

from __future__ import annotations

import os
from math import inf
from typing import Any, Mapping, Sequence

import numpy as np

from .atomic import Placement
from .budget import Budget
from .bundle import Bundle
from .errors import ArgumentError, CheckpointError
from .graph_layers import consumers, layer_tensors, reached, sources

_HINT = (
    ": use a Python that has it, or an environment of the checkout: nox -s golden -- GRAPH --output OP --to FILE.npz"
)


def _tensorflow(why: str, hint: str = "") -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise CheckpointError(f"{why} needs TensorFlow, which is not here ({error}){hint}") from None
    return tf


def run_graph(
    path: str,
    outputs: Sequence[str] = (),
    layers: Mapping[str, Mapping[str, Any]] | None = None,
    feeds: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray[Any, Any]]:
    """Golden arrays made by running the graph at `path` on random inputs of a fixed `seed`: inputs_* and outputs_*.

    `path` is a SavedModel's directory (its default signature is run), the prefix of a checkpoint with a `.meta`, or a
    frozen `.pb`; `outputs` names operations, and is needed where the graph does not say what its outputs are. One given
    as `KEY=operation` belongs to the model KEY of several, and names are then inputs_KEY_* and outputs_KEY_*. Unknown
    dimensions of inputs are 2; integers are 0 or 1. A single boolean is a switch such as `is_training`: it is false,
    whatever its default, and no input. `feeds` gives the values of tensors that are no inputs either, such as
    `keep_prob`; one number fills any shape. Fed constants, and lists fed to placeholders of any shape, are inputs.
    `layers` says what to add as layers_* where the graph has it (see `graph_layers.layer_tensors`).
    Raises CheckpointError that says what is missing.
    """
    v1 = _tensorflow("running a graph", _HINT).compat.v1
    with v1.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        try:
            fetches = _load_graph(v1, session, graph, path)
        except (OSError, ValueError, v1.errors.OpError) as error:
            older = "; a TensorFlow that has it can be named with --python" if "not registered" in str(error) else ""
            line = _reason(error).partition(". Make sure")[0]
            raise CheckpointError(f"{path}: its graph does not load: {line}{older}") from None
        found = [("", name, tensor) for name, tensor in fetches.items()]
        if outputs:
            # A signature has names of its own for what it returns.
            signed = {name: fetches.get(name.rpartition("=")[2]) for name in outputs}
            found = [
                (_key(name), _plain(name), _tensor(graph, name, path) if signed[name] is None else signed[name])
                for name in outputs
            ]
        if not found:
            raise CheckpointError(f"{path}: name the outputs to compare; candidates: {_ends(graph)}")
        fed = _Feeds(seed)
        for name, value in (feeds or {}).items():
            fed.fix(_tensor(graph, name, path), value)
        for key, _, tensor in found:
            fed.add(key, _inputs([tensor], fed.inputs))
        wanted = {f"outputs_{key}{name}": tensor for key, name, tensor in found}
        for name, tensor in layer_tensors(graph, fed.inputs, list(wanted.values()), layers or {}).items():
            wanted["layers_" + name] = tensor
        try:
            values = session.run(wanted, fed.values)
        except (ValueError, v1.errors.OpError) as error:
            raise CheckpointError(f"{path}: its graph does not run: {_reason(error)}") from None
    return {**fed.named, **{name: np.asarray(value) for name, value in values.items()}}


def _reason(error: Exception) -> str:
    """The line that says what went wrong: older releases begin with it, newer ones say first where it was."""
    text = str(error).partition("\nOriginal stack trace for")[0]
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("[[")]
    if not lines:
        return type(error).__name__
    # Of several errors the first.
    several = [line[len("(0) ") :] for line in lines if line.startswith("(0) ")]
    if several:
        return several[0]
    if not lines[0].startswith("Graph execution error"):
        return lines[0]
    nodes = [place for place, line in enumerate(lines[:-1]) if line.startswith("Node: ")]
    return lines[nodes[-1] + 1] if nodes else lines[-1]


class _Feeds:
    """Random values for placeholders, the same for one that several outputs need, and under which names to keep them.

    Tensors do not compare as other keys do in all releases, so their names tell them apart.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made: dict[str, np.ndarray[Any, Any]] = {}
        self.values: dict[Any, np.ndarray[Any, Any]] = {}
        self.inputs: list[Any] = []
        self.named: dict[str, np.ndarray[Any, Any]] = {}

    def fix(self, tensor: Any, value: Any) -> None:
        """Gives `tensor` a value of the user's, which makes it no input, unless it can be nothing else."""
        dtype = tensor.dtype.as_numpy_dtype
        try:
            array = np.asarray(value, dtype)
            shape = _shape(tensor)
            # One number fills any shape; a list has its own.
            self.values[tensor] = np.full(shape, array, dtype) if shape and not array.ndim else array
        except (ValueError, TypeError) as error:
            raise ArgumentError(f"--feed {tensor.op.name}={value}: {error}") from None
        constant = not tensor.op.type.startswith("Placeholder")
        is_input = bool(self.values[tensor].ndim) and (constant or shape is None)
        if is_input:
            self.inputs.append(tensor)
        self._made[tensor.op.name] = self.values[tensor] if is_input else np.zeros(())

    def add(self, key: str, placeholders: Sequence[Any]) -> None:
        """Makes values for those of `placeholders` that have none yet."""
        for tensor in placeholders:
            name = tensor.op.name
            if name not in self._made:
                self._made[name] = self.values[tensor] = _random(tensor, self._seed + len(self._made))
                self.inputs.append(tensor)
            if self._made[name].ndim:
                self.named[f"inputs_{key}{name.replace('/', '.')}"] = self._made[name]


def _key(output: str) -> str:
    """The key of the model that an output belongs to, as names of arrays begin with it."""
    key, given, _ = output.rpartition("=")
    return key + "_" if given else ""


def _plain(output: str) -> str:
    return output.rpartition("=")[2].replace("/", ".")


def _load_graph(v1: Any, session: Any, graph: Any, path: str) -> dict[str, Any]:
    """Loads graph and values; the outputs, where the file names them."""
    if os.path.isdir(path):
        meta = v1.saved_model.load(session, [v1.saved_model.tag_constants.SERVING], path)
        signatures = meta.signature_def
        chosen = signatures.get("serving_default") or next(iter(signatures.values()))
        return {name: graph.get_tensor_by_name(info.name) for name, info in chosen.outputs.items()}
    if path.endswith(".pb"):
        definition = v1.GraphDef()
        with open(path, "rb") as stream:
            definition.ParseFromString(stream.read())
        v1.import_graph_def(definition, name="")
        return {}
    v1.train.import_meta_graph(path + ".meta", clear_devices=True).restore(session, path)
    return {}


def _tensor(graph: Any, name: str, path: str) -> Any:
    name = name.rpartition("=")[2]
    try:
        return graph.get_tensor_by_name(name if ":" in name else name + ":0")
    except (KeyError, ValueError, TypeError):
        raise CheckpointError(f"{path}: the graph has no {name}; candidates: {_ends(graph)}") from None


def _ends(graph: Any) -> str:
    """Likely outputs: what depends on a placeholder and nothing of the same outermost scope goes on with.

    Those of scopes with variables come first, and of each the last that were added: nearest to the end of a network.
    """
    operations = graph.get_operations()
    flow = reached([op for op in operations if op.type.startswith("Placeholder")], consumers)
    networks = {_outermost(op) for op in operations if op.type in ("Variable", "VariableV2", "VarHandleOp")}
    ends = [
        op
        for op in operations
        if op in flow
        and op.inputs
        and op.outputs
        and op.outputs[0].dtype.is_floating
        and op.outputs[0].shape.ndims != 0
        and not _is_training(op)
        and all(_is_training(user) or _outermost(user) != _outermost(op) for user in op.outputs[0].consumers())
    ]
    ends.sort(key=lambda op: bool(_outermost(op)) and _outermost(op) in networks)
    names = [op.name for op in reversed(ends)]
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _outermost(op: Any) -> str:
    """The first component of the name, if it is a scope."""
    return str(op.name.rpartition("/")[0].partition("/")[0])


def _is_training(op: Any) -> bool:
    """Whether the operation belongs to initialisation, saving or training rather than to the network."""
    kinds, scopes = ("Assign", "Apply", "Resource", "ReadVariable"), ("gradients", "save", "train")
    return bool(op.type.startswith(kinds) or op.name.startswith(scopes) or op.name.endswith("/read"))


def _inputs(fetches: Any, fed: Sequence[Any]) -> list[Any]:
    """The placeholders and switches that `fetches` depend on, and what is `fed` in place of one, by name."""
    fed_names = {tensor.op.name for tensor in fed}
    # What lies behind a fed tensor is not computed.
    flow = reached([t.op for t in fetches], lambda op: [] if op.name in fed_names else sources(op))
    wanted = [op for op in flow if op.type == "Placeholder" or op.name in fed_names or _is_switch(op)]
    found = {op.name: op.outputs[0] for op in wanted}
    return [found[name] for name in sorted(found)]


def _is_switch(op: Any) -> bool:
    """Whether `op` is a single boolean that may be fed, as `is_training` is with a default of True."""
    if op.type != "PlaceholderWithDefault" or op.outputs[0].dtype.name != "bool":
        return False
    return 0 in (op.outputs[0].shape.ndims, op.inputs[0].shape.ndims)


def _random(tensor: Any, seed: int) -> np.ndarray[Any, Any]:
    name = tensor.op.name
    if _is_switch(tensor.op):
        return np.zeros((), bool)
    shape = _shape(tensor)
    if tensor.dtype.name == "string":
        told = f'give them with --feed {name}=["..."], or feed what they are parsed into'
        raise CheckpointError(f"the input {name} takes strings; {told}")
    if shape is None:
        raise CheckpointError(f"the input {name} may have any shape; give it with --feed {name}=[[...]]")
    if not shape:
        if tensor.dtype.name != "bool":
            raise CheckpointError(f"the graph wants a number for {name}; give it with --feed {name}=1.0")
        return np.zeros((), bool)
    random = np.random.RandomState(seed)
    if tensor.dtype.is_floating:
        return random.standard_normal(shape).astype(tensor.dtype.as_numpy_dtype)
    return random.randint(0, 2, shape).astype(tensor.dtype.as_numpy_dtype)


def _shape(tensor: Any) -> list[int] | None:
    """The shape of `tensor`, its unknown dimensions 2; None if their number is unknown too."""
    if tensor.shape.ndims is None:
        return None
    return [2 if extent is None else int(extent) for extent in tensor.shape.as_list()]


def write_objects(model: Any, path: str, overwrite: bool = False) -> None:
    """Writes `model` as an object-based checkpoint of tf.train.Checkpoint(model=model), with the prefix `path`.

    Raises CheckpointError without TensorFlow, or if it exists and `overwrite` is not set.
    """
    tf = _tensorflow("an object-based checkpoint")

    def check(names: Sequence[str]) -> None:
        with Bundle(names[1][: -len(".index")], Budget(inf)) as written:
            if model.weights and not written.tensors:
                raise CheckpointError(f"{path}: no variables are in it")

    targets = [path + ".data-00000-of-00001", path + ".index"]
    with Placement(targets, overwrite, check) as (_, index):
        tf.train.Checkpoint(model=model).write(index[: -len(".index")])
