"""Which layers of a file fit which layers of a model: some layout carries over all of one into all of the other.

Which of them go together is decided by names, numbers and order (see `matching`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, FrozenSet, Mapping, NamedTuple, Sequence, Tuple

from .conflicts import Item
from .interchange import Side
from .layouts import BY_NAME, CATALOGUE, Layout
from .layouts.base import user_scope
from .names import Ending, Parts, endings
from .plan import Row
from .slices import check_tiling
from .transforms import pieces_of
from .wire import WireError

if TYPE_CHECKING:
    from .checkpoint import TensorInfo
    from .planner import Target

Leaves = Mapping[str, Any]
Kind = Tuple[FrozenSet[Tuple[str, "Target"]], Tuple[bool, ...]]
"""The variables of a layer by the last components of their names, and what its name says where layouts ask for it."""


class Group(NamedTuple):
    """The tensors of one layer, by what stands below its scope; `layout` is what they were grouped for."""

    layout: Layout
    scope: str
    leaves: Leaves


def group_sources(labels: Mapping[str, Any], layouts: Sequence[Layout] = CATALOGUE) -> list[Group]:
    """The groups that each layout finds among tensors, given by the names to go by."""
    groups = []
    for layout in layouts:
        pattern = re.compile(rf"(?:(?P<scope>.*?)/)?(?P<leaf>{layout.leaf_pattern()})")
        ends = re.compile(rf"(?:.*/)?(?:{layout.scope})") if layout.scope and not layout.anywhere else None
        found: dict[str, dict[str, Any]] = {}
        for label, info in labels.items():
            match = pattern.fullmatch(label)
            if match is None:
                continue
            scope = match.group("scope") or ""
            if ends is None or ends.fullmatch(scope):
                found.setdefault(scope, {})[match.group("leaf")] = info
        groups += [Group(layout, scope, leaves) for scope, leaves in found.items()]
    return groups


def group_targets(targets: Mapping[str, Target]) -> dict[str, dict[str, Target]]:
    """The variables of the model by layer: path, then the last component of the name."""
    layers: dict[str, dict[str, Target]] = {}
    for name, target in targets.items():
        path, _, leaf = name.rpartition("/")
        layers.setdefault(path, {})[leaf] = target
    return layers


def refusal(group: Group) -> str | None:
    """Why this layer cannot be carried over at all, if it cannot."""
    for leaf in group.leaves:
        for pattern, reason in group.layout.refused.items():
            if re.fullmatch(pattern, leaf):
                return f"{group.scope}/{leaf}: {reason}"
    return None


def fit(group: Group, path: str, leaves: Mapping[str, Target]) -> tuple[tuple[Row, ...], str]:
    """The rows that carry all of `group` into all of the layer at `path`; or no rows, and why not."""
    if not _named(group, path):
        return (), f"neither {group.scope} nor {path} is named like this layout"
    return _fit(group, path, leaves)


def _named(group: Group, path: str) -> bool:
    """Whether scope or path say what shapes alone do not."""
    named = group.layout.named
    return not named or any(re.search(named, name) for name in (group.scope, path))


def _fit(group: Group, path: str, leaves: Mapping[str, Target]) -> tuple[tuple[Row, ...], str]:
    rows = []
    missing = [leaf for leaf in group.layout.needs if leaf not in group.leaves]
    if missing:
        return (), f"there is no {missing[0]}"
    taken: dict[str, list[Row]] = {leaf: [] for leaf in leaves}
    for part in group.layout.parts:
        target = leaves.get(part.target)
        if target is None:
            continue
        for leaf, info in [("", None)] if not part.source else list(group.leaves.items()):
            if part.source and not re.fullmatch(part.source, leaf):
                continue
            name = f"{path}/{part.target}" if path else part.target
            row = Row(
                "",
                name,
                "load" if part.source else "fill",
                part.transform,
                target_shape=target.shape,
                target_dtype=target.dtype,
            )
            if info is not None:
                row = row._replace(source=info.name, source_shape=info.shape, source_dtype=info.dtype)
            try:
                pieces_of(part.transform, row.source_shape, target.shape)
            except ValueError as error:
                return (), f"{leaf} {list(row.source_shape)} to {part.target} {list(target.shape)}: {error}"
            rows.append(row)
            taken[part.target].append(row)
    problem = _covers(group, taken, leaves)
    return ((), problem) if problem else (tuple(rows), "")


def _covers(group: Group, taken: Mapping[str, list[Row]], leaves: Mapping[str, Target]) -> str:
    """What is left over on either side; nothing if nothing is."""
    for leaf, rows in taken.items():
        if not rows:
            return f"{leaf} of the layer would get no value"
        boxes = [piece.target for row in rows for piece in pieces_of(row.transform, row.source_shape, row.target_shape)]
        try:
            check_tiling(boxes, leaves[leaf].shape)
        except WireError:
            return f"{leaf} of the layer would not be assigned whole and once"
    every = [row for rows in taken.values() for row in rows]
    for leaf, info in group.leaves.items():
        mine = [row for row in every if row.source == info.name]
        pieces = [piece for row in mine for piece in pieces_of(row.transform, row.source_shape, row.target_shape)]
        try:
            check_tiling([box for piece in pieces for box in piece.sources()], info.shape)
        except WireError:
            return f"{leaf} has no place in the layer"
    return ""


class Fit(NamedTuple):
    """How tensors of the file go into a layer of some kind, by which layout.

    `name` is the name of their layer, of which `scope` may have more; `endings` are what names of the model are
    compared to. `rows` have the last components of the targets, or nothing where that is a whole variable.
    """

    layout: Layout
    scope: str
    name: Parts
    endings: tuple[Ending, ...]
    rows: tuple[Row, ...]

    def item(self, name: Parts | None = None) -> Item:
        """What goes there, under the one of its names that is given."""
        note = f"{self.layout.name}; {self.layout.note}" if self.layout.note else self.layout.name
        sources = tuple(sorted({row.source for row in self.rows if row.source}))
        scope = None if self.layout is SINGLE else self.scope
        return Item(Side(self.name if name is None else name, sources), self.rows, scope, f" [{note}]")


class Unit(NamedTuple):
    """Tensors of the file that go into one layer of the model, or one variable, and the kinds of it that they fit."""

    sources: frozenset[str]
    fits: Mapping[Kind, Fit]

    def scope(self) -> str:
        """The scope of the tensors, or the name of the one."""
        return next(iter(self.fits.values())).scope


class Place(NamedTuple):
    """A layer of the model, or a variable, that still gets no value; layers of one `kind` can change places."""

    kind: Kind
    endings: tuple[Ending, ...]

    def variables(self, path: str) -> tuple[str, ...]:
        """The names of its variables, if it is the one at `path`."""
        return tuple(sorted("/".join(filter(None, (path, leaf))) for leaf, _ in self.kind[0]))


def find_units(
    groups: Sequence[Group], layers: Mapping[str, Mapping[str, Target]]
) -> tuple[list[Unit], dict[str, Place]]:
    """The groups that fit some layer of the model, and the layers.

    Tensors go into a layer by the first layout that fits. Whether they fit depends on shapes, and with some layouts on
    what scope and layer are called; so it is tried once for all groups and layers that are alike in that.
    """
    words = sorted({group.layout.named for group in groups} - {""})
    places = {path: _place(path, leaves, words) for path, leaves in layers.items()}
    kinds = {place.kind: path for path, place in places.items()}
    known: dict[object, dict[Kind, tuple[Row, ...]]] = {}
    found: dict[frozenset[str], dict[Kind, Fit]] = {}
    for group in groups:
        if refusal(group):
            continue
        named = _is_named(group.layout.named, group.scope)
        shapes = frozenset((leaf, info.shape, info.dtype) for leaf, info in group.leaves.items())
        key = (group.layout.name, shapes, named)
        if key not in known:
            known[key] = _fitting_kinds(group, kinds, layers, words, named)
        if known[key]:
            user = tuple(part for part in user_scope(group.scope, group.layout.scope).split("/") if part)
            user = user or tuple(part for part in group.scope.split("/") if part)
            own = Fit(group.layout, group.scope, user, tuple(endings(user)), ())
            fits = found.setdefault(frozenset(info.name for info in group.leaves.values()), {})
            for kind, rows in known[key].items():
                fits.setdefault(kind, own._replace(rows=tuple(_renamed(row, group) for row in rows)))
    return _most_complete([Unit(sources, fits) for sources, fits in found.items()]), places


def _place(path: str, leaves: Mapping[str, Target], words: Sequence[str]) -> Place:
    parts = tuple(part for part in path.split("/") if part)
    kind = (frozenset(leaves.items()), tuple(_is_named(word, path) for word in words))
    return Place(kind, tuple(_with_directions(parts)))


def _with_directions(parts: Parts) -> list[Ending]:
    """What a name ends in; a part that is called `forward_...` also as TF 1 calls it."""
    found = endings(parts)
    for long, short in (("forward", "fw"), ("backward", "bw")):
        if any(part.startswith(long) for part in parts):
            found += endings(tuple(short if part.startswith(long) else part for part in parts))
    return found


def _is_named(words: str, name: str) -> bool:
    return bool(words) and re.search(words, name) is not None


def _fitting_kinds(
    group: Group,
    kinds: Mapping[Kind, str],
    layers: Mapping[str, Mapping[str, Target]],
    words: Sequence[str],
    named: bool,
) -> dict[Kind, tuple[Row, ...]]:
    """How a group like this one goes into each kind of layer, with leaves for names; `kinds` has a layer of each."""
    anonymous = group._replace(leaves={leaf: info._replace(name=leaf) for leaf, info in group.leaves.items()})
    found = {}
    for kind, path in kinds.items():
        if not group.layout.named or named or kind[1][words.index(group.layout.named)]:
            rows, _ = _fit(anonymous, "", layers[path])
            if rows:
                found[kind] = rows
    return found


def _renamed(row: Row, group: Group) -> Row:
    return row._replace(source=group.leaves[row.source].name) if row.source else row


def _most_complete(units: Sequence[Unit]) -> list[Unit]:
    """Without the fits that leave out tensors which another unit takes into the same kind of layer."""
    taking: dict[str, list[Unit]] = {}
    for unit in units:
        for source in unit.sources:
            taking.setdefault(source, []).append(unit)
    found = []
    for unit in units:
        # Whatever takes more than a unit does also takes its first source.
        larger = [other for other in taking[next(iter(unit.sources))] if unit.sources < other.sources]
        fits = {kind: fit for kind, fit in unit.fits.items() if not any(kind in other.fits for other in larger)}
        if fits:
            found.append(unit._replace(fits=fits))
    return found


def misfits(groups: Sequence[Group], layers: Mapping[str, Mapping[str, Target]]) -> dict[str, list[Tuple[Group, str]]]:
    """Cells that are known by their scope and fit no layer made of such variables: by scope, why not."""
    found: dict[str, list[Tuple[Group, str]]] = {}
    for group in groups:
        leaves = {part.target for part in group.layout.parts}
        for path, layer in layers.items() if group.layout.scope else ():
            if len(layer) > 1 and set(layer) <= leaves:
                found.setdefault(group.scope, []).append((group, f"{path}: {fit(group, path, layer)[1]}"))
    return found


def named_layout(text: str) -> Layout:
    """The layout of that name, with the options behind a colon; ValueError if there is none.

    Who names a layout means it, so scopes and layers may be called what they like.
    """
    name, _, options = text.partition(":")
    if name not in BY_NAME:
        raise ValueError("unknown layout {!r}; there are {}".format(name, ", ".join(sorted(BY_NAME))))
    return BY_NAME[name].with_options(options)._replace(named="")


SINGLE = Layout("single", ())
_SYNONYMS = ({"kernel", "weights", "weight", "w", "matrix"}, {"bias", "biases", "b"})


def single_units(
    sources: Mapping[str, TensorInfo], targets: Mapping[str, Target]
) -> tuple[list[Unit], dict[str, Place]]:
    """Variables against variables, one by one: what has the same shape and type fits."""
    places = {}
    for name, target in targets.items():
        parts = tuple(name.split("/"))
        # What TF 1 made with one `get_variable` stands for a layer of one variable: `words` for `words/embeddings`.
        ends = endings(spelled(parts)) + endings(parts[:-1])
        places[name] = Place((frozenset({("", target)}), ()), tuple(ends))
    kinds = {place.kind for place in places.values()}
    units = []
    for label, info in sources.items():
        kind = (frozenset({("", _target(info))}), ())
        if kind in kinds:
            row = Row(info.name, "", "load", "identity", None, "", info.shape, info.dtype, info.shape, info.dtype)
            parts = tuple(label.split("/"))
            own = tuple(endings(spelled(parts)))
            units.append(Unit(frozenset({info.name}), {kind: Fit(SINGLE, label, parts, own, (row,))}))
    return units, places


def _target(info: TensorInfo) -> Target:
    from .planner import Target

    return Target(info.shape, info.dtype)


def spelled(parts: Parts) -> Parts:
    """The components of a variable's name, the last one as Keras spells it."""
    for spelling, words in zip(("kernel", "bias"), _SYNONYMS):
        if parts[-1].lower() in words:
            return (*parts[:-1], spelling)
    return parts


def same_kind(name: str, other: str) -> bool:
    """Whether the last components of two names are words for the same kind of variable."""
    ends = {name.rpartition("/")[2].lower(), other.rpartition("/")[2].lower()}
    return any(ends <= words for words in _SYNONYMS)
