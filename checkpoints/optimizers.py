"""The state of TF 1's optimizers, carried into Keras's or TF 1's own: slots along a plan, and the number of steps.

Keras has three generations of optimizers: legacy ones, which know their slots by variable and name; those of TF 2.11 to
2.15 and those of Keras 3, which hold a list for each kind of slot, in the order of the variables they were built for.
"""

from __future__ import annotations

import math
import re
from typing import Any, Mapping, NamedTuple

import numpy as np

from . import v1_optimizers
from .adam_powers import choose, steps_of_power
from .checkpoint import Checkpoint
from .errors import CheckpointError, MappingError
from .keras_models import assign, value_of
from .object_slots import IN_ARCHIVE, IN_HDF5, listed_slots, optimizer_of
from .objects import GRAPH, VALUE
from .optimizer_kinds import SLOTS, fits, kind_of, kind_of_name, plain_value
from .plan import Plan, Row, group_by_target
from .roles import Role
from .transforms import apply, pieces_of

_LISTS = {
    "adam": {"m": "_momentums", "v": "_velocities", "vhat": "_velocity_hats"},
    "momentum": {"accumulator": "momentums"},
    "rmsprop": {"rms": "_velocities", "momentum": "_momentums", "mg": "_average_gradients"},
    "adagrad": {"accumulator": "_accumulators"},
    "ftrl": {"accumulator": "_accumulators", "linear": "_linears"},
}
_KERAS_NAMES = {
    "adam": {"momentum": "m", "velocity": "v"},
    "momentum": {"momentum": "accumulator", "velocity": "accumulator"},
}
_LEGACY = {("momentum", "accumulator"): "momentum"}
_PLAIN_ADAM = re.compile(r"/adam_[mv]$")
_OLD_RMS = re.compile(r"/rms(/\.ATTRIBUTES/VARIABLE_VALUE)?$")
_EPSILON = {"adam": 1e-8, "rmsprop": 1e-10, "adagrad": 0.0}


# Its own name in TF 1, an attribute of the optimizer in an object-based checkpoint.
_COUNTS_STEPS = re.compile(
    r"(.*/)?global_step|iteration|.*optimizer/_?iter(ations)?{}|{}(.*/)?iter(ation)?|{}0".format(
        re.escape(VALUE), IN_HDF5, IN_ARCHIVE
    )
)


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
    and stays as it is between optimizers of one kind. The number of steps is `steps`, else `global_step` of the file,
    unless Adam's own powers count another number. TF 1's own optimizers do not count steps; Adam's powers are taken
    from the file, or, with `steps`, computed as TF 1 does.

    Slots are known by what TF 1 calls them (`fc/kernel/Adam`) or Keras (`Adam/fc/kernel/m`). `name` is what the
    optimizer was called where that says nothing of its kind: `dis_opt` for the slots `fc/kernel/dis_opt` and
    `fc/kernel/dis_opt_1`, which are then taken in the order in which TF 1's optimizer of this kind makes them.

    `Carried.notes` says what is not carried and may differ: slots of these variables that are not zero and have no
    place in `optimizer`, powers of Adam that disagree, a learning rate that changes, an `epsilon` other than TF 1's
    default (1e-8 for Adam, 1e-10 for RMSProp, none for Adagrad), as no file stores it.

    Raises MappingError for slots that the file lacks or that are those of several optimizers.
    """
    return _Carrier(plan, checkpoint, optimizer, variables, name).run(steps)


class _Carrier:
    def __init__(
        self, plan: Plan, checkpoint: Checkpoint, optimizer: Any, variables: Mapping[str, Any], name: str | None
    ) -> None:
        self._v1 = v1_optimizers.is_v1(optimizer)
        if not self._v1 and not hasattr(optimizer, "iterations"):
            kind = type(optimizer).__name__
            raise CheckpointError(f"optimizer {kind}: only those of Keras and of tf.compat.v1.train are known")
        self._rows = group_by_target(plan.rows)
        self._checkpoint = checkpoint
        self._optimizer = optimizer
        self._variables = {name: v for name, v in variables.items() if getattr(v, "trainable", True)}
        self._roles = checkpoint.roles()
        self._name = name
        self._kind = v1_optimizers.kind_of(optimizer) if self._v1 else kind_of(optimizer)
        self._notes: list[str] = []
        self._taken: set[str] = set()
        self._by_keras = any(
            role.slot == "velocity" and kind_of_name(role.optimizer) == "sgd" for role in self._roles.values()
        ) or any(name.startswith((IN_HDF5, IN_ARCHIVE)) for name in checkpoint.tensors)
        self._by_keras = self._by_keras or any(
            self._is_ours(role) and self._is_kerass_momentum(slot, role) for slot, role in self._roles.items()
        )

    def _is_kerass_momentum(self, name: str, role: Role) -> bool:
        """Whether a slot is Keras's momentum under a name of its own; TF 1's optimizers keep no count beside it."""
        if self._kind != "momentum" or role.kind != "slot" or role.slot not in ("momentum", "velocity"):
            return False
        path = optimizer_of(name)
        return "/.OPTIMIZER_SLOT/" not in name or f"{path}/iter{VALUE}" in self._checkpoint.tensors

    def run(self, steps: int | None) -> Carried:
        """Checks that every slot has a source, then assigns slots and iterations."""
        targets = self._targets()
        sources: dict[str, dict[str, str]] = {}
        wanted = [(name, slot) for name, slot, _ in targets]
        listed, problems = listed_slots(self._checkpoint.tensors, wanted, self._rows)
        problems += self._not_of_this_kind() + self._of_sums(wanted)
        for name, slot in listed:
            sources.setdefault(self._rows[name][0].source, {})[slot] = listed[name, slot]
        for name, slot in wanted if not problems else ():
            for row in self._rows.get(name, []):
                if row.action == "load" and row.source not in sources:
                    sources[row.source] = self._slots_of(row.source, problems)
                if row.action == "load" and slot not in sources[row.source]:
                    told = f"{name}: the file has no slot {slot} ({self._kind}) of {row.source}"
                    problems.append(told + self._other_slots(row.source))
        if problems:
            raise MappingError(problems, f"{self._checkpoint.path}: the optimizer's state does not carry over")
        self._taken = {
            sources[row.source][slot] for name, slot in wanted for row in self._rows[name] if row.action == "load"
        }
        self._note_what_is_left()
        # Before the slots, as the learning rate may depend on it.
        steps = self._assign_steps(steps)
        rate = self._rate() if self._kind == "momentum" and targets else 0.0
        for name, slot, variable in targets:
            value = self._value(self._rows[name], slot, sources)
            if self._kind == "momentum":
                value = self._as_momentum(value, rate)
            written = assign(variable, value)
            if value_of(variable).tobytes() != written.tobytes():
                raise CheckpointError(f"slot {slot} of {name} does not hold what was written")
        self._compare_epsilon()
        return Carried(len(targets), steps, tuple(self._notes))

    def _assign_steps(self, given: int | None) -> int | None:
        """Assigns the number of steps, or the powers that stand for it in TF 1's own Adam; the number."""
        steps = self._steps() if given is None else given
        if self._v1:
            counters = [name for name, role in self._roles.items() if role.kind == "counter"]
            v1_optimizers.assign_powers(self._optimizer, self._checkpoint, counters, given)
        elif steps is not None:
            self._optimizer.iterations.assign(steps)
        return steps

    def _not_of_this_kind(self) -> list[str]:
        """What speaks against an archive's numbered slots being those of this kind of optimizer."""
        checkpoint, written = self._checkpoint, self._checkpoint.optimizer
        if not any(name.startswith(IN_ARCHIVE + "1") for name in checkpoint.tensors):
            return []
        own = type(self._optimizer).__name__
        if not written:
            told = f'the file does not say which optimizer its slots are of; if it was {own}, give name="{own}"'
            return [] if self._name is not None else [told]
        if not fits(written, self._kind) and self._name != written:
            return [
                f"the file holds the state of {written}, not of {own}"
                + ("" if kind_of_name(written) else f'; if it is of this kind, give name="{written}"')
            ]
        centered = bool(checkpoint.optimizer_settings.get("centered"))
        if self._kind == "rmsprop" and centered != bool(self._setting("centered")):
            return [f"centered is {centered} in the file, and not in this {own}: their slots differ"]
        return []

    def _of_sums(self, wanted: list[tuple[str, str]]) -> list[str]:
        """Variables that are the sum of two in the file, each of which was trained with state of its own."""
        names = dict.fromkeys(name for name, _ in wanted)
        rows = [row for name in names for row in self._rows.get(name, ()) if row.action == "load"]
        return [
            f"{row.target}: is the sum of the two biases in {row.source} (CuDNNLSTM), both of which were trained: they "
            "move twice as far together in a step, so no state of one bias goes on as theirs; train on without it"
            for row in rows
            if any(piece.plus for piece in pieces_of(row.transform, row.source_shape, row.target_shape))
        ]

    def _rate(self) -> float:
        """The learning rate of the optimizer's next step, whether it is constant or follows a schedule."""
        optimizer = self._optimizer
        rate: Any = getattr(optimizer, "_learning_rate", None)
        # Legacy optimizers have it among their hyperparameters, and there also a decay of their own.
        rate = rate if callable(rate) else getattr(optimizer, "learning_rate", rate)
        decays = bool(getattr(optimizer, "_initial_decay", 0))
        if not callable(rate) and not decays:
            return self._setting("learning_rate")
        if hasattr(optimizer, "_decayed_lr"):
            value = optimizer._decayed_lr("float32")
        elif any(parent.__name__ == "LearningRateSchedule" for parent in type(rate).__mro__):
            value = rate(optimizer.iterations)
        else:
            value = rate()
        found = float(np.asarray(plain_value(value)))
        if self._by_keras == self._v1:
            self._notes.append(
                f"Keras keeps the learning rate in the velocity, TF 1 does not: converted with {found:g}, that of the "
                "next step; while it changes, the two go on differently"
            )
        return found

    def _as_momentum(self, value: np.ndarray[Any, Any], rate: float) -> np.ndarray[Any, Any]:
        """TF 1 keeps a sum of gradients, Keras -learning_rate times it, whoever reads or writes."""
        if self._by_keras == (not self._v1):
            return value
        if not rate and self._by_keras:
            raise CheckpointError("the learning rate is 0 here: it cannot be taken out of Keras's velocity")
        factor = -np.float32(rate)
        return np.asarray(value / factor if self._by_keras else value * factor, value.dtype)

    def _targets(self) -> list[tuple[str, str, Any]]:
        """(variable's name, slot, the optimizer's variable) for all slots of the optimizer."""
        optimizer = self._optimizer
        ordered = [(name, v) for name, v in self._variables.items() if name in self._rows]
        if self._v1:
            return v1_optimizers.targets(optimizer, self._kind, dict(ordered), _LISTS.get(self._kind, {}))
        if hasattr(optimizer, "get_slot"):
            return self._legacy_targets(ordered)
        if not getattr(optimizer, "built", False) and hasattr(optimizer, "build"):
            optimizer.build([variable for _, variable in ordered])
        built_for = _built_for(optimizer, ordered)
        found = []
        for slot, attribute in _LISTS.get(self._kind, {}).items():
            held = getattr(optimizer, attribute, None) or getattr(optimizer, "_" + attribute, None) or []
            if held and len(held) != len(built_for):
                raise CheckpointError(f"the optimizer holds {len(held)} of {attribute} for {len(built_for)} variables")
            found += [(name, slot, variable) for name, variable in zip(built_for, held) if variable is not None]
        return found

    def _legacy_targets(self, ordered: list[tuple[str, Any]]) -> list[tuple[str, str, Any]]:
        optimizer = self._optimizer
        variables = [variable for _, variable in ordered]
        if hasattr(optimizer, "_create_all_weights"):
            optimizer._create_all_weights(variables)
        else:
            optimizer._create_hypers()
            optimizer._create_slots(variables)
        names = list(optimizer.get_slot_names())
        found = []
        for slot in _LISTS.get(self._kind, {}):
            legacy = _LEGACY.get((self._kind, slot), slot)
            if legacy in names:
                found += [(name, slot, optimizer.get_slot(variable, legacy)) for name, variable in ordered]
        return found

    def _slots_of(self, source: str, problems: list[str]) -> dict[str, str]:
        """Slot name to tensor name, for the slots of one variable in the file that fit this optimizer."""
        found: dict[str, str] = {}
        for name, role in self._roles.items():
            if role.kind == "slot" and role.of == source and self._is_ours(role):
                slot = self._slot_of(source, role)
                if slot in found:
                    problems.append(f"{source}: several slots {slot}: {found[slot]} and {name}")
                found[slot] = name
        return found

    def _is_ours(self, role: Role) -> bool:
        return role.optimizer == self._name if self._name is not None else fits(role.optimizer, self._kind)

    def _slot_of(self, source: str, role: Role) -> str:
        """What the slot is called for this kind of optimizer; one known by its number is so by TF 1's order."""
        order = SLOTS.get(self._kind, ())
        if role.slot.isdigit():
            if self._kind == "rmsprop" and f"{source}/{role.optimizer}_2" in self._checkpoint.tensors:
                order = ("rms", "mg", "momentum")
            return order[int(role.slot)] if int(role.slot) < len(order) else role.slot
        return _KERAS_NAMES.get(self._kind, {}).get(role.slot, role.slot)

    def _other_slots(self, source: str) -> str:
        """The optimizers that the file has slots of, for a variable that lacks those that were looked for."""
        there = {
            role.optimizer: name for name, role in self._roles.items() if role.kind == "slot" and role.of == source
        }
        if not there:
            return ""
        listed = ", ".join(f"{name} ({optimizer})" for optimizer, name in sorted(there.items()))
        unknown = [optimizer for optimizer in sorted(there) if not kind_of_name(optimizer)]
        settle = f'; if that was of this kind, give name="{unknown[0]}"' if unknown and self._name is None else ""
        return f"; it has {listed}{settle}"

    def _note_what_is_left(self) -> None:
        """Says which slots of the optimizer's variables stay in the file though they are not zero."""
        rows = [row for name in self._variables for row in self._rows.get(name, ())]
        loaded = {row.source for row in rows if row.action == "load"}
        left: dict[tuple[str, str], list[str]] = {}
        for name, role in self._roles.items():
            if role.kind == "slot" and role.of in loaded and name not in self._taken:
                if _holds_something(self._checkpoint.read(name)):
                    left.setdefault((role.slot, role.optimizer), []).append(name)
        for (slot, optimizer), names in sorted(left.items()):
            note = f"left in the file though it is not zero: slot {slot} ({optimizer}), {len(names)} times ({names[0]})"
            if self._kind == "rmsprop" and slot == "momentum":
                note += "; TF 1's RMSProp fills it even where its momentum is 0, and only then nothing is lost"
            self._notes.append(note)

    def _value(self, rows: list[Row], slot: str, sources: Mapping[str, Mapping[str, str]]) -> np.ndarray[Any, Any]:
        """One slot, put together as its variable is; what the variable was filled with is zero in a slot."""
        value = np.zeros(rows[0].target_shape, rows[0].target_dtype)
        for row in rows:
            if row.action == "load":
                read = self._checkpoint.read(sources[row.source][slot])
                for piece in pieces_of(row.transform, row.source_shape, row.target_shape):
                    apply(piece._replace(add=0.0), read, value)
        return value

    def _steps(self) -> int | None:
        counters = [name for name, role in self._roles.items() if role.kind == "counter"]
        used = {role.optimizer for role in self._roles.values() if role.kind == "slot" and self._is_ours(role)}
        # Keras's optimizers count for themselves, and in a graph `global_step` may count something else or nothing.
        own = [name for name in counters if self._roles[name].optimizer and self._roles[name].optimizer in used]
        # In an object-based checkpoint, the count of the one whose slots these are.
        paths = {optimizer_of(name) for name in self._taken}
        own = own or [name for name in counters if len(paths) == 1 and _attribute_of(name) in paths - {""}]
        given = own if len(own) == 1 else [name for name in counters if _COUNTS_STEPS.fullmatch(name)]
        step = int(self._checkpoint.read(given[0]).reshape(-1)[0]) if len(given) == 1 else None
        if self._kind == "adam" and any(_PLAIN_ADAM.search(name) for name in self._checkpoint.tensors):
            self._notes.append(
                "slots called adam_m and adam_v are those of an Adam without bias correction, as BERT's is, whose "
                "epsilon is 1e-6: Keras's corrects, which is the same only from some thousand steps on"
            )
        if self._kind == "adam":
            step, note = choose(self._by_power(counters, 1, 0.9), self._by_power(counters, 2, 0.999), step)
            self._notes += [note] if note else []
        if step is None:
            told = f"counts in several places ({', '.join(given)})" if given else "does not say"
            self._notes.append(
                f"the file {told} how many steps were made: the optimizer's count is left as it is, unless steps=... "
                "says it"
            )
        return step

    def _by_power(self, counters: list[str], place: int, default: float) -> tuple[int, bool] | None:
        """The steps that the powers of one beta count, if all that the file holds count the same."""
        names = [name for name in counters if f"beta{place}_power" in name.rpartition("/")[2]]
        beta = self._setting(f"beta_{place}") or default
        told = {steps_of_power(float(self._checkpoint.read(name).reshape(-1)[0]), beta) for name in names}
        return told.pop() if len(told) == 1 else None

    def _setting(self, name: str) -> float:
        value = getattr(self._optimizer, "_" + name.replace("beta_", "beta") if self._v1 else name, None)
        if value is None:
            return 0.0
        return float(np.asarray(plain_value(value)))

    def _compare_epsilon(self) -> None:
        # What Keras wrote was written with Keras's defaults.
        by_keras = any(name == GRAPH or name.startswith((IN_HDF5, IN_ARCHIVE)) for name in self._checkpoint.tensors)
        by_keras = by_keras or any(role.kind == "hyperparameter" for role in self._roles.values())
        if self._kind == "rmsprop" and any(_OLD_RMS.search(name) for name in self._checkpoint.tensors):
            if not hasattr(self._optimizer, "get_slot") and not self._v1:
                self._notes.append(
                    "Keras before 2.11 added RMSprop's epsilon outside the root, this one adds it inside: 1e-7 there "
                    "is about 1e-14 here"
                )
        wanted = None if by_keras else _EPSILON.get(self._kind)
        epsilon = self._setting("epsilon")
        if wanted is not None and not math.isclose(epsilon, wanted, rel_tol=1e-3, abs_tol=1e-12):
            self._notes.append(
                f"epsilon is {epsilon:g} here, {wanted:g} by default in TF 1, and no file stores it: set what was set "
                "there to continue alike"
            )


def _attribute_of(name: str) -> str:
    """The path of the object that a variable of an object-based checkpoint is an attribute of."""
    return name[: -len(VALUE)].rpartition("/")[0] if name.endswith(VALUE) else ""


def _holds_something(value: np.ndarray[Any, Any]) -> bool:
    return bool(np.any(value if value.dtype.names is None else value[value.dtype.names[0]]))


def _built_for(optimizer: Any, ordered: list[tuple[str, Any]]) -> list[str]:
    """The names of the variables that the optimizer's lists follow."""
    held = getattr(optimizer, "_trainable_variables", None)
    names = {id(variable): name for name, variable in ordered}
    if held:
        unknown = [str(getattr(v, "name", v)) for v in held if id(v) not in names]
        if unknown:
            raise CheckpointError("the optimizer was built for other variables: {}".format(", ".join(unknown[:5])))
        return [names[id(variable)] for variable in held]
    index = getattr(optimizer, "_index_dict", None)
    if index:
        places = {name: index[variable._unique_id] for name, variable in ordered if variable._unique_id in index}
        return sorted(places, key=places.__getitem__)
    return [name for name, _ in ordered]
