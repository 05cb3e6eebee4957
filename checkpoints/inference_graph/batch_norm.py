"""Batch normalization that was saved in training mode, with its moving averages in place of the batch's statistics.

Which variable averages what is told by use: `variable -= (variable - statistic) * (1 - decay)`, as
`assign_moving_average` writes it for tf.layers, slim, contrib.layers, Keras and ExponentialMovingAverage. A fused
operation is told not to train and given the two variables; where the statistics are operations of their own, who takes
them takes the variables instead. Averages of anything but statistics of the inputs, such as those of weights, are none
of its business.

Source: `tensorflow/python/training/moving_averages.py`, `tensorflow/python/layers/normalization.py` of 1.15.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, Tuple

from ..graphs.nodes import split_reference
from .body import SAME, Body, data_inputs
from .scalars import constant, scalar

_FUSED = re.compile(r"FusedBatchNorm(?:V[23])?")
_SUBTRACTS = ("AssignSub", "AssignSubVariableOp")
_ASSIGNS = ("Assign", "AssignVariableOp", *_SUBTRACTS)
_READS = ("Identity", "ReadVariableOp")
# What stands between a reduction over the batch and the statistic that is averaged.
_BETWEEN = SAME | {"Squeeze", "Reshape", "Add", "AddV2", "Sub", "Mul", "RealDiv", "Square", "Reciprocal", "Merge"}
_MOST_STEPS = 32

Tensor = Tuple[str, int]


def use_moving_averages(body: Body) -> list[str]:
    """Changes the normalizations whose statistics are averaged; returns the nodes that had computed these."""
    averages = _averages(body)
    changed = [node.name for node in body.nodes.values() if _FUSED.fullmatch(node.op) and _unfuse(body, node, averages)]
    for statistic, read in averages.items():
        producer = body.nodes[statistic[0]]
        if not _FUSED.fullmatch(producer.op):
            changed.append(producer.name)
        # What keeps the average up to date is among those that take the statistic; it then adds nothing.
        for use in [use for use in body.uses(statistic[0]) if use.output == statistic[1]]:
            inputs = list(use.node.input)
            inputs[use.place] = read
            body.set_inputs(use.node, inputs)
    return changed


def uses_batch(node: Any) -> bool:
    """Whether a NodeDef normalizes with the statistics of a batch, or computes them."""
    return _trains(node) if _FUSED.fullmatch(node.op) else node.op == "Mean" and "moments" in node.name.split("/")


def scope_of(name: str) -> str:
    """The scope of a normalization by the name of its fused operation or of a statistic."""
    return re.sub(r"(?:/cond(?:_\d+)?)?/(?:moments(?:_\d+)?/.*|[^/]*)$", "", name)


def _trains(node: Any) -> bool:
    return node.attr["is_training"].b if "is_training" in node.attr else True


def _unfuse(body: Body, node: Any, averages: Mapping[Tensor, str]) -> bool:
    """Has a fused normalization use the variables that average its statistics, if there are both."""
    mean, variance = averages.get((node.name, 1)), averages.get((node.name, 2))
    if not _trains(node) or mean is None or variance is None:
        return False
    body.set_inputs(node, [*node.input[:3], mean, variance, *node.input[5:]])
    node.attr["is_training"].b = False
    return True


def _averages(body: Body) -> dict[Tensor, str]:
    """For each statistic of a batch that a variable averages, a reference to the variable's value."""
    averaged: dict[str, Tensor] = {}
    follows: dict[str, str] = {}
    for node in body.nodes.values():
        inputs = data_inputs(node)
        if node.op not in _ASSIGNS or len(inputs) < 2:
            continue
        variable = body.source(inputs[0])
        statistic = _averaged(body, variable, inputs[1]) if variable is not None and node.op in _SUBTRACTS else None
        if statistic:
            averaged[variable.name] = statistic
        elif variable is not None:
            follows[_corrected(body, variable, inputs[1])] = variable.name
    found = {}
    for name, statistic in averaged.items():
        # An average that is corrected for its start at zero is kept in another variable than the result.
        read = _read(body, follows.get(name, name))
        if read:
            found[statistic] = read
    return found


def _averaged(body: Body, variable: Any, change: str) -> Tensor | None:
    """The statistic towards which `change` moves the variable: `(variable - statistic) * factor`."""
    product = body.source(change)
    for factor in data_inputs(product) if product is not None and product.op == "Mul" else ():
        difference = body.source(factor)
        inputs = data_inputs(difference) if difference is not None and difference.op == "Sub" else []
        if inputs and body.source(inputs[0]) is variable:
            return _statistic(body, inputs[1])
    return None


def _corrected(body: Body, variable: Any, value: str) -> str:
    """The variable of which `value` is the ratio to a correction; empty if it is none."""
    ratio = body.source(value)
    if ratio is not None and ratio.op == "Sub" and body.source(ratio.input[0]) is variable:
        ratio = body.source(ratio.input[1])
    if ratio is None or ratio.op not in ("RealDiv", "Div"):
        return ""
    source = body.source(ratio.input[0])
    if source is not None and source.op in _SUBTRACTS:
        source = body.source(source.input[0])
    return source.name if source is not None and source is not variable else ""


def _statistic(body: Body, reference: str) -> Tensor | None:
    """The statistic of a batch that `reference` leads to, behind what corrects it by a factor; None if it is none."""
    for _ in range(_MOST_STEPS):
        node = body.producer(reference)
        inputs = data_inputs(node) if node is not None else []
        factors = [each for each in inputs if isinstance(scalar(body, each), float)] if inputs else []
        if node is None or not (node.op in SAME or (node.op == "Mul" and len(factors) == 1)):
            break
        reference = next(each for each in inputs if each not in factors) if node.op == "Mul" else inputs[0]
    name, output = split_reference(reference)
    node = body.nodes.get(name)
    if node is None or not ((_FUSED.fullmatch(node.op) and output in (1, 2)) or _reduces_batch(body, name)):
        return None
    return name, output


def _reduces_batch(body: Body, name: str) -> bool:
    """Whether the node takes a mean or a sum over the first axis, apart from arithmetic behind it."""
    pending, seen = [name], {name}
    while pending and len(seen) < _MOST_STEPS:
        node = body.nodes.get(pending.pop())
        inputs = data_inputs(node) if node is not None else []
        if node is not None and node.op in ("Mean", "Sum"):
            axes = constant(body.source(inputs[1]))
            return axes is not None and 0 in axes.reshape(-1).tolist()
        for reference in inputs if node is not None and node.op in _BETWEEN else ():
            source = split_reference(reference).node
            if source not in seen:
                seen.add(source)
                pending.append(source)
    return False


def _read(body: Body, variable: str) -> str:
    """A reference to the value of the variable; empty if nothing reads it."""
    return next((use.node.name for use in body.uses(variable) if use.node.op in _READS), "")
