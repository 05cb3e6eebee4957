"""Graphs in TensorFlow: read from their files, imported, and given the values of their variables.

TensorFlow is handed in, as `tf.compat.v1`, and imported already; it is any release from 1.15 on.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Iterable, Mapping

from .errors import CheckpointError
from .foreign_text import named
from .graph_files import GraphFile
from .open import open_checkpoint

DOES_NOT_LOAD = "its graph does not load"
_SERVED = "serve"
_INIT = "__saved_model_init_op"


class GraphLoadError(CheckpointError):
    """This TensorFlow cannot load the graph; another may."""


def read_meta_graph(v1: Any, file: GraphFile) -> Any:
    """The MetaGraphDef in the file; one around a plain GraphDef. Raises CheckpointError if it is none."""
    saved_model = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel
    decode_error = importlib.import_module("google.protobuf.message").DecodeError
    try:
        with open(file.file, "rb") as stream:
            data = stream.read()
        if file.folder:
            return _served(file, _parse(saved_model(), data, file.file).meta_graphs)
        if file.file.endswith(".meta"):
            return _parse(v1.MetaGraphDef(), data, file.file)
        meta = v1.MetaGraphDef()
        _parse(meta.graph_def, data, file.file)
        if not meta.graph_def.node:
            # A .pb may also be what a Saver leaves under another name.
            meta = _parse(v1.MetaGraphDef(), data, file.file)
        return meta
    except OSError as error:
        raise CheckpointError(f"{file.file}: {error.strerror or error}") from None
    except (decode_error, UnicodeDecodeError, ValueError) as error:
        raise CheckpointError(f"{file.file}: no TensorFlow graph, or a damaged one: {_line(error)}") from None


def _parse(message: Any, data: bytes, path: str) -> Any:
    if not path.endswith(".pbtxt"):
        message.ParseFromString(data)
        return message
    text_format = importlib.import_module("google.protobuf.text_format")
    try:
        return text_format.Parse(data.decode("utf-8"), message)
    except text_format.ParseError as error:
        raise ValueError(_line(error)) from None


def _served(file: GraphFile, graphs: Any) -> Any:
    """Of a SavedModel's graphs the one that is to be served, or the only one."""
    served = [graph for graph in graphs if _SERVED in graph.meta_info_def.tags] or (graphs if len(graphs) == 1 else [])
    if not served:
        tags = "; ".join(", ".join(graph.meta_info_def.tags) for graph in graphs) or "none at all"
        raise CheckpointError(f"{file.file}: no graph with the tag {_SERVED}; the tags are {tags}")
    plain = [graph for graph in served if len(graph.meta_info_def.tags) == 1]
    return (plain or list(served))[0]


def signed_outputs(meta: Any) -> dict[str, str]:
    """The outputs of the default signature, or of the first one: the tensors by the names that the signature has."""
    signatures = {key: value for key, value in meta.signature_def.items() if key != _INIT}
    chosen = signatures.get("serving_default") or next((signatures[key] for key in sorted(signatures)), None)
    return {name: info.name for name, info in chosen.outputs.items() if info.name} if chosen is not None else {}


def initializers(meta: Any) -> list[str]:
    """The operations that fill tables and do what else a graph wants done before it runs."""
    collections = meta.collection_def
    found = [signature.outputs[_INIT].name for key, signature in meta.signature_def.items() if key == _INIT]
    for key in ("saved_model_main_op", "legacy_init_op", "table_initializer"):
        if key in collections:
            found += list(collections[key].node_list.value)
    return [name.partition(":")[0] for name in found]


def import_graph(v1: Any, graph: Any, definition: Any, meta: Any, path: str) -> None:
    """Imports the GraphDef `definition` of `meta` into `graph`. Raises GraphLoadError that says why it cannot."""
    known = meta.meta_info_def.stripped_op_list
    try:
        _register_contrib(v1, definition)
        with graph.as_default():
            v1.import_graph_def(definition, name="", producer_op_list=known if known.op else None)
    except (OSError, ValueError, KeyError, TypeError, v1.errors.OpError) as error:
        raise GraphLoadError(f"{path}: {DOES_NOT_LOAD}: {reason(error).partition('. Make sure')[0]}") from None


def _register_contrib(v1: Any, definition: Any) -> None:
    """Has TensorFlow 1 load the operations of contrib where the graph has one that it does not know."""
    known = getattr(importlib.import_module("tensorflow.python.framework.op_def_registry"), "get_registered_ops", None)
    if known is None or all(node.op in known() for node in definition.node):
        return
    try:
        import tensorflow.contrib as contrib  # type: ignore[import-not-found,import-untyped,unused-ignore]

        # Looked up when they are used first.
        for name in ("rnn", "seq2seq", "layers", "image", "resampler", "cudnn_rnn", "bigtable", "framework"):
            getattr(contrib, name, None)
    except ImportError:
        pass


def restore(v1: Any, session: Any, file: GraphFile, meta: Any, unknown: Iterable[str]) -> list[str]:
    """Gives variables the values in the checkpoint, by the graph's own Saver, and by name those that this leaves out.

    `unknown` are the variables that the Saver does not give a value. Returns those of them that have none in the file
    either. Raises CheckpointError that says why it cannot.
    """
    saver = meta.saver_def
    left = list(unknown)
    try:
        if file.prefix and saver.restore_op_name and _has_variables(file):
            v1.train.Saver(saver_def=saver).restore(session, file.prefix)
        if file.prefix and left and _has_variables(file):
            left = _restore_by_name(v1, session, file.prefix, left)
    except (OSError, ValueError, KeyError, v1.errors.OpError) as error:
        raise CheckpointError(f"{file.prefix}: its values do not go into the graph: {reason(error)}") from None
    return left


def _has_variables(file: GraphFile) -> bool:
    """Whether there are values beside the graph; a SavedModel of constants has none."""
    return not file.folder or os.path.isdir(os.path.dirname(file.prefix))


def _restore_by_name(v1: Any, session: Any, prefix: str, variables: list[str]) -> list[str]:
    left = []
    graph = session.graph
    with open_checkpoint(prefix) as checkpoint, graph.as_default():
        for name in variables:
            operation = graph.get_operation_by_name(name)
            if name not in checkpoint.tensors:
                left.append(name)
                continue
            value = checkpoint.read(name)
            if operation.type == "VarHandleOp":
                assign = v1.raw_ops.AssignVariableOp(resource=operation.outputs[0], value=value)
            else:
                assign = v1.raw_ops.Assign(ref=operation.outputs[0], value=value)
            session.run(assign)
    return left


def initialize(v1: Any, session: Any, file: GraphFile, meta: Any, operations: Iterable[str]) -> None:
    """Runs those of `operations` that the graph has, with the assets of a SavedModel where they want one."""
    graph = session.graph
    known = {operation.name for operation in graph.get_operations()}
    wanted = [graph.get_operation_by_name(name) for name in operations if name in known]
    if not wanted:
        return
    feeds = {name: path for name, path in _assets(file, meta).items() if name.partition(":")[0] in known}
    try:
        session.run(wanted, feeds)
    except (OSError, ValueError, v1.errors.OpError) as error:
        raise CheckpointError(f"{file.path()}: its graph cannot be prepared to run: {reason(error)}") from None


def _assets(file: GraphFile, meta: Any) -> Mapping[str, str]:
    """The paths of a SavedModel's assets, by the tensors that take them."""
    assets = list(meta.asset_file_def)
    for packed in meta.collection_def["saved_model_assets"].any_list.value if not assets else ():
        asset = type(meta)().asset_file_def.add()
        packed.Unpack(asset)
        assets.append(asset)
    return {asset.tensor_info.name: os.path.join(file.folder, "assets", asset.filename) for asset in assets}


def reason(error: Exception) -> str:
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


def _line(error: Exception) -> str:
    return named((str(error).strip() or type(error).__name__).splitlines()[0])
