"""From a graph as it was saved, the part that computes what is asked for, in inference."""

from __future__ import annotations

from typing import Any, Iterable, NamedTuple, Sequence

from .batch_norm import scope_of, use_moving_averages, uses_batch
from .body import Body, Library, data_inputs, name_of
from .dropout import remove_dropout
from .outputs import VARIABLES
from .placeholders import PLACEHOLDERS, purpose
from .random_ops import random_nodes
from .sources import add_placeholders, replaced

_ASSIGNS = ("Assign", "AssignVariableOp")


class Prepared(NamedTuple):
    """A GraphDef with all that `fetches` need, and what is known of it.

    `placed` maps tensors that data came from to placeholders that stand for them. `purposes` says what each placeholder
    is for that they depend on (see `placeholders.purpose`). `initial` are the operations that give variables values
    which are not restored, by variable. `random` are, for each of the fetches, the operations that draw random numbers;
    for a variable that is not restored, those that do for its first value. `batch` are the scopes that normalize with
    the statistics of a batch, `notes` say what was changed.
    """

    definition: Any
    fetches: tuple[str, ...]
    placed: dict[str, str]
    purposes: dict[str, str]
    initial: dict[str, str]
    random: dict[str, list[str]]
    batch: list[str]
    notes: tuple[str, ...]


def prepare(
    definition: Any,
    fetches: Sequence[str],
    fed: Iterable[str] = (),
    restore: Iterable[str] = (),
    initializers: Iterable[str] = (),
) -> Prepared:
    """The part of the GraphDef `definition`, which it changes, that computes `fetches` (tensors) in inference.

    What only leads to tensors that are `fed` is not looked at. `restore` are operations to keep as well, which give
    variables their values, as are those of `initializers` that fill tables which are looked up.
    """
    body, library = Body(definition.node), Library(definition)
    ends = [name_of(fetch) for fetch in fetches]
    fed = list(fed)
    needed = body.upstream(ends, map(name_of, fed))
    placed = add_placeholders(body, sorted(needed), type(definition.node[0]))
    fetches = tuple(replaced(fetch, placed) for fetch in fetches)
    fed = [replaced(each, placed) for each in fed]
    ends, behind = [name_of(fetch) for fetch in fetches], [name_of(each) for each in fed]
    before = body.upstream(ends, behind)
    notes = _rewrite(body, library, before)
    needed = body.upstream(ends, behind)
    unused = sorted(name for name in before - needed if body.nodes[name].op in PLACEHOLDERS)
    if unused:
        notes.append(f"no longer needed: {', '.join(unused)}")
    restore = [name for name in restore if name in body.nodes]
    initial = _initial(body, needed, body.upstream(restore))
    tables = {name for name in needed if "Table" in body.nodes[name].op}
    restore += [name for name in initializers if name in body.nodes and tables & body.upstream([name])]
    kept = body.upstream([*ends, *behind, *restore, *initial.values()])
    purposes = {
        name: purpose(body, library, body.nodes[name], needed)
        for name in sorted(needed)
        if body.nodes[name].op in PLACEHOLDERS and name not in behind
    }
    random = {end: random_nodes(body, library, body.upstream([name_of(end)], behind) - set(behind)) for end in fetches}
    random.update({name: random_nodes(body, library, body.upstream([first])) for name, first in initial.items()})
    batch = sorted({scope_of(name) for name in needed if uses_batch(body.nodes[name])})
    return Prepared(
        _pruned(definition, body, library, kept), fetches, placed, purposes, initial, random, batch, tuple(notes)
    )


def _rewrite(body: Body, library: Library, names: set[str]) -> list[str]:
    """Switches off what only training wants, in the nodes `names` and the functions they call; says what."""
    notes = []
    averaged = sorted({scope_of(name) for name in use_moving_averages(body) if name in names})
    dropped = remove_dropout(body, sorted(names))
    for function in library.called(body, names).values():
        dropped += remove_dropout(function, sorted(function.nodes))
    if dropped:
        notes.append(f"dropout switched off: {_listed(dropped)}")
    if averaged:
        notes.append(f"moving averages instead of the statistics of the batch: {_listed(averaged)}")
    return notes


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:6])
    return f"{shown}, ... ({len(names)})" if len(names) > 6 else shown


def _initial(body: Body, needed: set[str], restored: set[str]) -> dict[str, str]:
    """For each variable that is needed and not restored, the operation that gives it its first value."""
    lonely = {name for name in needed if body.nodes[name].op in VARIABLES and name not in restored}
    found: dict[str, str] = {}
    for node in body.nodes.values() if lonely else ():
        if node.op in _ASSIGNS:
            variable = name_of(data_inputs(node)[0])
            if variable in lonely and (variable not in found or node.name == f"{variable}/Assign"):
                found[variable] = node.name
    return found


def _pruned(definition: Any, body: Body, library: Library, kept: set[str]) -> Any:
    """A GraphDef of the nodes `kept`, without devices, and of the functions that they call."""
    pruned = type(definition)()
    pruned.versions.CopyFrom(definition.versions)
    for name, node in body.nodes.items():
        if name in kept:
            added = pruned.node.add()
            added.CopyFrom(node)
            added.device = ""
            added.attr.pop("_class", None)
    for function in library.called(body, kept).values():
        pruned.library.function.add().CopyFrom(function.function)
    return pruned
