"""The state of TF 1's optimizers, carried into Keras's or TF 1's own: slots along a plan, and the number of steps."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

from ..checkpoint import Checkpoint
from ..errors import CheckpointError, MappingError
from ..keras_models import assign, value_of
from ..plan import Plan, Row, group_by_target
from ..transforms import apply, pieces_of
from . import compat_v1
from .file_slots import FileSlots, Sources
from .keras_slots import Held, Slot
from .settings import compare_settings
from .step_counts import Count, count_steps


class Carried(NamedTuple):
    """What `load_optimizer` did: how many slots it assigned, the number of steps, and what differs from TF 1."""

    slots: int
    steps: int | None
    notes: tuple[str, ...]


def load_optimizer(
    plan: Plan,
    checkpoint: Checkpoint,
    optimizer: Any,
    variables: Mapping[str, Any],
    steps: int | None = None,
    name: str | None = None,
) -> Carried:
    """Assigns slots and iterations of a Keras `optimizer` from `checkpoint`, along the `plan` that loaded `variables`.

    `optimizer` is any Keras Adam, SGD with momentum, RMSprop, Adagrad or Ftrl (or plain SGD, which has no slots), or
    one of the same six of `tf.compat.v1.train`, in eager mode. It is built for the trainable ones of `variables` if it
    was not yet, and those it was built for must be among them. Slots are transformed as their variables are, without
    constants added; Momentum's accumulator becomes Keras's velocity, -learning_rate times it, and the other way round,
    and stays as it is between optimizers of one kind.

    The number of steps is `steps`, else that of the optimizer whose slots these are: Keras's keep a count, Adam of TF 1
    the powers of its betas, and for others of TF 1 `global_step` is taken. TF 1's own optimizers do not count steps;
    Adam's powers are taken from the file, or, with `steps`, computed as TF 1 does.

    Which slots and powers are whose, the graph says that lies beside the file (`.meta`). Without one, slots are known
    by what TF 1 calls them (`fc/kernel/Adam`) or Keras (`Adam/fc/kernel/m`). `name` is what the optimizer was called
    where that says nothing of its kind: `dis_opt` for the slots `fc/kernel/dis_opt` and `fc/kernel/dis_opt_1`, which
    are then taken in the order in which TF 1's optimizer of this kind makes them.

    `Carried.notes` says what is not carried and may differ: slots of these variables that are not zero and have no
    place in `optimizer`, a number of steps that is not certain, a learning rate that changes, hyperparameters other
    than those of the graph, and where there is none, an `epsilon` other than TF 1's default (1e-8 for Adam, 1e-10 for
    RMSProp, none for Adagrad).

    Raises MappingError for slots that the file lacks or that are those of several optimizers, and where it holds the
    powers of several Adams and nothing tells which are this one's.
    """
    return _Restore(plan, checkpoint, optimizer, variables, name).run(steps)


class _Restore:
    def __init__(
        self, plan: Plan, checkpoint: Checkpoint, optimizer: Any, variables: Mapping[str, Any], name: str | None
    ) -> None:
        self._held = Held(optimizer)
        self._rows = group_by_target(plan.rows)
        self._checkpoint = checkpoint
        self._variables = {name: v for name, v in variables.items() if getattr(v, "trainable", True)}
        self._file = FileSlots(checkpoint, self._held, self._rows, name)
        self._notes = self._file.notes

    def run(self, steps: int | None) -> Carried:
        """Checks that every slot has a source, then assigns slots and iterations."""
        held = self._held
        wanted = held.slots({name: v for name, v in self._variables.items() if name in self._rows})
        sources, problems = self._file.find(wanted)
        loaded = {row.source for name in self._variables for row in self._rows.get(name, ()) if row.action == "load"}
        # An optimizer without slots has made its steps on these variables all the same.
        counted = sources or {source: {} for source in loaded}
        count = Count(None) if problems else count_steps(self._file, held, counted)
        if steps is None:
            problems += count.problems
        if problems:
            raise MappingError(problems, f"{self._checkpoint.path}: the optimizer's state does not carry over")
        self._note_what_is_left(wanted, sources)
        # Before the slots, as the learning rate may depend on it.
        taken = self._assign_steps(steps, count)
        rate = self._rate() if held.kind == "momentum" and wanted else 0.0
        for slot in wanted:
            value = self._value(self._rows[slot.name], slot.slot, sources)
            self._write(slot, self._as_momentum(value, rate) if held.kind == "momentum" else value)
        self._notes += compare_settings(self._file, held, sources, taken)
        return Carried(len(wanted), taken, tuple(self._notes))

    def _write(self, slot: Slot, value: np.ndarray[Any, Any]) -> None:
        written = assign(slot.variable, value)
        if value_of(slot.variable).tobytes() != written.tobytes():
            raise CheckpointError(f"slot {slot.slot} of {slot.name} does not hold what was written")

    def _assign_steps(self, given: int | None, count: Count) -> int | None:
        """Assigns the number of steps, or the powers that stand for it in TF 1's own Adam; the number."""
        steps = count.steps if given is None else given
        if given is None and (self._held.kind == "adam" or not self._held.v1):
            self._notes += count.notes
        elif count.powers and not count.problems and count.steps not in (None, given):
            self._notes.append(f"{given} steps taken as asked for, where Adam's powers count {count.steps}")
        if self._held.v1:
            compat_v1.assign_powers(self._held.optimizer, self._checkpoint, count.powers, given)
        elif steps is not None:
            self._held.optimizer.iterations.assign(steps)
        return steps

    def _rate(self) -> float:
        """The learning rate of the optimizer's next step."""
        rate, changes = self._held.rate()
        if changes and self._file.by_keras == self._held.v1:
            self._notes.append(
                f"Keras keeps the learning rate in the velocity, TF 1 does not: converted with {rate:g}, that of the "
                "next step; while it changes, the two go on differently"
            )
        return rate

    def _as_momentum(self, value: np.ndarray[Any, Any], rate: float) -> np.ndarray[Any, Any]:
        """TF 1 keeps a sum of gradients, Keras -learning_rate times it, whoever reads or writes."""
        by_keras = self._file.by_keras
        if by_keras == (not self._held.v1):
            return value
        if not rate and by_keras:
            raise CheckpointError("the learning rate is 0 here: it cannot be taken out of Keras's velocity")
        factor = -np.float32(rate)
        return np.asarray(value / factor if by_keras else value * factor, value.dtype)

    def _note_what_is_left(self, wanted: list[Slot], sources: Sources) -> None:
        """Says which slots of the optimizer's variables stay in the file though they are not zero."""
        rows = [row for name in self._variables for row in self._rows.get(name, ())]
        loaded = {row.source for row in rows if row.action == "load"}
        used = [
            sources[row.source][each.slot] for each in wanted for row in self._rows[each.name] if row.action == "load"
        ]
        taken = {tensor for tensors in used for tensor in tensors}
        for (slot, optimizer), names in sorted(self._file.left_behind(loaded, taken).items()):
            if self._held.kind == "rmsprop" and slot == "momentum" and self._file.unused_momentum(sources):
                continue
            note = f"left in the file though it is not zero: slot {slot} ({optimizer}), {len(names)} times ({names[0]})"
            if self._held.kind == "rmsprop" and slot == "momentum":
                note += "; TF 1's RMSProp fills it even where its momentum is 0, and only then nothing is lost"
            self._notes.append(note)

    def _value(self, rows: list[Row], slot: str, sources: Sources) -> np.ndarray[Any, Any]:
        """One slot, put together as its variable is; what the variable was filled with is zero in a slot."""
        value = np.zeros(rows[0].target_shape, rows[0].target_dtype)
        for row in rows:
            if row.action == "load":
                read = self._file.read(sources[row.source][slot])
                for piece in pieces_of(row.transform, row.source_shape, row.target_shape):
                    apply(piece._replace(add=0.0), read, value)
        return value
