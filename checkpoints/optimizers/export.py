"""The way back of an optimizer's state: slots, powers and counters under the names of the checkpoint they came from."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

import numpy as np

from .. import dtypes
from ..checkpoint import Checkpoint
from ..errors import CheckpointError, MappingError
from ..keras_models import value_of
from ..plan import Plan, Row, group_by_target
from ..transforms import apply_inverse, pieces_of
from .adam_steps import power_after
from .file_slots import FileSlots
from .keras_slots import Held, Slot
from .settings import compare_settings
from .step_counts import Count, count_steps, named_counter


class Exported(NamedTuple):
    """What `export_optimizer` gives: tensors by their names in the checkpoint, and what is not certain."""

    tensors: dict[str, np.ndarray[Any, Any]]
    notes: tuple[str, ...]


class _Stepped(NamedTuple):
    """An optimizer's steps beyond those in the checkpoint, None if not known, and the counters that they belong to.

    `scopes` is what the graph calls the optimizer; empty where there is none, or none that tells.
    """

    further: int | None
    counters: Mapping[str, tuple[str, ...]] = {}
    scopes: tuple[str, ...] = ()


def export_optimizer(
    plan: Plan, checkpoint: Checkpoint, optimizer: Any, variables: Mapping[str, Any], name: str | None = None
) -> Exported:
    """The state of `optimizer` as `checkpoint` would hold it, from which `plan` loaded `variables`.

    `optimizer` is one as `load_optimizer` takes it, a list of them, or a dictionary whose keys are what they are called
    in the file (`name` for one alone); several are given together, as they may share a counter. Each is that which
    trained some of `variables`. The slots get the transforms of their variables undone, Keras's velocity becomes
    Momentum's accumulator, Adam's powers are those after its number of steps, and `global_step` goes on by as many
    steps as were made since the checkpoint.

    Write all of it where `checkpoint` is the base, and TF 1 trains on from its own graph:

        state = export_optimizer(plan, base, optimizer, variables)
        write_saver("back.ckpt", {**export(plan, variables), **state.tensors}, base=base)

    Raises MappingError for slots that the checkpoint lacks, or where nothing tells whose its powers are, and
    CheckpointError for an optimizer that holds no state yet.
    """
    named = _by_name(optimizer, name)
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    notes: list[str] = []
    stepped = []
    for key, each in named:
        one = _Export(plan, checkpoint, each, variables, key)
        stepped.append(one.run())
        twice = sorted(set(tensors) & set(one.tensors))
        if twice:
            raise CheckpointError(f"{twice[0]}: two of the optimizers hold it; give each the variables that it trains")
        tensors.update(one.tensors)
        notes += one.notes
    for counter, value, note in _counters(checkpoint, stepped):
        tensors[counter] = value
        notes += [note] if note else []
    return Exported(tensors, tuple(dict.fromkeys(notes)))


def _by_name(optimizer: Any, name: str | None) -> list[tuple[str | None, Any]]:
    if isinstance(optimizer, Mapping):
        return list(optimizer.items())
    if isinstance(optimizer, (list, tuple)):
        return [(None, each) for each in optimizer]
    return [(name, optimizer)]


class _Export:
    def __init__(
        self, plan: Plan, checkpoint: Checkpoint, optimizer: Any, variables: Mapping[str, Any], name: str | None
    ) -> None:
        self.tensors: dict[str, np.ndarray[Any, Any]] = {}
        self._held = Held(optimizer)
        self._rows = group_by_target(plan.rows)
        self._checkpoint = checkpoint
        trained = {name: v for name, v in variables.items() if getattr(v, "trainable", True) and name in self._rows}
        self._variables = self._held.trained(trained)
        self._file = FileSlots(checkpoint, self._held, self._rows, name)
        self.notes = self._file.notes

    def run(self) -> _Stepped:
        """Fills `tensors` with slots and powers; how many steps were made."""
        held, file = self._held, self._file
        slots = held.slots(self._variables)
        sources, problems = file.find(slots)
        loaded = {row.source for name in self._variables for row in self._rows[name] if row.action == "load"}
        counted = sources or {source: {} for source in loaded}
        count = Count(None) if problems else count_steps(file, held, counted)
        problems += count.problems if held.kind == "adam" else ()
        if problems:
            raise MappingError(problems, f"{self._checkpoint.path}: the optimizer's state does not go back")
        for (source, slot), each in self._by_source(slots).items():
            value = self._value(source, file.read(sources[source][slot]), each)
            self.tensors.update((tensor, value) for tensor in sources[source][slot])
        self.notes += compare_settings(file, held, counted, count.steps)
        updates = file.updates_for(counted)
        steps = self._steps()
        if steps is None:
            self._copy_powers(count)
            return _Stepped(None)
        self._set_powers(count, steps, updates[0].settings if updates else {})
        counters = {name: others for update in updates for name, others in update.counters.items()}
        if count.counter:
            # Keras's own, which stands beside its slots.
            counters = {count.counter: ()}
        further = None if count.steps is None else steps - count.steps
        return _Stepped(further, counters, tuple(sorted({update.optimizer for update in updates})))

    def _by_source(self, slots: Sequence[Slot]) -> dict[tuple[str, str], list[tuple[Slot, Row]]]:
        """The optimizer's slots by those of the file that they are parts of."""
        found: dict[tuple[str, str], list[tuple[Slot, Row]]] = {}
        for slot in slots:
            for row in self._rows[slot.name]:
                if row.action == "load":
                    found.setdefault((row.source, slot.slot), []).append((slot, row))
        return found

    def _value(
        self, source: str, before: np.ndarray[Any, Any], parts: Sequence[tuple[Slot, Row]]
    ) -> np.ndarray[Any, Any]:
        """One slot of the file; what the optimizer holds no part of stays as it is there."""
        whole = before.copy()
        for slot, row in parts:
            value = value_of(slot.variable)
            if self._held.kind == "momentum" and not self._held.v1 and not self._file.by_keras:
                value = np.asarray(value / -np.float32(self._rate()), value.dtype)
            if value.dtype != whole.dtype:
                value = dtypes.cast(value, dtypes.name_of(whole.dtype) or "")
            for piece in pieces_of(row.transform, row.source_shape, row.target_shape):
                apply_inverse(piece._replace(add=0.0), value, whole)
        return whole

    def _rate(self) -> float:
        rate, changes = self._held.rate()
        if not rate:
            raise CheckpointError("the learning rate is 0 here: it cannot be taken out of Keras's velocity")
        if changes:
            self.notes.append(
                f"Keras keeps the learning rate in the velocity: {rate:g} was taken out, that of the next step"
            )
        return rate

    def _steps(self) -> int | None:
        """The optimizer's own count; None for TF 1's, which has none."""
        return None if self._held.v1 else int(np.asarray(value_of(self._held.optimizer.iterations)))

    def _set_powers(self, count: Count, steps: int, settings: Mapping[str, float]) -> None:
        betas = self._held.betas()
        for number, tensor in count.powers.items():
            power = power_after(steps, settings.get(f"beta_{number}", betas[number]))
            self.tensors[tensor] = np.asarray(power, dtypes.numpy_dtype(self._checkpoint.tensors[tensor].dtype))

    def _copy_powers(self, count: Count) -> None:
        if hasattr(self._held.optimizer, "_get_beta_accumulators"):
            held = self._held.optimizer._get_beta_accumulators()
            self.tensors.update((count.powers[n], value_of(held[n - 1])) for n in count.powers)
        self.notes.append("TF 1's own optimizer counts no steps: counters stay as they are")


def _counters(checkpoint: Checkpoint, stepped: Sequence[_Stepped]) -> list[tuple[str, np.ndarray[Any, Any], str]]:
    """The counters that go on, with their values and what is not certain about them."""
    known = [each for each in stepped if each.further is not None]
    if not known or len(known) < len(stepped):
        return []
    if not any(each.scopes or each.counters for each in known):
        return _without_graph(checkpoint, known)
    found = []
    for name in sorted({name for each in known for name in each.counters}):
        ours = [each for each in known if name in each.counters]
        further = [each.further or 0 for each in ours]
        others = {other for each in ours for other in each.counters[name]}
        absent = sorted(others - {scope for each in ours for scope in each.scopes})
        note = ""
        # One that several optimizers increment together counts once for all of them, else once for each.
        total = sum(further) if others else max(further)
        if not others and len(set(further)) > 1:
            note = f"{name} counts the steps of several optimizers together, which made {further}: the most are taken"
        elif absent:
            note = (
                f"{name} goes on by {total} steps; those of {', '.join(absent)}, which counts there too, are not known"
            )
        found.append(_counter(checkpoint, name, total, note))
    return found


def _without_graph(checkpoint: Checkpoint, known: Sequence[_Stepped]) -> list[tuple[str, np.ndarray[Any, Any], str]]:
    name = named_counter(checkpoint)
    if name is None:
        return []
    most = max(each.further or 0 for each in known)
    return [_counter(checkpoint, name, most, f"{name} goes on by {most} steps: no graph is here to say what it counts")]


def _counter(checkpoint: Checkpoint, name: str, further: int, note: str) -> tuple[str, np.ndarray[Any, Any], str]:
    before = checkpoint.read(name)
    return name, np.asarray(before + further, before.dtype), note
