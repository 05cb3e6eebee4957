"""What a graph says of a layer, by the operation that computes with one of its variables: one function a kind.

Each gives Keras's arguments with the values that the graph stands for. What is not known is left out.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, NamedTuple, Optional, Sequence, Tuple

from .activations import activations_of
from .constants import integers, is_variable, numbers, source
from .graph import Graph
from .nodes import Node
from .walk import Site, is_training


class Padding(NamedTuple):
    """How a convolution pads: `kind` is same, valid or causal, `before` what an operation in front of it adds.

    `before` has a pair for every axis that is padded so, and is None where it is not known what stands in front.
    """

    kind: str
    before: Optional[Tuple[Tuple[int, int], ...]] = ()


Findings = Dict[str, Tuple[Any, ...]]
"""By argument: the values that it may have, as the graph does the same with each of them."""


def _activation(graph: Graph, node: Node) -> Findings:
    biased = behind_bias(graph, node)
    found = activations_of(graph, biased.name)
    return {} if found is None else {"activation": tuple(sorted(found))}


def behind_bias(graph: Graph, node: Node) -> Node:
    """The node that adds a bias to what `node` yields, or `node` itself where none does."""
    pending = [node]
    for current in pending:
        for use in graph.consumers(current.name):
            if is_training(use.node) or use.output:
                continue
            if use.node.op == "BiasAdd" and use.place == 0:
                return use.node
            if use.node.op in ("Add", "AddV2") and is_variable(graph, use.node.inputs[1 - use.place]):
                return use.node
            if use.node.op in ("Reshape", "Squeeze", "BatchToSpaceND", "Identity", "Transpose") and use.place == 0:
                pending.append(use.node)
        if len(pending) > 16:
            break
    return node


def dense(site: Site) -> Findings:
    """MatMul with the kernel on the right, of tensors of any rank."""
    if site.node.op not in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3") or site.place != 1:
        # A 1x1 convolution is the same.
        return _activation(site.graph, site.node) if site.node.op == "Conv2D" and site.place == 1 else {}
    return _activation(site.graph, site.node)


_CONVOLUTIONS = {
    "Conv2D": "Conv",
    "Conv3D": "Conv",
    "DepthwiseConv2dNative": "DepthwiseConv",
    "Conv2DBackpropInput": "ConvTranspose",
    "Conv3DBackpropInputV2": "ConvTranspose",
}


def convolution(site: Site) -> Findings:
    """Conv1D to Conv3D, depthwise and transposed ones: geometry and activation."""
    return {**geometry(site), **_activation(site.graph, site.node)} if site.node.op in _CONVOLUTIONS else {}


def geometry(site: Site) -> Findings:
    """Strides, padding, dilation, and the order of the axes, of the spatial axes that the layer has."""
    graph, node = site.graph, site.node
    if node.op not in _CONVOLUTIONS or site.place != 1:
        return {}
    channels_first = node.text("data_format").startswith("NC")
    strides = _spatial(node.integers("strides"), channels_first)
    if not strides:
        return {}
    value = node.inputs[2 if "Backprop" in node.op else 0]
    before = source(graph, value)
    # One spatial axis is computed as two, of which the first is 1.
    one = before is not None and before.op == "ExpandDims" and len(strides) == 2
    if one and before is not None:
        strides = strides[1:]
        before = source(graph, before.inputs[0])
    dilation = _spatial(node.integers("dilations"), channels_first)[-len(strides) :] or (1,) * len(strides)
    word = node.text("padding").lower()
    if before is not None and before.op in ("SpaceToBatchND", "SpaceToBatch"):
        dilation, word = _dilated(graph, before, len(strides))
        before = source(graph, before.inputs[0])
    kind: Optional[Padding] = Padding(word)
    if word == "explicit":
        pads = node.integers("explicit_paddings")
        kind = Padding("valid", _pairs(pads, channels_first)[-len(strides) :]) if pads else None
    elif before is not None and before.op in ("Pad", "PadV2"):
        kind = _padded(graph, before, len(strides), channels_first, word)
    findings: Findings = {"convolution": (_CONVOLUTIONS[node.op],), "strides": (strides,)}
    if dilation:
        findings["dilation_rate"] = (dilation,)
    if kind is not None and kind.kind in ("same", "valid"):
        findings["padding"] = (kind,)
    channels_first = channels_first or _is_turned(graph, before)
    findings["data_format"] = ("channels_first" if channels_first else "channels_last",)
    return findings


def _spatial(sizes: tuple[int, ...], channels_first: bool) -> tuple[int, ...]:
    return sizes[2:] if channels_first else sizes[1:-1]


def _dilated(graph: Graph, node: Node, rank: int) -> tuple[tuple[int, ...], str]:
    """Dilation and padding where TF 1 writes a dilated convolution as one of pixels that are rates apart."""
    block = integers(graph, node.inputs[1]) if len(node.inputs) > 1 else None
    pads = integers(graph, node.inputs[2]) if len(node.inputs) > 2 else None
    if not block or len(block) != rank:
        return (), ""
    if not pads or len(pads) != 2 * rank:
        return tuple(block), ""
    # What makes the size a multiple of the rate stands at the end; only padding stands in front.
    return tuple(block), "same" if any(pads[::2]) else "valid"


def _padded(graph: Graph, node: Node, rank: int, channels_first: bool, kind: str) -> Padding | None:
    pads = integers(graph, node.inputs[1]) if len(node.inputs) > 1 else None
    if pads is None or (len(node.inputs) > 2 and numbers(graph, node.inputs[2]) != {0.0}):
        return None
    pairs = _pairs(pads, channels_first)
    return Padding(kind, pairs) if len(pairs) == rank else None


def _pairs(pads: Sequence[int], channels_first: bool) -> Tuple[Tuple[int, int], ...]:
    """What is added before and after each spatial axis, of paddings of all axes."""
    pairs = tuple((pads[place], pads[place + 1]) for place in range(0, len(pads) - 1, 2))
    return pairs[2:] if channels_first else pairs[1:-1]


def _is_turned(graph: Graph, node: Node | None) -> bool:
    """Whether the channels were first, and are moved only because the processor has no convolution for that."""
    if node is None or node.op != "Transpose" or len(node.inputs) != 2:
        return False
    order = integers(graph, node.inputs[1])
    return order is not None and len(order) > 2 and order == [0, *range(2, len(order)), 1]


def pointwise(site: Site) -> Findings:
    """The second half of a separable convolution, behind which bias and activation are."""
    return _activation(site.graph, site.node) if site.node.op == "Conv2D" and site.place == 1 else {}


_FUSED = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def batch_normalization(site: Site) -> Findings:
    """Epsilon, axis and momentum, of the fused operation or of what is written out; and with whose statistics."""
    graph, node = site.graph, site.node
    if node.op in _FUSED and 1 <= site.place <= 4:
        epsilon = node.attribute("epsilon")
        training = node.attribute("is_training")
        channels_first = node.text("data_format").startswith("NC") or _is_turned(graph, source(graph, node.inputs[0]))
        found: Findings = {"axis": ((1,) if channels_first else (-1,),)}
        if isinstance(epsilon, float):
            found["epsilon"] = (epsilon,)
        found["statistics"] = ("moving" if training is False else "batch",)
        return found
    if node.op in ("Add", "AddV2"):
        return _epsilon(graph, node)
    if node.op == "Mul":
        return _scaled(graph, site)
    if node.op == "Sub" and site.place == 0:
        return _momentum(graph, node)
    return {}


def _epsilon(graph: Graph, node: Node) -> Findings:
    """Variance plus epsilon, of which a root is taken."""
    added = [numbers(graph, each) for each in node.inputs]
    roots = {use.node.op for use in graph.consumers(node.name) if not is_training(use.node)}
    for value in added:
        if len(value) == 1 and roots & {"Rsqrt", "Sqrt", "Pow"}:
            return {"epsilon": tuple(value)}
    return {}


def _scaled(graph: Graph, site: Site) -> Findings:
    """Gamma times what the variance and epsilon give, here or behind the fused operation that Keras computes with."""
    other = source(graph, site.node.inputs[1 - site.place])
    for _ in range(4):
        if other is None or not other.inputs:
            return {}
        if other.op == "Rsqrt":
            summed = source(graph, other.inputs[0])
            return _epsilon(graph, summed) if summed is not None and summed.op in ("Add", "AddV2") else {}
        if other.op in _FUSED:
            epsilon = other.attribute("epsilon")
            return {"epsilon": (epsilon,)} if isinstance(epsilon, float) else {}
        if other.op not in ("Reshape", "Mul"):
            return {}
        other = source(graph, other.inputs[0])
    return {}


def _momentum(graph: Graph, node: Node) -> Findings:
    """(moving - batch) * (1 - momentum), which is subtracted from the moving value."""
    for use in graph.consumers(node.name):
        if use.node.op == "Mul" and len(use.node.inputs) == 2:
            decays = numbers(graph, use.node.inputs[1 - use.place])
            kept = any(each.node.op.startswith("AssignSub") for each in graph.consumers(use.node.name))
            # Where nothing is trained, the moving values stay as they are.
            momenta = {round(1 - decay, 6) for decay in decays} - {1.0}
            if kept and len(momenta) == 1:
                return {"momentum": tuple(momenta)}
    return {}


def layer_normalization(site: Site) -> Findings:
    """Epsilon, and over how many axes: `axes` counts them."""
    graph, node = site.graph, site.node
    if node.op != "Mul":
        return {}
    found = _scaled(graph, site)
    root = source(graph, node.inputs[1 - site.place])
    if found and root is not None and root.op == "Rsqrt":
        summed = source(graph, root.inputs[0])
        for each in summed.inputs if summed is not None else ():
            variance = source(graph, each)
            if variance is not None and variance.op == "Mean" and len(variance.inputs) == 2:
                axes = integers(graph, variance.inputs[1])
                if axes:
                    found["axes"] = (len(axes),)
    return found


Recogniser = Callable[[Sequence[Site]], Findings]
"""What the uses of a variable say together."""


def each(recognise: Callable[[Site], Findings]) -> Recogniser:
    """A recogniser for what every use says by itself."""

    def together(found: Sequence[Site]) -> Findings:
        return merged(recognise(site) for site in found)

    return together


def merged(every: Iterable[Findings]) -> Findings:
    """All values for each argument, in the order in which they are met."""
    found: Dict[str, list[Any]] = {}
    for findings in every:
        for argument, values in findings.items():
            known = found.setdefault(argument, [])
            known += [value for value in values if value not in known]
    return {argument: tuple(values) for argument, values in found.items()}
