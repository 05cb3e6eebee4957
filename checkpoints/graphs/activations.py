"""Which activation is applied to a tensor of a graph, in the spellings of TF 1, Keras and people's own code.

The answer is a set, as a tensor may be used in several ways: logits go into a softmax and into a loss, and a layer with
either activation holds the same weights. It is None where nothing that is done to the tensor is known here; where only
some of it is, UNKNOWN is in the set.
"""

from __future__ import annotations

import math
from typing import FrozenSet, Optional

from .constants import numbers, source
from .graph import Graph, Use
from .nodes import Node, split_reference
from .walk import is_training

Activations = Optional[FrozenSet[str]]
LINEAR = "linear"
UNKNOWN = "?"

_SINGLE = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Elu": "elu",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Exp": "exponential",
}
# What hands its elements on, or some of them: an activation in front of it and one behind it are the same.
_TRANSPARENT = frozenset(
    ("Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "StopGradient", "BatchToSpaceND", "CheckNumerics")
    + ("Print", "PrintV2", "Switch", "Merge", "MaxPool", "MaxPoolV2", "MaxPool3D", "IdentityN", "ConcatV2", "Concat")
    + ("Pad", "PadV2", "SpaceToBatchND", "SpaceToDepth", "DepthToSpace", "ResizeNearestNeighbor", "Pack")
)
_JOINING = ("ConcatV2", "Concat", "Pack")
# What computes on with the tensor as it is: the next layer, or a loss.
_NEXT = frozenset(
    ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2D", "Conv3D", "DepthwiseConv2dNative")
    + ("Conv2DBackpropInput", "Conv3DBackpropInputV2", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
    + ("SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits", "ArgMax", "TopK", "TopKV2", "InTopK")
    + ("InTopKV2", "AvgPool", "AvgPool3D", "LRN", "Multinomial", "ResizeBilinear", "SquaredDifference", "AddN")
    + ("Einsum", "LSTMBlockCell", "BlockLSTM", "CudnnRNN", "CudnnRNNV2", "Mean", "Sum", "TensorArrayScatterV3")
)
_SUMS = frozenset(("Add", "AddV2", "Sub"))
_MOST_STEPS = 64


def activations_of(graph: Graph, name: str, output: int = 0) -> Activations:
    """The activations that are applied to the output of the node `name`: "linear" for none."""
    uses = _users(graph, name, output)
    if uses is None:
        return None
    if not uses:
        return frozenset((LINEAR,))
    found = set()
    composed = _composed(graph, uses)
    if composed:
        found.add(composed)
        uses = []
    elif _is_logistic_loss(uses):
        # tf.nn.sigmoid_cross_entropy_with_logits is written out in operations of its own.
        found.add(LINEAR)
        uses = [use for use in uses if use.node.op == "Sigmoid"]
    found |= {_activation(graph, use) or UNKNOWN for use in uses}
    if name in graph.outputs:
        found.add(LINEAR)
    if len(found - {LINEAR}) > 1:
        # What a network makes of two activations of one tensor is not known.
        found.add(UNKNOWN)
    return None if found == {UNKNOWN} else frozenset(found)


def _users(graph: Graph, name: str, output: int) -> list[Use] | None:
    """Who takes the tensor, behind what hands it on unchanged; None where there are too many to follow."""
    found: list[Use] = []
    pending, seen = [(name, output)], {name}
    while pending:
        current, number = pending.pop()
        if current in graph.returned:
            # What becomes of a function's result is the business of those who call it.
            return None
        for use in graph.consumers(current):
            if use.output != number or is_training(use.node) or use.node.op in ("Const", "Fill", "Placeholder"):
                continue
            if use.node.op in _TRANSPARENT and (use.place == 0 or use.node.op in ("Merge", "IdentityN", *_JOINING)):
                passed = use.place if use.node.op == "IdentityN" else 0
                ends = [0, 1] if use.node.op == "Switch" else [passed]
                if use.node.name not in seen:
                    seen.add(use.node.name)
                    pending += [(use.node.name, end) for end in ends]
                    if not graph.consumers(use.node.name) or use.node.name in graph.outputs:
                        found.append(use)
            elif use.node.op not in _TRANSPARENT:
                dropped = _behind_dropout(graph, use.node)
                if dropped and dropped not in seen:
                    seen.add(dropped)
                    pending.append((dropped, 0))
                elif not dropped:
                    found.append(use)
            if len(found) > _MOST_STEPS or len(seen) > _MOST_STEPS:
                return None
    return found


def _activation(graph: Graph, use: Use) -> str | None:
    """What one use of a tensor says: an activation, that there is none, or None for what is not known."""
    node = use.node
    if node.op in _SINGLE:
        name = _SINGLE[node.op]
        return _clipped(graph, node) if name == "relu" else name
    if node.op == "LeakyRelu":
        alpha = node.attribute("alpha")
        return f"leaky_relu({alpha:.4g})" if isinstance(alpha, float) else None
    if node.op.startswith("swish_f"):
        return "silu"
    if node.op in _TRANSPARENT or node.op in _NEXT:
        return LINEAR
    if node.op in _SUMS and len(node.inputs) == 2:
        other = node.inputs[1 - use.place]
        if not numbers(graph, other) and not _depends(graph, other, split_reference(node.inputs[use.place]).node):
            return LINEAR
    return None


def _clipped(graph: Graph, relu: Node) -> str | None:
    """A Relu, or what is made of it by cutting it off above."""
    for use in graph.consumers(relu.name):
        if use.node.op == "Minimum" and len(use.node.inputs) == 2:
            return "relu6" if numbers(graph, use.node.inputs[1 - use.place]) == {6.0} else None
    return "relu"


def _depends(graph: Graph, reference: str, name: str) -> bool:
    """Whether a tensor is computed from the node `name` in a few steps, or from so much that it is not known."""
    pending, seen = [split_reference(reference).node], set()
    for _ in range(_MOST_STEPS):
        if not pending:
            return False
        current = pending.pop()
        if current == name:
            return True
        node = graph.nodes.get(current)
        if node is None or current in seen or node.op in _NEXT:
            continue
        seen.add(current)
        pending += [split_reference(each).node for each in node.inputs]
    return False


def _is_logistic_loss(uses: list[Use]) -> bool:
    return any(use.node.op == "GreaterEqual" for use in uses) and {use.node.op for use in uses} <= {
        *("GreaterEqual", "Select", "SelectV2", "Neg", "Mul", "Sigmoid", "Abs", "Maximum", "Sub", "Round", "Greater")
    }


def _composed(graph: Graph, uses: list[Use]) -> str:
    """The activation that several operations make of a tensor together; empty if they make none that is known."""
    ops = {use.node.op: use for use in uses}
    if set(ops) == {"Mul", "Maximum"} and len(uses) == 2:
        slope = _factor(graph, ops["Mul"])
        if slope is not None and ops["Mul"].node.name in _sources(ops["Maximum"].node) and 0 < slope < 1:
            return f"leaky_relu({slope:.4g})"
    if set(ops) == {"Sigmoid", "Mul"} and ops["Sigmoid"].node.name in _sources(ops["Mul"].node):
        return "silu"
    if len(uses) == 1 and set(ops) == {"Maximum"}:
        (use,) = uses
        return "relu" if numbers(graph, use.node.inputs[1 - use.place]) == {0.0} else ""
    if len(uses) == 1 and set(ops) <= {"Mul", "Add", "AddV2"}:
        return _hard_sigmoid(graph, uses[0])
    if "Pow" in ops and numbers(graph, ops["Pow"].node.inputs[-1]) == {3.0}:
        return "gelu(tanh)"
    if set(ops) <= {"RealDiv", "Div", "Mul"}:
        for use in uses:
            root = numbers(graph, use.node.inputs[1 - use.place]) if len(use.node.inputs) == 2 else ()
            if any(math.isclose(number, math.sqrt(2), rel_tol=1e-5) for number in root) or any(
                math.isclose(number, math.sqrt(0.5), rel_tol=1e-5) for number in root
            ):
                ends = [each.node.op for each in graph.consumers(use.node.name) if not is_training(each.node)]
                return "gelu" if ends in (["Erf"], ["Erfc"]) else ""
    return ""


def _hard_sigmoid(graph: Graph, use: Use) -> str:
    """Multiplied, added to, cut off at 0 and 1 in Keras 2; added to, cut off at 0 and 6, divided in Keras 3."""
    added: set[float] = set()
    factor = 1.0
    node = use.node
    place = use.place
    for _ in range(6):
        value = numbers(graph, node.inputs[1 - place]) if len(node.inputs) == 2 else frozenset()
        if node.op in ("Add", "AddV2") and len(value) == 1:
            added = set(value)
        elif node.op == "Mul" and len(value) == 1:
            factor = next(iter(value))
        elif node.op in ("Minimum", "Maximum", "ClipByValue", "Relu6"):
            break
        else:
            return ""
        behind = [each for each in graph.consumers(node.name) if not is_training(each.node)]
        if len(behind) != 1:
            return ""
        node, place = behind[0].node, behind[0].place
    if math.isclose(factor, 0.2, rel_tol=1e-5) and added == {0.5} and node.op != "Relu6":
        return "hard_sigmoid"
    return "hard_sigmoid(x/6)" if added == {3.0} and factor == 1.0 and node.op == "Relu6" else ""


def _factor(graph: Graph, use: Use) -> float | None:
    value = numbers(graph, use.node.inputs[1 - use.place]) if len(use.node.inputs) == 2 else frozenset()
    return next(iter(value)) if len(value) == 1 else None


def _sources(node: Node) -> set[str]:
    return {split_reference(each).node for each in node.inputs}


def _behind_dropout(graph: Graph, node: Node) -> str:
    """The end of the dropout that `node` begins: scaled, and multiplied by 0 or 1 or selected at random."""
    if node.op not in ("Mul", "RealDiv", "Div"):
        return ""
    for use in graph.consumers(node.name):
        masks = {"Mul": 1 - use.place, "Select": 0, "SelectV2": 0}
        if use.node.op in masks and len(use.node.inputs) > 1:
            mask = source(graph, use.node.inputs[masks[use.node.op]])
            if mask is not None and mask.op in ("Floor", "GreaterEqual"):
                return use.node.name
    return ""
