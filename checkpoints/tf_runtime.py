"""The one module that imports TensorFlow: to run a graph that a checkpoint came with, and to write what only it can.

Everything is imported when a function is called, and works with TF 1.15 as with 2.x (through `compat.v1`).
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from math import inf
from typing import Any, Iterable, Iterator, Mapping, Sequence

from .atomic import Placement
from .budget import Budget
from .bundle import Bundle
from .errors import CheckpointError
from .golden_arrays import Golden
from .graph_feeds import Feeds
from .graph_files import find_graph
from .graph_layers import layer_tensors, reached, sources
from .graph_trial import Output, Session, Trial
from .inference_graph.outputs import candidates
from .inference_graph.prepare import prepare
from .inference_graph.random_ops import is_random
from .inference_graph.sources import replaced
from .tf_graph import import_graph, initialize, initializers, read_meta_graph, reason, restore, signed_outputs

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
) -> Golden:
    """Golden arrays made by running the graph at `path` on random inputs of a fixed `seed`: inputs_* and outputs_*.

    `path` is that of a SavedModel (its default signature is run), of a checkpoint with a `.meta`, or of a frozen graph;
    `outputs` names tensors, and is needed where the graph does not say what its outputs are. One given as `KEY=tensor`
    belongs to the model KEY of several, and names are then inputs_KEY_* and outputs_KEY_*. Unknown dimensions of inputs
    are 2; integers are 0 or 1. `layers` says what to add as layers_* where the graph has it (see
    `graph_layers.layer_tensors`).

    The graph computes what it does in inference: dropout is switched off, batch normalization uses its moving averages,
    and a placeholder that decides between branches has the value for that. What comes from an iterator, a queue or
    parsed examples is an input. `feeds` gives the values of tensors that are no inputs, such as `keep_prob`; one number
    fills any shape. Fed constants, and lists fed to placeholders of any shape, are inputs. Outputs that differ from run
    to run are named in the result's `random`.

    Raises CheckpointError that says what is missing, GraphLoadError if another TensorFlow may be able to run the graph.
    """
    v1 = _tensorflow("running a graph", _HINT).compat.v1
    file = find_graph(path)
    meta = read_meta_graph(v1, file)
    wanted = _outputs(meta, outputs, path)
    for name in feeds or {}:
        _check(meta, name, path)
    prepared = prepare(
        meta.graph_def,
        [tensor for _, _, tensor in wanted],
        list(feeds or {}),
        [meta.saver_def.restore_op_name.partition(":")[0]],
        initializers(meta),
    )
    graph = v1.Graph()
    import_graph(v1, graph, prepared.definition, meta, path)
    fed = Feeds(graph, prepared.purposes, seed)
    for name, value in (feeds or {}).items():
        tensor = _tensor(graph, replaced(_check(meta, name, path), prepared.placed))
        if tensor is not None:
            fed.fix(tensor, value)
    fetches = {}
    for (key, name, _), reference in zip(wanted, prepared.fetches):
        tensor = _tensor(graph, reference)
        if tensor is None:
            raise CheckpointError(f"{path}: the graph has no tensor {reference}")
        fetches[f"outputs_{key}{name}"] = tensor
        fed.add(key, [tensor])
    ends = [
        Output(name, prepared.random[reference], _variables(graph, reference, prepared.initial))
        for name, reference in zip(fetches, prepared.fetches)
    ]
    inner = layer_tensors(graph, fed.inputs, list(fetches.values()), layers or {})
    with graph.as_default():
        # A convolution, its bias and LeakyRelu become one operation even if the sum of the first two is fetched itself.
        fetches.update({"layers_" + name: v1.identity(tensor) for name, tensor in inner.items()})

    @contextmanager
    def start() -> Iterator[Session]:
        with v1.Session(graph=graph, config=_configuration(v1, prepared.definition)) as session:
            anew = restore(v1, session, file, meta, prepared.initial)
            initialize(v1, session, file, meta, [*initializers(meta), *(prepared.initial[name] for name in anew)])
            unsaved = {name: prepared.random[name] for name in anew}
            yield Session(lambda values: _run(v1, session, fetches, values, path), unsaved)

    return Trial(start, fed, ends, prepared.batch).golden(prepared.notes, lambda draws: _advice(graph, draws))


def _variables(graph: Any, reference: str, names: Iterable[str]) -> list[str]:
    """Those of the variables `names` that a tensor depends on."""
    before = {operation.name for operation in reached([graph.get_tensor_by_name(reference).op], sources)}
    return sorted(before & set(names))


def _run(v1: Any, session: Any, fetches: Mapping[str, Any], feeds: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    try:
        values: Mapping[str, Any] = session.run(fetches, dict(feeds))
    except (ValueError, TypeError, v1.errors.OpError) as error:
        raise CheckpointError(f"{path}: its graph does not run: {reason(error)}") from None
    return values


def _configuration(v1: Any, definition: Any) -> Any:
    """Only the CPU, whose results are those to compare with, unless there are operations that it does not have."""
    count = {} if any(node.op.startswith("Cudnn") for node in definition.node) else {"GPU": 0}
    return v1.ConfigProto(device_count=count, allow_soft_placement=True)


def _tensor(graph: Any, reference: str) -> Any:
    """The tensor of that name; None if there is none."""
    try:
        return graph.get_tensor_by_name(reference if ":" in reference else reference + ":0")
    except (KeyError, ValueError, TypeError):
        return None


def _advice(graph: Any, draws: Sequence[str]) -> str:
    """What can be fed so that nothing is drawn."""
    for name in draws:
        operation = graph.get_operation_by_name(name)
        looped = any(op.type in ("Enter", "RefEnter") for op in reached([operation], sources))
        if is_random(operation.type) and not looped:
            return f"; give it a value with --feed {name}=0.0, or name another output"
    return "; name another output"


def _outputs(meta: Any, outputs: Sequence[str], path: str) -> list[tuple[str, str, str]]:
    """(key, name, tensor) of the outputs that were asked for, else of those of the default signature.

    The key is that of a model, such as `generator_`, and empty where there is one model.
    """
    signed = signed_outputs(meta)
    if not outputs:
        if not signed:
            raise CheckpointError(f"{path}: name the outputs to compare with --output; candidates: {_ends(meta)}")
        return [("", name, tensor) for name, tensor in signed.items()]
    found = []
    for output in outputs:
        key, given, name = output.rpartition("=")
        # A signature has names of its own for what it returns.
        tensor = signed.get(name) or _check(meta, name, path)
        found.append((key + "_" if given else "", name.replace("/", "."), tensor))
    return found


def _check(meta: Any, name: str, path: str) -> str:
    """The tensor that `name` is, an operation or a tensor of the graph. Raises CheckpointError if there is none."""
    operation, _, output = name.partition(":")
    if not re.fullmatch(r"[0-9]{0,6}", output) or all(node.name != operation for node in meta.graph_def.node):
        raise CheckpointError(f"{path}: the graph has no {name}; candidates: {_ends(meta)}")
    return f"{operation}:{output or 0}"


def _ends(meta: Any) -> str:
    found = candidates(meta.graph_def.node)
    return ", ".join(found) if found else "none that stands out"


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
