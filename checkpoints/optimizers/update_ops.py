"""What the graph beside a checkpoint says of its optimizers: which operation updates which variable, and with what.

An update has the variable, its slots, Adam's powers and the hyperparameters as inputs, in an order that its op fixes.
So the graph tells what names can only suggest: whose slot is whose, which of several powers counts an optimizer's
steps, and the betas and epsilon that no checkpoint holds. Source: `tensorflow/core/ops/training_ops.cc`,
`Optimizer.apply_gradients` and `AdamOptimizer._apply_sparse_shared` in TF 1.15.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Mapping, NamedTuple

from ..graphs.constants import VARIABLES, numbers, source
from ..graphs.graph import Graph, read_graph
from ..graphs.nodes import split_reference
from ..graphs.variables import graph_beside, nodes_of_tensors

if TYPE_CHECKING:
    from ..checkpoint import Checkpoint
    from ..graphs.nodes import Node

# Kind and inputs by op, but for `Resource` in front: `=` marks slots, `*` powers, `.` what is neither.
_INPUTS = {
    "ApplyAdam": ("adam", ". =m =v *1 *2 learning_rate beta_1 beta_2 epsilon"),
    "ApplyMomentum": ("momentum", ". =accumulator learning_rate . momentum"),
    "SparseApplyMomentum": ("momentum", ". =accumulator learning_rate . . momentum"),
    "ApplyRMSProp": ("rmsprop", ". =rms =momentum learning_rate rho momentum epsilon"),
    "ApplyCenteredRMSProp": ("rmsprop", ". =mg =rms =momentum learning_rate rho momentum epsilon"),
    "ApplyAdagrad": ("adagrad", ". =accumulator learning_rate"),
    "ApplyFtrl": ("ftrl", ". =accumulator =linear . learning_rate l1 l2 learning_rate_power"),
    "SparseApplyFtrl": ("ftrl", ". =accumulator =linear . . learning_rate l1 l2 learning_rate_power"),
    "ApplyGradientDescent": ("sgd", ". learning_rate"),
}
_INPUTS.update({"Sparse" + op: _INPUTS[op] for op in ("ApplyRMSProp", "ApplyCenteredRMSProp", "ApplyAdagrad")})
_NAMED = {"learning_rate": "learning_rate", "beta1": "beta_1", "beta2": "beta_2", "epsilon": "epsilon"}
_POWER = re.compile(r"(?:.*/)?beta([12])_power(?:_\d+)?")
_COUNTS = ("AssignAdd", "AssignAddVariableOp")
_ASSIGNS = ("Assign", "AssignVariableOp")
_MOST_BEHIND_RATE = 500


class Update(NamedTuple):
    """How one optimizer updates one variable: both, its slots, powers and counters by their names in the file.

    `optimizer` is the scope that its operations are in, such as `train/Adam`. A slot is several tensors where the
    variable is partitioned. `settings` are the hyperparameters that are constants. `counters` are incremented after the
    update, and each of them by whatever it names as well: scopes of other optimizers, or operations. `follows` are
    those that the learning rate depends on. `sparse` says that only the rows that a batch looks up have a gradient.
    """

    kind: str
    optimizer: str
    variable: str
    slots: Mapping[str, tuple[str, ...]]
    powers: Mapping[int, str]
    settings: Mapping[str, float]
    counters: Mapping[str, tuple[str, ...]]
    follows: tuple[str, ...]
    sparse: bool = False


def updates_of(checkpoint: Checkpoint) -> list[Update]:
    """Every update in the graph beside the checkpoint, of the optimizers of TF 1 whose state is carried.

    Empty where no graph is beside it, or none that names what is in the file. Raises CheckpointError for one that
    cannot be read.
    """
    path = graph_beside(checkpoint)
    if not path or checkpoint.format == "graph constants":
        return []
    return _Reader(read_graph(path), checkpoint).updates()


class _Reader:
    def __init__(self, graph: Graph, checkpoint: Checkpoint) -> None:
        self._graph = graph
        nodes = nodes_of_tensors(graph, {name: name for name in checkpoint.tensors})
        self._keys = {node: key for key, names in nodes.items() for node in names}
        # By the scope of an update, `train/Adam/update_fc/kernel`, what is in it.
        self._scopes: dict[str, list[Node]] = {}
        for node in graph.nodes.values():
            start = node.name.find("/update_")
            while start >= 0:
                start = node.name.find("/", start + 1)
                if start >= 0:
                    self._scopes.setdefault(node.name[:start], []).append(node)

    def updates(self) -> list[Update]:
        """All of them, those of the parts of a variable as one."""
        found: dict[tuple[str, str], Update] = {}
        for node in self._graph.nodes.values():
            update = self._dense(node) or self._sparse_adam(node)
            if update is None:
                continue
            before = found.get((update.optimizer, update.variable))
            if before is not None:
                slots = {slot: before.slots.get(slot, ()) + names for slot, names in update.slots.items()}
                update = update._replace(slots={slot: tuple(dict.fromkeys(names)) for slot, names in slots.items()})
            found[update.optimizer, update.variable] = update
        counters = self._counters({optimizer for optimizer, _ in found})
        return [update._replace(counters=counters.get(update.optimizer, {})) for update in found.values()]

    def _dense(self, node: Node) -> Update | None:
        op = node.op[len("Resource") :] if node.op.startswith("Resource") else node.op
        kind, order = _INPUTS.get(op, ("", ""))
        variable = self._key(node.inputs[0]) if kind and node.inputs else ""
        if not variable:
            return None
        slots: dict[str, tuple[str, ...]] = {}
        powers: dict[int, str] = {}
        settings: dict[str, float] = {}
        follows: tuple[str, ...] = ()
        for name, reference in zip(order.split(), node.inputs):
            if name[0] in "=*":
                key = self._key(reference)
                if key and name[0] == "=":
                    slots[name[1:]] = (key,)
                elif key:
                    powers[int(name[1:])] = key
            elif name != ".":
                values = numbers(self._graph, reference)
                if len(values) == 1:
                    (settings[name],) = values
                elif name == "learning_rate":
                    follows = self._behind(reference)
        if kind == "momentum":
            settings["nesterov"] = float(node.attribute("use_nesterov") is True)
        if kind == "rmsprop":
            settings["centered"] = float("mg" in slots)
        sparse = op.startswith("Sparse")
        return Update(kind, _scope(node.name), variable, slots, powers, settings, {}, follows, sparse)

    def _sparse_adam(self, node: Node) -> Update | None:
        """Adam's update of looked-up rows is no operation of its own: it assigns m, then v, then the variable."""
        if node.op not in ("AssignSub", "AssignSubVariableOp") or "/update_" not in node.name:
            return None
        inside = self._scopes.get(node.name.rpartition("/")[0], [])
        assigned = [self._key(each.inputs[0]) for each in inside if each.op in _ASSIGNS and each.inputs]
        powers = {}
        for each in inside:
            for reference in each.inputs:
                key = self._key(reference)
                power = _POWER.fullmatch(key)
                if power is not None:
                    powers[int(power.group(1))] = key
        variable = self._key(node.inputs[0])
        if not variable or len(powers) != 2 or len(assigned) != 2 or not all(assigned):
            return None
        scope = _scope(node.name)
        settings: dict[str, float] = {}
        for name, setting in _NAMED.items():
            values = numbers(self._graph, f"{scope}/{name}")
            if len(values) == 1:
                (settings[setting],) = values
        follows = () if "learning_rate" in settings else self._behind(f"{scope}/learning_rate")
        slots = {"m": (assigned[0],), "v": (assigned[1],)}
        return Update("adam", scope, variable, slots, powers, settings, {}, follows, sparse=True)

    def _counters(self, optimizers: set[str]) -> dict[str, dict[str, tuple[str, ...]]]:
        """By optimizer, the counters that are incremented once its updates are done, and by what else they are."""
        increments: dict[str, list[tuple[str, set[str]]]] = {}
        for node in self._graph.nodes.values():
            key = self._key(node.inputs[0]) if node.op in _COUNTS and node.inputs else ""
            if key:
                increments.setdefault(key, []).append((node.name, self._awaited(node, optimizers)))
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for key, each in increments.items():
            for name, awaited in each:
                others = [label for other, waits in each if other != name for label in sorted(waits) or [other]]
                for optimizer in awaited:
                    found.setdefault(optimizer, {})[key] = tuple(others)
        return found

    def _awaited(self, node: Node, optimizers: set[str]) -> set[str]:
        """The optimizers whose updates an operation waits for, through the groups that they are in."""
        found = {node.name} & optimizers
        # The operation itself waits, or the constant that it adds.
        added = self._graph.producer(node.inputs[-1])
        pending = [*node.controls, *(added.controls if added is not None else ())]
        seen: set[str] = set()
        while pending:
            name = pending.pop()
            scopes = [scope for scope in _enclosing(name) if scope in optimizers]
            found.update(scopes[:1])
            group = self._graph.nodes.get(name)
            if not scopes and group is not None and name not in seen and group.op in ("NoOp", "Identity"):
                seen.add(name)
                pending += [*group.controls, *(split_reference(each).node for each in group.inputs)]
        return found

    def _key(self, reference: str) -> str:
        """The name in the file of the variable that a reference leads to; empty if it leads to none of them."""
        node = source(self._graph, reference)
        return self._keys.get(node.name, "") if node is not None and node.op in VARIABLES else ""

    def _behind(self, reference: str) -> tuple[str, ...]:
        """The variables of the file that a tensor is computed from."""
        pending, found = [split_reference(reference).node], set()
        seen: set[str] = set()
        while pending and len(seen) < _MOST_BEHIND_RATE:
            name = pending.pop()
            node = self._graph.nodes.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            if name in self._keys:
                found.add(self._keys[name])
            pending += [split_reference(each).node for each in node.inputs]
        return tuple(sorted(found))


def _enclosing(name: str) -> list[str]:
    """The name itself and the scopes that it is in, the innermost first."""
    parts = name.split("/")
    return ["/".join(parts[:size]) for size in range(len(parts), 0, -1)]


def _scope(name: str) -> str:
    """The scope of the optimizer whose update the operation `name` is in or is."""
    before, update, _ = name.partition("/update")
    return before if update else name.rpartition("/")[0]
