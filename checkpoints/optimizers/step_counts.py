"""How many steps an optimizer of a file has made: by its own counter or powers, never by another optimizer's.

Keras's optimizers keep a count of their own. TF 1's do not: Adam keeps the powers of its betas, and `global_step`
counts whatever the graph lets it count. With several Adams in a file, nothing in the names says whose powers are whose:
the graph does, or that all powers count the same, or that only one count is possible for slots that are, or are not,
zero.
"""

from __future__ import annotations

import math
import re
from typing import Mapping, NamedTuple, Sequence

from .. import dtypes
from ..checkpoint import Checkpoint
from ..object_slots import IN_ARCHIVE, IN_HDF5, optimizer_of
from ..objects import VALUE
from ..optimizer_kinds import kind_of_name
from .adam_steps import choose_steps
from .file_slots import FileSlots, Sources, holds_something
from .keras_slots import Held

_POWER = re.compile(r"(?:(?P<scope>.*)/)?beta(?P<beta>[12])_power(?P<number>_\d+)?")
# Its own name in TF 1, an attribute of the optimizer in an object-based checkpoint.
_COUNTS_STEPS = re.compile(
    r"(.*/)?global_step|iteration|.*optimizer/_?iter(ations)?{}|{}(.*/)?iter(ations?)?|{}0".format(
        re.escape(VALUE), IN_HDF5, IN_ARCHIVE
    )
)


class Count(NamedTuple):
    """The number of steps, None if it is not known; the tensors of Adam's powers, by beta; notes, and what is wrong.

    `counter` is the tensor that counts this optimizer's steps alone, of Keras's own optimizers.
    """

    steps: int | None
    powers: Mapping[int, str] = {}
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    counter: str = ""


class _Pair(NamedTuple):
    """The powers of one Adam, by beta, and the scope that they are in."""

    scope: str
    tensors: Mapping[int, str]

    def __str__(self) -> str:
        return " and ".join(self.tensors[number] for number in sorted(self.tensors))


def count_steps(slots: FileSlots, held: Held, sources: Sources) -> Count:
    """The steps that the optimizer made whose slots are `sources`."""
    counter = _Counter(slots, held, sources)
    return counter.adam() if held.kind == "adam" else counter.other()


class _Counter:
    def __init__(self, slots: FileSlots, held: Held, sources: Sources) -> None:
        self._slots = slots
        self._checkpoint: Checkpoint = slots.checkpoint
        self._held = held
        self._sources = sources
        self._updates = slots.updates_for(sources)
        self._taken = {tensor for each in sources.values() for tensors in each.values() for tensor in tensors}
        self._counters = [name for name, role in slots.roles.items() if role.kind == "counter"]

    def other(self) -> Count:
        """Those of an optimizer without powers."""
        own = self._own_counter()
        if own is not None:
            return Count(self._read(own), counter=own)
        if self._updates:
            return self._by_graph()
        named, told = self._named_counter()
        if named is None:
            return Count(None, notes=(told,))
        if self._slots.by_keras:
            return Count(self._read(named))
        steps = self._read(named)
        return Count(
            steps,
            notes=(f"the number of steps, {steps}, is that of {named}: no graph is here to say what else it counts",),
        )

    def _by_graph(self) -> Count:
        counted = {name: others for update in self._updates for name, others in update.counters.items()}
        if not counted:
            named, told = self._named_counter()
            steps = None if named is None else self._read(named)
            said = f"nothing in the graph counts this optimizer's steps; {steps} taken, which {named} says"
            return Count(steps, notes=(told if named is None else said,))
        name = min(counted)
        others = counted[name]
        steps = self._read(name)
        if not others and len(counted) == 1:
            return Count(steps)
        return Count(steps, notes=(f"{name} counts {steps} steps, those of {', '.join(others)} among them: all taken",))

    def adam(self) -> Count:
        """Those of Adam: its powers decide."""
        own = self._own_counter()
        if own is not None:
            return Count(self._read(own), counter=own)
        alone = [name for update in self._updates for name, others in update.counters.items() if not others]
        named, told = (min(alone), "") if alone else self._named_counter()
        given = None if named is None else self._read(named)
        pairs, notes, problem = self._pairs()
        if problem:
            return Count(given, problems=(problem,))
        if not pairs:
            if named is None:
                return Count(None, notes=(*notes, told))
            if self._slots.by_keras:
                return Count(given, notes=notes)
            said = f"no powers of Adam are in the file: the number of steps, {given}, is that of {named}"
            return Count(given, notes=(*notes, said))
        counts = [self._count(pair, given) for pair in pairs]
        if len({count.steps for count in counts}) > 1:
            listed = "; ".join(f"{pair}: {_said(count.steps)}" for pair, count in zip(pairs, counts))
            return Count(
                given,
                problems=(
                    f"these variables were trained by several Adams, whose powers count differently ({listed}): give "
                    "each an optimizer of its own and only its variables, or say steps=...",
                ),
            )
        count = counts[0]
        notes += count.notes
        if count.steps is None and given is not None:
            return Count(given, pairs[0].tensors, (*notes, f"{given} steps taken, which {named} says"))
        if count.steps is None:
            said = f"{pairs[0]} do not say how many steps were made ({'; '.join(count.notes)}): say steps=..."
            return Count(None, pairs[0].tensors, problems=(said,))
        by_graph = any(update.powers for update in self._updates)
        if given is not None and count.steps != given and not count.notes and not by_graph:
            notes += (f"Adam's own powers count {count.steps} steps, {named} says {given}: {count.steps} taken",)
        return Count(count.steps, pairs[0].tensors, notes + self._against_slots(count.steps))

    def _count(self, pair: _Pair, given: int | None) -> Count:
        there = self._graph_betas()
        choice = choose_steps(
            {number: self._power(name) for number, name in pair.tensors.items()},
            self._held.betas(),
            there,
            given,
        )
        return Count(choice.steps, pair.tensors, choice.notes)

    def _power(self, name: str) -> float:
        """A power of Adam; not a number where the file has something else under its name."""
        if self._checkpoint.tensors[name].dtype not in ("bfloat16", "float16", "float32", "float64"):
            return math.nan
        return float(dtypes.widen(self._checkpoint.read(name)).reshape(-1)[0])

    def _graph_betas(self) -> dict[int, float]:
        found: dict[int, float] = {}
        for update in self._updates:
            found.update((n, update.settings[f"beta_{n}"]) for n in (1, 2) if f"beta_{n}" in update.settings)
        return found

    def _pairs(self) -> tuple[list[_Pair], tuple[str, ...], str]:
        """The powers of this optimizer, notes on how they were found, and what is wrong."""
        if any(update.powers for update in self._updates):
            known = {tuple(sorted(update.powers.items())) for update in self._updates if update.powers}
            return [_Pair("", dict(powers)) for powers in sorted(known)], (), ""
        every = _all_pairs(self._counters)
        if self._updates:
            # The graph keeps them under names that are not in the file.
            return [], (), ""
        paths = {optimizer_of(name) for name in self._taken}
        exact = [pair for pair in every if len(paths) == 1 and pair.scope in paths - {""}]
        if exact:
            return exact, (), ""
        if len(every) < 2 or len({self._values(pair) for pair in every}) == 1:
            others = self._other_adams()
            if len(every) == 1 and others:
                return every, (f"{every[0]} are the only powers, and {', '.join(others)} may be whose they are",), ""
            return every, (), ""
        return self._of_several(every)

    def _of_several(self, pairs: Sequence[_Pair]) -> tuple[list[_Pair], tuple[str, ...], str]:
        counts = {str(pair): self._count(pair, None).steps for pair in pairs}
        listed = "; ".join(f"{name}: {_said(steps)}" for name, steps in counts.items())
        told = f"the file has the powers of several Adams ({listed})"
        if len(set(counts.values())) == 1 and None not in counts.values():
            return list(pairs), (), ""
        zero = not self._holds_something()
        possible = [pair for pair in pairs if (counts[str(pair)] == 0) == zero]
        if possible and len({counts[str(pair)] for pair in possible}) == 1:
            slots = "zero, as before the first step" if zero else "not zero, so that there were steps"
            return possible[:1], (f"{told}: those of {possible[0]} taken, as these slots are {slots}",), ""
        near = [pair for pair in pairs if pair.scope and pair.scope == self._scope()]
        if len(near) == 1 and sum(_plain(pair.scope) == _plain(near[0].scope) for pair in pairs) == 1:
            return near, (f"{told}: those of {near[0]} taken, which are in the scope of these slots",), ""
        return (
            [],
            (),
            f"{told}, and only the graph can say which are of these variables: put the .meta beside the file, or say "
            "steps=...",
        )

    def _values(self, pair: _Pair) -> bytes:
        return b"".join(self._checkpoint.read(pair.tensors[number]).tobytes() for number in sorted(pair.tensors))

    def _scope(self) -> str:
        """The variable scope that the optimizer made its slots in, which stands before the variable's name."""
        found = set()
        for source, each in self._sources.items():
            for tensors in each.values():
                for tensor in tensors:
                    before, _, _ = tensor.partition(f"/{source}/")
                    found.add("" if before == tensor else before)
        return found.pop() if len(found) == 1 else ""

    def _other_adams(self) -> list[str]:
        """Optimizers of the file other than this one that may be Adams, by the names in their slots."""
        roles = [role for name, role in self._slots.roles.items() if role.kind == "slot" and name not in self._taken]
        ours = {self._slots.roles[name].optimizer for name in self._taken}
        return sorted(
            {role.optimizer for role in roles if role.optimizer not in ours and kind_of_name(role.optimizer) == "adam"}
            | {role.optimizer for role in roles if role.optimizer not in ours and role.slot == "1"}
        )

    def _holds_something(self) -> bool:
        return any(holds_something(self._checkpoint.pieces(name)) for name in sorted(self._taken))

    def _against_slots(self, steps: int) -> tuple[str, ...]:
        """A note where powers and slots cannot be of one optimizer."""
        if not self._taken or bool(steps) == self._holds_something():
            return ()
        if steps:
            return (f"all slots are zero, as before the first step, though the powers count {steps}",)
        return ("the powers say that no step was made, though there are slots that are not zero",)

    def _own_counter(self) -> str | None:
        """The counter that Keras's own optimizer keeps beside these slots; None if there is none."""
        roles = self._slots.roles
        used = {roles[name].optimizer for name in self._taken}
        own = [name for name in self._counters if roles[name].optimizer and roles[name].optimizer in used]
        paths = {optimizer_of(name) for name in self._taken}
        if not own and len(paths) == 1:
            own = [name for name in self._counters if _attribute_of(name) in paths - {""} and not _POWER.match(name)]
        return own[0] if len(own) == 1 else None

    def _named_counter(self) -> tuple[str | None, str]:
        """The one counter that is called so; what there is to say if there is none or are several."""
        named = _named(self._counters)
        if len(named) == 1:
            return named[0], ""
        told = f"counts in several places ({', '.join(named)})" if named else "does not say"
        return None, (
            f"the file {told} how many steps were made: the optimizer's count is left as it is, unless steps=... says "
            "it"
        )

    def _read(self, name: str) -> int:
        return int(self._checkpoint.read(name).reshape(-1)[0])


def named_counter(checkpoint: Checkpoint) -> str | None:
    """The counter of a file that is called as `global_step` is; None if there is none, or several."""
    named = _named([name for name, role in checkpoint.roles().items() if role.kind == "counter"])
    return named[0] if len(named) == 1 else None


def _named(counters: Sequence[str]) -> list[str]:
    return [name for name in counters if _COUNTS_STEPS.fullmatch(name)]


def _all_pairs(counters: Sequence[str]) -> list[_Pair]:
    """The powers of each Adam: those of one scope with one number."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for name in counters:
        match = _POWER.fullmatch(name[: -len(VALUE)] if name.endswith(VALUE) else name)
        if match is not None:
            key = match.group("scope") or "", match.group("number") or ""
            found.setdefault(key, {})[int(match.group("beta"))] = name
    return [_Pair(scope, tensors) for (scope, _), tensors in sorted(found.items())]


def _attribute_of(name: str) -> str:
    """The path of the object that a variable of an object-based checkpoint is an attribute of."""
    return name[: -len(VALUE)].rpartition("/")[0] if name.endswith(VALUE) else ""


def _plain(scope: str) -> str:
    """The scope without the numbers that TensorFlow tells several of one name apart by."""
    return "/".join(re.sub(r"_\d+$", "", part) for part in scope.split("/"))


def _said(steps: int | None) -> str:
    return "not known" if steps is None else f"{steps} steps"
