"""Which tensor of a TF 1 graph a layer's output is: the last of the scope in which the layer's variables are used.

An activation that the layer has and that stands behind the scope belongs to it.

Works on the operations that a graph hands out, and imports nothing. What does not lead to one tensor gives none.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

# Types of operations: what a scope ends with before its activation, and activations of one operation.
_NOT_YET = {"BiasAdd", "Add", "AddV2", "MatMul", "BatchMatMul", "BatchMatMulV2", "Squeeze", "Reshape", "Identity"}
_NOT_YET |= {"Conv2D", "Conv3D", "Conv2DBackpropInput", "Conv3DBackpropInputV2", "DepthwiseConv2dNative"}
_ACTIVATIONS = {"Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Sigmoid", "Tanh", "Softmax"}


def layer_tensors(
    graph: Any, inputs: Iterable[Any], outputs: Iterable[Any], layers: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The tensor of every layer that has one, by the layer's name.

    `layers` gives for each its "variables" (names in the graph), "shape" (None for unknown sizes) and "activation"
    (empty for none). Only what lies between `inputs` and `outputs` counts, so of a network that is built twice the
    right one is taken. A scope in which other layers' variables are used as well is no layer's own, and where several
    tensors are last, neither is taken.
    """
    before = reached([tensor.op for tensor in outputs], sources)
    flow = before & reached([tensor.op for tensor in inputs], consumers)
    scopes = {}
    for name, layer in layers.items():
        scope = _scope(graph, layer["variables"], flow, before)
        if scope:
            scopes[name] = scope
    found = {}
    for name, scope in scopes.items():
        if not any(other != name and _within(inner, scope) for other, inner in scopes.items()):
            tensor = _last(graph, flow, scope, layers[name]["shape"])
            if tensor is not None and layers[name]["activation"]:
                tensor = _activated(tensor, flow)
            if tensor is not None:
                found[name] = tensor
    return found


def sources(op: Any) -> list[Any]:
    """The operations that `op` depends on."""
    return [tensor.op for tensor in op.inputs] + list(op.control_inputs)


def consumers(op: Any) -> list[Any]:
    """The operations that take what `op` yields."""
    return [consumer for tensor in op.outputs for consumer in tensor.consumers()]


def reached(start: Iterable[Any], step: Any) -> set[Any]:
    """`start` and all that `step` leads to from there."""
    pending = list(start)
    seen = set(pending)
    while pending:
        for op in step(pending.pop()):
            if op not in seen:
                seen.add(op)
                pending.append(op)
    return seen


def _within(name: str, scope: str) -> bool:
    return (name + "/").startswith(scope + "/")


def _common(paths: Iterable[str]) -> str:
    """The components that all `paths` begin with."""
    common: list[str] = []
    for parts in zip(*(path.split("/") for path in paths)):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "/".join(common)


def _scope(graph: Any, variables: Sequence[str], flow: set[Any], before: set[Any]) -> str:
    """The scope of the operations that use `variables`; empty where there is none that tells the layer apart."""
    known = {op.name: op for op in before}
    users: list[str] = []
    for name in variables:
        op = known.get(name) or known.get(name + "/part_0")
        if op is not None:
            users += _users(op, flow, before)
    if not users:
        return ""
    scope = _common(user.rpartition("/")[0] for user in users).split("/")
    # tf.layers works in scopes of its own below the layer's (fc1/Tensordot); a network that is built again has another
    # scope above it (discriminator_1/fc1).
    own = _common(name.rpartition("/")[0] for name in variables).rpartition("/")[2]
    if own and own in scope:
        scope = scope[: len(scope) - scope[::-1].index(own)]
    return "/".join(scope)


def _users(variable: Any, flow: set[Any], before: set[Any]) -> list[str]:
    """The operations between inputs and outputs that `variable` enters, behind those that only read it."""

    def step(op: Any) -> list[Any]:
        return [] if op in flow else [consumer for consumer in consumers(op) if consumer in before]

    return [op.name for op in reached([variable], step) if op in flow]


def _last(graph: Any, flow: set[Any], scope: str, shape: Sequence[int | None]) -> Any:
    """The one tensor of that shape in `scope` that no other of them comes after; None if there is not just one."""
    ends = {
        op
        for op in flow
        if _within(op.name, scope)
        and op.outputs
        and op.inputs
        and op.outputs[0].dtype.is_floating
        and op.outputs[0].shape.is_compatible_with(list(shape))
        and graph.is_fetchable(op.outputs[0])
    }
    ends -= reached([source for op in ends for source in sources(op)], sources)
    return next(iter(ends)).outputs[0] if len(ends) == 1 else None


def _activated(tensor: Any, flow: set[Any]) -> Any:
    """`tensor`, or the activation behind it where it has none yet; None where that cannot be told."""
    if tensor.op.type not in _NOT_YET:
        return tensor
    behind = [op for op in consumers(tensor.op) if op in flow and op.type in _ACTIVATIONS]
    return behind[0].outputs[0] if len(behind) == 1 else None
