"""Single numbers of a graph in a form in which two can be compared: whether one is 1 minus the other, or 1 over it."""

from __future__ import annotations

import math
from typing import Any, Tuple, Union

from ..checkpoint import element_count
from ..errors import CheckpointError
from ..graphs.nodes import split_reference
from ..tensorproto import parse_tensor, to_array
from ..wire import WireError
from .body import SAME, Body, data_inputs

Scalar = Union[float, Tuple[str, Any], None]
"""A number; ("node", ...), ("1-", scalar) or ("1/", scalar) for one known only when the graph runs; None if unknown."""

_DEEPEST = 24
_LARGEST = 4096


def scalar(body: Body, reference: str, depth: int = _DEEPEST) -> Scalar:
    """What the tensor `reference` is, if it may be a single number."""
    node = body.producer(reference)
    if not depth:
        return None
    if node is None:
        return ("node", (reference, 0))
    inputs = data_inputs(node)
    if node.op == "Const":
        value = constant(node)
        return float(value.reshape(-1)[0]) if value is not None and value.size == 1 and value.dtype != object else None
    if node.op in SAME and inputs:
        return scalar(body, inputs[0], depth - 1)
    if node.op in ("Sub", "RealDiv", "Div") and len(inputs) == 2:
        left, right = (scalar(body, each, depth - 1) for each in inputs)
        if left == 1.0:
            return one_minus(right) if node.op == "Sub" else one_over(right)
        if isinstance(left, float) and isinstance(right, float) and node.op == "Sub":
            return left - right
    if node.op in ("Reciprocal", "Inv") and inputs:
        return one_over(scalar(body, inputs[0], depth - 1))
    name, output = split_reference(reference)
    return ("node", (name, output))


def one_minus(value: Scalar) -> Scalar:
    """1 - value."""
    if isinstance(value, tuple) and value[0] == "1-":
        inner: Scalar = value[1]
        return inner
    return 1.0 - value if isinstance(value, float) else value and ("1-", value)


def one_over(value: Scalar) -> Scalar:
    """1 / value; None for 0."""
    if isinstance(value, tuple) and value[0] == "1/":
        inner: Scalar = value[1]
        return inner
    if isinstance(value, float):
        return 1.0 / value if value else None
    return value and ("1/", value)


def equal(one: Scalar, other: Scalar) -> bool:
    """Whether both are known to be the same, but for the rounding of constants to bfloat16."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1 / 256)
    return one is not None and one == other


def constant(node: Any) -> Any:
    """The value of a small `Const` as an array; None for other nodes and large ones."""
    if node is None or node.op != "Const":
        return None
    try:
        proto = parse_tensor(memoryview(node.attr["value"].tensor.SerializeToString()))
        if element_count(proto.shape) > _LARGEST:
            return None
        return to_array(proto, proto.dtype, proto.shape, node.name)
    except (WireError, CheckpointError):
        return None
