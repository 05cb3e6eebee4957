"""Which tensors of a file are an optimizer's slots: by the graph beside it, else by their names, or by their order."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from .. import dtypes
from ..checkpoint import Checkpoint, Piece, allocate
from ..errors import CheckpointError
from ..object_slots import IN_ARCHIVE, IN_HDF5, optimizer_of
from ..objects import VALUE
from ..optimizer_kinds import count_slots, fits, is_index, kind_of_name, numbered_slot
from ..plan import Row
from ..roles import Role
from ..slices import check_tiling, index_of
from ..transforms import pieces_of
from ..wire import WireError
from .archived_slots import listed_slots, numbered_slots, of_another_kind
from .keras_slots import Held, Slot
from .update_ops import Update, updates_of

_KERAS_NAMES = {
    "adam": {"momentum": "m", "velocity": "v"},
    "momentum": {"momentum": "accumulator", "velocity": "accumulator"},
    "ftrl": {"accum": "accumulator"},
}

Sources = Mapping[str, Mapping[str, "tuple[str, ...]"]]
"""By variable of the file and by slot, the tensors that hold it: several for the parts of a partitioned variable."""


class FileSlots:
    """What a file holds for optimizers of the kind of `held`, called `name` where that is given."""

    def __init__(self, checkpoint: Checkpoint, held: Held, rows: Mapping[str, list[Row]], name: str | None) -> None:
        self.checkpoint = checkpoint
        self.roles = checkpoint.roles()
        self.name = name
        self.notes: list[str] = []
        self._held = held
        self._rows = rows
        self.by_keras = self._is_by_keras()
        self.updates = [] if self.by_keras else self._graph_updates()
        self._by_variable: dict[str, list[Update]] = {}
        for update in self.updates:
            self._by_variable.setdefault(update.variable, []).append(update)
        self._by_owner: dict[str, list[tuple[str, Role]]] = {}
        for tensor, role in self.roles.items():
            if role.kind == "slot":
                self._by_owner.setdefault(role.of, []).append((tensor, role))

    def _is_by_keras(self) -> bool:
        """Whether Keras's optimizers wrote the slots, whose momentum has the learning rate in it."""
        if any(tensor.startswith((IN_HDF5, IN_ARCHIVE)) for tensor in self.checkpoint.tensors):
            return True
        velocity = (role.slot == "velocity" and kind_of_name(role.optimizer) == "sgd" for role in self.roles.values())
        return any(velocity) or any(self._is_kerass_momentum(tensor, role) for tensor, role in self.roles.items())

    def _is_kerass_momentum(self, tensor: str, role: Role) -> bool:
        """Whether a slot is Keras's momentum under a name of its own; TF 1's optimizers keep no count beside it."""
        if role.kind != "slot" or not self.is_ours(role):
            return False
        if self._held.kind != "momentum" or role.slot not in ("momentum", "velocity"):
            return False
        return "/.OPTIMIZER_SLOT/" not in tensor or f"{optimizer_of(tensor)}/iter{VALUE}" in self.checkpoint.tensors

    def _graph_updates(self) -> list[Update]:
        try:
            every = updates_of(self.checkpoint)
        except CheckpointError as error:
            self.notes.append(f"the graph beside the file is not used: {error}")
            return []
        ours = [update for update in every if update.kind == self._held.kind]
        if self.name is None:
            return ours
        return [update for update in ours if self.name in self._names_of(update)]

    def _names_of(self, update: Update) -> set[str]:
        """All that the optimizer of an update may be called: its scope, the end of that, the name in its slots."""
        slots = {self.roles[tensor].optimizer for tensors in update.slots.values() for tensor in tensors}
        return {update.optimizer, update.optimizer.rpartition("/")[2]} | slots

    def is_ours(self, role: Role) -> bool:
        """Whether a slot is of the optimizer that was named, or of one of this kind."""
        if self.name is None:
            return fits(role.optimizer, self._held.kind)
        plain, _, number = self.name.rpartition("_")
        return role.optimizer == self.name or (is_index(role.slot) and is_index(number) and role.optimizer == plain)

    def find(self, wanted: Sequence[Slot]) -> tuple[dict[str, dict[str, tuple[str, ...]]], list[str]]:
        """The tensors of all `wanted` slots, and what is wrong with them."""
        pairs = [(each.name, each.slot) for each in wanted]
        problems = self._of_sums(pairs)
        if problems:
            return {}, problems
        listed, problems = numbered_slots(self.checkpoint.tensors, pairs, self._rows)
        problems += of_another_kind(self.checkpoint, self._held, self.name)
        if not listed and pairs and not problems:
            listed, problems = listed_slots(self.checkpoint, pairs, self._rows)
        sources: dict[str, dict[str, tuple[str, ...]]] = {}
        for (variable, slot), tensor in listed.items():
            sources.setdefault(self._rows[variable][0].source, {})[slot] = (tensor,)
        for variable, slot in pairs if not problems else ():
            for row in self._rows.get(variable, []):
                if row.action == "load" and row.source not in sources:
                    sources[row.source] = self._slots_of(row.source, problems)
                if row.action == "load" and slot not in sources[row.source]:
                    told = f"{variable}: the file has no slot {slot} ({self._held.kind}) of {row.source}"
                    problems.append(told + self._others(row.source))
        return sources, problems

    def unused_momentum(self, sources: Sources) -> bool:
        """Whether the graph says that RMSProp's momentum is 0: TF 1 fills its slot all the same, and never reads it."""
        updates = self.updates_for(sources)
        return bool(updates) and all(update.settings.get("momentum") == 0 for update in updates)

    def is_embedding(self, source: str) -> bool:
        """Whether a variable of the file becomes the table of a Keras Embedding."""
        rows = [row for each in self._rows.values() for row in each if row.source == source]
        return any((row.target or "").rpartition("/")[2] == "embeddings" for row in rows)

    def _of_sums(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Variables that are the sum of two in the file, each of which was trained with state of its own."""
        names = dict.fromkeys(name for name, _ in pairs)
        rows = [row for name in names for row in self._rows.get(name, ()) if row.action == "load"]
        return [
            f"{row.target}: is the sum of the two biases in {row.source} (CuDNNLSTM), both of which were trained: they "
            "move twice as far together in a step, so no state of one bias goes on as theirs; train on without it"
            for row in rows
            if any(piece.plus for piece in pieces_of(row.transform, row.source_shape, row.target_shape))
        ]

    def updates_for(self, sources: Sources) -> list[Update]:
        """What the graph says of the updates of these variables by an optimizer of this kind."""
        return [update for update in self.updates if update.variable in sources]

    def _slots_of(self, source: str, problems: list[str]) -> dict[str, tuple[str, ...]]:
        """The slots of one variable of the file that fit this optimizer."""
        updates = self._by_variable.get(source, [])
        if len(updates) > 1:
            named = ", ".join(update.optimizer for update in updates)
            problems.append(f"{source}: several optimizers of this kind update it; say which with name=...: {named}")
            return {slot: () for update in updates for slot in update.slots}
        if updates:
            return dict(updates[0].slots)
        found: dict[str, list[str]] = {}
        owners: dict[str, set[str]] = {}
        for tensor, role in self._by_owner.get(source, ()):
            if self.is_ours(role):
                optimizer, slot = self._slot_of(tensor, role)
                if self.name is None or optimizer == self.name or not is_index(role.slot):
                    found.setdefault(slot, []).append(tensor)
                    owners.setdefault(slot, set()).add(optimizer)
        for slot, tensors in found.items():
            partial = all(self.checkpoint.tensors[tensor].missing for tensor in tensors)
            if len(owners[slot]) > 1 or (len(tensors) > 1 and not partial):
                told = f"{source}: several slots {slot}: {', '.join(tensors)}"
                problems.append(told + f"; say which with name=...: {', '.join(sorted(owners[slot]))}")
        return {slot: tuple(tensors) for slot, tensors in found.items()}

    def _slot_of(self, tensor: str, role: Role) -> tuple[str, str]:
        """The optimizer's name and the slot as this kind of optimizer calls it; a numbered one goes by TF 1's order."""
        if not is_index(role.slot):
            return role.optimizer, _KERAS_NAMES.get(self._held.kind, {}).get(role.slot, role.slot)
        scope, _, _ = tensor.rpartition("/")
        count = count_slots(f"{scope}/{role.optimizer}", self.checkpoint.tensors)
        return numbered_slot(self._held.kind, role.optimizer, int(role.slot), count)

    def _others(self, source: str) -> str:
        """The optimizers that the file has slots of, for a variable that lacks those that were looked for."""
        there = {role.optimizer: tensor for tensor, role in self._by_owner.get(source, ())}
        if not there:
            return ""
        listed = ", ".join(f"{tensor} ({optimizer})" for optimizer, tensor in sorted(there.items()))
        unknown = [optimizer for optimizer in sorted(there) if not kind_of_name(optimizer)]
        settle = f'; if that was of this kind, give name="{unknown[0]}"' if unknown and self.name is None else ""
        return f"; it has {listed}{settle}"

    def left_behind(self, loaded: set[str], taken: set[str]) -> dict[tuple[str, str], list[str]]:
        """By slot and optimizer, those of the variables `loaded` that are not `taken` and hold anything but zeros."""
        left: dict[tuple[str, str], list[str]] = {}
        for owner in sorted(loaded):
            for tensor, role in self._by_owner.get(owner, ()):
                if tensor not in taken and holds_something(self.checkpoint.pieces(tensor)):
                    left.setdefault((role.slot, role.optimizer), []).append(tensor)
        return left

    def read(self, tensors: Sequence[str]) -> np.ndarray[Any, Any]:
        """One slot, put together where it is in several tensors or pieces; CheckpointError where a part is missing."""
        if len(tensors) == 1 and not self.checkpoint.tensors[tensors[0]].missing:
            return self.checkpoint.read(tensors[0])
        info = self.checkpoint.tensors[tensors[0]]
        pieces = [piece for tensor in tensors for piece in self.checkpoint.pieces(tensor)]
        place = f"{self.checkpoint.path}: {', '.join(tensors)}"
        try:
            check_tiling([piece.box for piece in pieces], info.shape)
        except WireError as error:
            raise CheckpointError(f"{place}: {error}") from None
        whole = allocate(info.shape, dtypes.numpy_dtype(info.dtype), place)
        for piece in pieces:
            whole[index_of(piece.box)] = piece.value
        return whole


def holds_something(pieces: Sequence[Piece]) -> bool:
    """Whether any element is not zero."""
    values = [piece.value for piece in pieces]
    return any(bool(np.any(value if value.dtype.names is None else value[value.dtype.names[0]])) for value in values)
