"""Where data enters a graph by other ways than placeholders: there it gets placeholders, one for each tensor in use.

These are the tensors of an iterator, of a queue, and what serialized examples are parsed into. What the network was fed
from is then no part of it any longer. Tensors of text are left as they are, as are sparse ones.

Source: `IteratorGetNext` in `core/ops/dataset_ops.cc`, `QueueDequeue*` in `data_flow_ops.cc`, `ParseExample*` in
`parsing_ops.cc`.
"""

from __future__ import annotations

import re
from typing import Any, Iterable, NamedTuple

from ..graphs.nodes import split_reference
from .body import Body, data_inputs
from .scalars import constant

_STRING = 7
_UNFIT = re.compile(r"[^A-Za-z0-9_.\-]")


class _Tensor(NamedTuple):
    """An output: the number of its type, its shape as a TensorShapeProto (None if unknown), and what to call it."""

    dtype: int
    shape: Any
    name: str


def add_placeholders(body: Body, names: Iterable[str], make_node: Any) -> dict[str, str]:
    """Gives what the nodes `names` take from such sources placeholders, made by `make_node` (the class NodeDef).

    Returns the references that were replaced and the names of the placeholders.
    """
    placed: dict[str, str] = {}
    for name in list(names):
        tensors = _tensors(body, body.nodes[name])
        for output, tensor in sorted(tensors.items()):
            users = [use for use in body.uses(name) if use.output == output]
            if not users or tensor.dtype in (0, _STRING):
                continue
            placeholder = make_node(name=_free(body, tensor.name), op="Placeholder")
            placeholder.attr["dtype"].type = tensor.dtype
            if tensor.shape is None:
                placeholder.attr["shape"].shape.unknown_rank = True
            else:
                placeholder.attr["shape"].shape.CopyFrom(tensor.shape)
            body.nodes[placeholder.name] = placeholder
            for use in users:
                inputs = list(use.node.input)
                inputs[use.place] = placeholder.name
                body.set_inputs(use.node, inputs)
            placed[f"{name}:{output}" if output else name] = placeholder.name
    return placed


def _tensors(body: Body, node: Any) -> dict[int, _Tensor]:
    """The outputs of a node that yields data, by number; none for other nodes."""
    if node.op.startswith("IteratorGetNext"):
        return _listed(node.name, node.attr["output_types"].list.type, node.attr["output_shapes"].list.shape)
    if re.fullmatch(r"QueueDequeue(?:Many|UpTo)?(?:V2)?", node.op):
        queue = body.source(node.input[0])
        shapes = list(queue.attr["shapes"].list.shape) if queue is not None else []
        if not node.op.startswith(("QueueDequeueV2",)) and node.op != "QueueDequeue":
            shapes = [_batched(shape) for shape in shapes]
        return _listed(node.name, node.attr["component_types"].list.type, shapes)
    if node.op in ("ParseExample", "ParseExampleV2", "ParseSingleExample"):
        return _parsed(body, node)
    return {}


def _listed(name: str, dtypes: Any, shapes: Any) -> dict[int, _Tensor]:
    shapes = list(shapes)
    width = len(str(len(dtypes) - 1))
    return {
        place: _Tensor(dtype, shapes[place] if place < len(shapes) else None, f"{name}.{place:0{width}}")
        for place, dtype in enumerate(dtypes)
    }


def _batched(shape: Any) -> Any:
    """The shape with a first dimension of any size."""
    if shape.unknown_rank:
        return shape
    batched = type(shape)()
    batched.dim.add(size=-1)
    batched.dim.extend(shape.dim)
    return batched


def _parsed(body: Body, node: Any) -> dict[int, _Tensor]:
    """The dense tensors, which come after the three tensors of every sparse one, and in V2 before the ragged ones."""
    dtypes, shapes = list(node.attr["Tdense"].list.type), list(node.attr["dense_shapes"].list.shape)
    sparse = len(node.attr["sparse_types"].list.type)
    if node.op != "ParseSingleExample":
        shapes = [_batched(shape) for shape in shapes]
    keys = _dense_keys(body, node, len(dtypes), sparse)
    return {
        3 * sparse + place: _Tensor(dtype, shapes[place], f"{node.name}/{_UNFIT.sub('_', key)}")
        for place, (dtype, key) in enumerate(zip(dtypes, keys))
        if place < len(shapes)
    }


def _dense_keys(body: Body, node: Any, count: int, sparse: int) -> list[str]:
    """The names of the features, or numbers where the graph does not hold them."""
    if node.op == "ParseSingleExample":
        values = [bytes(key) for key in node.attr["dense_keys"].list.s]
    elif node.op == "ParseExampleV2":
        keys = constant(body.source(data_inputs(node)[3]))
        values = [] if keys is None else [bytes(key) for key in keys.reshape(-1)]
    else:
        found = [constant(body.source(each)) for each in data_inputs(node)[2 + sparse : 2 + sparse + count]]
        values = [bytes(value.reshape(-1)[0]) for value in found if value is not None and value.size]
    if len(values) != count:
        return [str(place) for place in range(count)]
    return [value.decode("utf-8", "replace") for value in values]


def _free(body: Body, name: str) -> str:
    """`name`, or one like it that no node has."""
    found, number = name, 1
    while found in body.nodes:
        found, number = f"{name}_{number}", number + 1
    return found


def is_source(op: str) -> bool:
    """Whether nodes of the type `op` yield data by another way than being fed."""
    return op.startswith(("IteratorGetNext", "QueueDequeue", "ReaderRead"))


def replaced(reference: str, placed: dict[str, str]) -> str:
    """`reference`, or the placeholder that stands for it."""
    name, output = split_reference(reference)
    return placed.get(f"{name}:{output}" if output else name, reference)
