"""What a graph says of a recurrent cell: activations, the constant added to the forget gate, the order of the gates.

Cells are recognised by their arithmetic, whether they stand in a `while` loop, unrolled, or in Keras's spelling. Of an
LSTM, new state = state * sigmoid(f) + sigmoid(i) * tanh(j): the two gates that are multiplied with each other are i and
j; of a GRU, the gate that 1 minus is taken of is u.

Source: `BasicLSTMCell.call`, `LSTMCell.call`, `GRUCell.call` in TF 1's `rnn_cell_impl.py`; `LSTMCell.call` in Keras.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

from .activations import LINEAR, activations_of
from .constants import numbers, source
from .graph import Graph, Use
from .layers import Findings, merged
from .nodes import Node, split_reference
from .walk import Site, is_training

_LSTM_OPS = ("LSTMBlockCell", "BlockLSTM", "BlockLSTMV2")
_GRU_OP = "GRUBlockCell"
_SPLITS = ("Split", "SplitV")
# How many operations an activation is made of, where it is not one.
_LENGTHS = {"hard_sigmoid": 4, "hard_sigmoid(x/6)": 3, "silu": 2, "gelu": 4, "gelu(tanh)": 8}


class _Gate(NamedTuple):
    """A gate: its place in the last axis, what is added before its activation, what the activation yields."""

    part: int
    offset: float
    activation: str
    graph: Graph
    end: str


def lstm(found: Sequence[Site]) -> Findings:
    """`activation`, `recurrent_activation`, `forget_bias`, `cell_clip`, and the `order` of the gates, ijfo or ifjo."""
    blocks = merged(_block(site.node) for site in found if site.node.op in _LSTM_OPS)
    if blocks:
        return blocks
    gates = _gates(found, 4)
    parts = sorted(gates)
    candidate = _partner(gates, parts)
    if candidate not in (1, 2):
        return {}
    said: Findings = {"order": ("ijfo" if candidate == 1 else "ifjo",)}
    alike = [_together(gates[part]) for part in parts]
    activations = [each[0] for each in alike]
    state = {_state(gate) for gate in gates[parts[3]]}
    if activations[candidate] and {each[0] for each in state} <= {"", activations[candidate]}:
        said["activation"] = (activations[candidate],)
    clips = {each[1] for each in state}
    if clips != {0.0}:
        said["cell_clip"] = tuple(sorted(clips))
    others = {activations[number] for number in (0, 3 - candidate, 3)}
    if len(others) == 1 and "" not in others:
        said["recurrent_activation"] = tuple(others)
    if not any(alike[number][1] for number in (0, candidate, 3)):
        said["forget_bias"] = (alike[3 - candidate][1],)
    return said


def _block(node: Node) -> Findings:
    # The second version has no such attribute, as it adds nothing.
    bias, clip = node.attribute("forget_bias") or 0.0, node.attribute("cell_clip")
    said: Findings = {"activation": ("tanh",), "recurrent_activation": ("sigmoid",), "order": ("ijfo",)}
    said["forget_bias"] = (bias,)
    if isinstance(clip, float) and clip > 0:
        said["cell_clip"] = (clip,)
    return said


def _gates(found: Sequence[Site], count: int) -> dict[int, list[_Gate]]:
    """Every gate of every step, by part; nothing unless there are `count` parts and all of them are understood."""
    gates: dict[int, list[_Gate]] = {}
    for site in found:
        start = _summed(site.graph, site.node).name
        pieces = []
        if site.part is not None:
            # Keras splits the kernel rather than the product.
            pieces.append((site.part, start, 0))
        else:
            for use in site.graph.consumers(start):
                if use.node.op in _SPLITS and use.node.attribute("num_split") == count:
                    pieces += [(number, use.node.name, number) for number in range(count)]
        for part, name, output in pieces:
            gate = _gate(site.graph, part, name, output)
            if gate is None:
                return {}
            gates.setdefault(part, []).append(gate)
    return gates if len(gates) == count else {}


def _together(gates: Sequence[_Gate]) -> tuple[str, float]:
    """Activation and offset of one gate in all steps; an empty activation where they are not the same."""
    kinds = {(gate.activation, gate.offset) for gate in gates}
    return kinds.pop() if len(kinds) == 1 else ("", float("nan"))


def _summed(graph: Graph, node: Node) -> Node:
    """The last of the sums behind a product: its bias, and the product with the state."""
    for _ in range(8):
        behind = [
            use
            for use in graph.consumers(node.name)
            if not is_training(use.node)
            and use.output == 0
            and (use.node.op in ("BiasAdd", "Identity", "Reshape") or _is_sum(graph, use))
        ]
        if len(behind) != 1:
            break
        node = behind[0].node
    return node


def _is_sum(graph: Graph, use: Use) -> bool:
    """Whether the use adds the tensor to another one, rather than to a constant."""
    if use.node.op not in ("Add", "AddV2", "BiasAddV1") or len(use.node.inputs) != 2:
        return False
    return not numbers(graph, use.node.inputs[1 - use.place])


def _gate(graph: Graph, part: int, name: str, output: int) -> _Gate | None:
    """The gate whose tensor is the output of the node `name`; None where what is done to it is not known."""
    offset = 0.0
    users = _users(graph, name, output)
    if len(users) == 1 and _is_sum(graph, users[0]):
        # A GRU of Keras adds the product with the state to each gate, rather than to all of them at once.
        name, output = users[0].node.name, 0
        users = _users(graph, name, output)
    found = activations_of(graph, name, output)
    if found is None and len(users) == 1 and users[0].node.op in ("Add", "AddV2"):
        (use,) = users
        added = numbers(graph, use.node.inputs[1 - use.place])
        if len(added) == 1:
            (offset,) = added
            name, output = use.node.name, 0
            found = activations_of(graph, name, output)
    if found is None or len(found) != 1:
        return None
    (activation,) = found
    if activation == LINEAR:
        # A gate that is not squashed is rather one whose activation is of a spelling that is not known.
        return None
    return _Gate(part, offset, activation, graph, _end(graph, name, output, activation))


def _users(graph: Graph, name: str, output: int) -> list[Use]:
    """What computes with the output of the node `name`."""
    return [use for use in graph.consumers(name) if use.output == output and not is_training(use.node)]


def _end(graph: Graph, name: str, output: int, activation: str) -> str:
    """The node that yields the activated tensor: the activation itself, or the last of the operations that make it."""
    length = 2 if activation.startswith("leaky_relu") else _LENGTHS.get(activation, 1)
    for _ in range(length):
        users = _users(graph, name, output)
        if not users:
            break
        name, output = users[-1].node.name, 0
        if users[-1].node.op == "LeakyRelu":
            break
    return name


def _partner(gates: dict[int, list[_Gate]], parts: Sequence[int]) -> int:
    """The place of the gate that the first is multiplied with; -1 if there is none, or not just one."""
    if len(parts) != 4:
        return -1
    ends = {(id(gate.graph), gate.end): parts.index(part) for part in parts for gate in gates[part]}
    found = set()
    for gate in gates[parts[0]]:
        for use in gate.graph.consumers(gate.end):
            if use.node.op == "Mul" and len(use.node.inputs) == 2:
                other = split_reference(use.node.inputs[1 - use.place]).node
                found.add(ends.get((id(gate.graph), other), 0))
    found.discard(0)
    return found.pop() if len(found) == 1 else -1


def _state(gate: _Gate) -> tuple[str, float]:
    """The activation of the new state, which the output gate is multiplied with, and the value at which it is cut off.

    The activation is empty where it is not known, the value 0 where the state is not cut off.
    """
    graph = gate.graph
    for use in graph.consumers(gate.end):
        if use.node.op == "Mul" and len(use.node.inputs) == 2 and not is_training(use.node):
            other = source(graph, use.node.inputs[1 - use.place])
            if other is not None and other.inputs:
                before = split_reference(other.inputs[0])
                found = sorted(set(activations_of(graph, before.node, before.output) or ()) - {"linear"})
                return found[0] if len(found) == 1 else "", _clip(graph, before.node)
    return "", 0.0


def _clip(graph: Graph, name: str) -> float:
    node = graph.nodes.get(name)
    if node is None or node.op not in ("Maximum", "ClipByValue") or len(node.inputs) < 2:
        return 0.0
    limit = numbers(graph, node.inputs[1])
    return abs(next(iter(limit))) if len(limit) == 1 else 0.0


def gru(found: Sequence[Site]) -> Findings:
    """`recurrent_activation` and `activation`, and the `order` of the two gates, ru or ur, by any kernel or bias."""
    if any(site.node.op == _GRU_OP for site in found):
        return {"activation": ("tanh",), "recurrent_activation": ("sigmoid",), "order": ("ru",)}
    gates = _gates(found, 3)
    if gates:
        activations = [_together(gates[part])[0] for part in sorted(gates)]
        said: Findings = {"activation": (activations[2],)} if activations[2] else {}
        if activations[0] and activations[0] == activations[1]:
            said["recurrent_activation"] = (activations[0],)
        return said
    return merged(_half(site) for site in found)


def _half(site: Site) -> Findings:
    """What the kernel of both gates says, or that of the candidate, which TF 1's cells have apart."""
    graph, node = site.graph, _summed(site.graph, site.node)
    activation = activations_of(graph, node.name)
    if not activation or len(activation) != 1 or site.part is not None:
        return {}
    order = _order(graph, node)
    if order:
        return {"recurrent_activation": tuple(activation), "order": (order,)}
    return {"activation": tuple(activation)}


def _order(graph: Graph, node: Node) -> str:
    """Which of the two gates comes first: 1 minus u is taken. Empty if the node does not yield two gates."""
    for use in graph.consumers(node.name):
        for split in graph.consumers(use.node.name) if not is_training(use.node) else ():
            if split.node.op in _SPLITS and split.node.attribute("num_split") == 2:
                for gate in graph.consumers(split.node.name):
                    if gate.node.op == "Sub" and gate.place == 1 and not is_training(gate.node):
                        return "ru" if gate.output == 1 else "ur"
    return ""


def plain(found: Sequence[Site]) -> Findings:
    """`activation` of a cell without gates."""
    activations = (activations_of(site.graph, _summed(site.graph, site.node).name) for site in found)
    return merged({"activation": tuple(each)} if each and len(each) == 1 else {} for each in activations)
