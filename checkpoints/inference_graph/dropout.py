"""Dropout in the spellings of TensorFlow's releases, switched off: its last operation hands on what came in.

Until 1.13 `x / keep * floor(keep + u)`, before 0.10 `x * (1 / keep) * floor(...)`; from 1.14 on `x * scale *
cast(u >= rate)`, from 2.8 on `where(u >= rate, x * scale, 0)`, with `u` uniform in [0, 1). DropoutWrapper, slim,
tf.layers, Keras and what drops whole paths of a network (stochastic depth) come down to these. What scales by anything
but 1 / keep, and what fills dropped places with anything but 0, such as alpha dropout, is left alone.

Source: `dropout` in `tensorflow/python/ops/nn_ops.py` of 0.9 to 2.21, `DropoutWrapper` in `rnn_cell_impl.py`.
"""

from __future__ import annotations

import re
from typing import Any, Iterable

from .body import Body, data_inputs
from .scalars import Scalar, constant, equal, one_minus, one_over, scalar

_UNIFORM = re.compile(r"RandomUniform|(?:Stateless|Stateful)(?:Random)?Uniform(?:V2)?")
_ADDS = ("Add", "AddV2")


def remove_dropout(body: Body, names: Iterable[str]) -> list[str]:
    """Switches off what dropout ends in one of the nodes `names`; returns the names of these."""
    removed = []
    for name in names:
        reference = _dropped(body, body.nodes[name])
        if reference:
            body.make_identity(body.nodes[name], reference)
            removed.append(name)
    return removed


def _dropped(body: Body, node: Any) -> str:
    """What is dropped out by `node`; empty if it is not the end of a dropout."""
    inputs = data_inputs(node)
    if node.op == "Mul" and len(inputs) == 2:
        for scaled, mask in (inputs, inputs[::-1]):
            reference = _unscaled(body, scaled, _kept_by(body, mask))
            if reference:
                return reference
    if node.op in ("Select", "SelectV2") and len(inputs) == 3 and _is_zero(body, inputs[2]):
        return _unscaled(body, inputs[1], _compared(body, body.source(inputs[0])))
    return ""


def _kept_by(body: Body, mask: str) -> Scalar:
    """The probability with which the random mask is 1 rather than 0; None if it is no such mask."""
    node = body.source(mask)
    if node is None or node.op != "Floor":
        return _compared(body, node)
    total = body.source(data_inputs(node)[0])
    inputs = data_inputs(total) if total is not None and total.op in _ADDS else []
    for one, other in (inputs, inputs[::-1]) if inputs else ():
        if _is_uniform(body, one):
            return scalar(body, other)
    return None


def _compared(body: Body, node: Any) -> Scalar:
    """The probability with which a comparison with a uniform number holds; None if it is no such comparison."""
    inputs = data_inputs(node) if node is not None else []
    if len(inputs) != 2 or node.op not in ("GreaterEqual", "Greater", "Less", "LessEqual"):
        return None
    random, bound = inputs if _is_uniform(body, inputs[0]) else inputs[::-1]
    if not _is_uniform(body, random):
        return None
    above = node.op.startswith("Greater") == (random == inputs[0])
    return one_minus(scalar(body, bound)) if above else scalar(body, bound)


def _is_uniform(body: Body, reference: str, depth: int = 6) -> bool:
    """Whether the tensor is uniform in [0, 1): as it was drawn, or multiplied by 1 and with 0 added."""
    node = body.source(reference)
    if node is None and depth and body.behind(reference) in body.origins:
        return _is_uniform(*body.origins[body.behind(reference)], depth - 1)
    if node is None or not depth:
        return False
    inputs = data_inputs(node)
    neutral = {"Mul": 1.0, "Add": 0.0, "AddV2": 0.0}.get(node.op)
    if neutral is None or len(inputs) != 2:
        return bool(_UNIFORM.fullmatch(node.op))
    return any(
        scalar(body, other) == neutral and _is_uniform(body, one, depth - 1) for one, other in (inputs, inputs[::-1])
    )


def _unscaled(body: Body, scaled: str, keep: Scalar) -> str:
    """What `scaled` is before it was divided by `keep`; empty if it was not, or if that is unknown."""
    node = body.producer(scaled)
    while node is not None and node.op == "Identity":
        node = body.producer(node.input[0])
    inputs = data_inputs(node) if node is not None else []
    if keep is None or len(inputs) != 2:
        return ""
    if node.op in ("RealDiv", "Div"):
        return inputs[0] if equal(scalar(body, inputs[1]), keep) else ""
    if node.op == "Mul":
        for one, other in (inputs, inputs[::-1]):
            if equal(scalar(body, other), one_over(keep)):
                return one
    return ""


def _is_zero(body: Body, reference: str) -> bool:
    node = body.source(reference)
    if node is not None and node.op == "ZerosLike":
        return True
    value = constant(node)
    return value is not None and value.dtype.kind == "f" and not value.any()
