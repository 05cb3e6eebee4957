"""Layers that were matched by their names, and whose names contradict the order of the layers.

`dense_1` to `dense_3` of a file are the `dense` to `dense_2` of a model that was built first in its process, or one set
counts from 1 and the other from 0. Then the same names say one thing, and what they leave over goes against the order
of the numbers: from `dense_3` to `dense`. Or the numbers do not follow the data: it goes through `gru`, `gru_2` and
`gru_1` in turn. A series is settled as a whole or not at all.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from .interchange import Evidence, Resolution, Side
from .names import Parts, by_number, ends_alike, shared_end, stems
from .plan import Row

Shape = Tuple[int, ...]
Kind = FrozenSet[Tuple[str, Shape, Shape, str]]


class Item(NamedTuple):
    """A layer of the file, or tensors that belong to none that is known.

    `rows` are what becomes of it, with the target's last component alone, or none where that is a whole variable.
    `scope` is what a rule for the layer names; None where rules name its tensors. `note` says how it is stored.
    """

    side: Side
    rows: Tuple[Row, ...]
    scope: str | None = None
    note: str = ""

    def kind(self) -> Kind:
        """What a layer must have to change places with this one."""
        return frozenset((row.target or "", row.source_shape, row.target_shape, row.source_dtype) for row in self.rows)

    def rows_to(self, path: str) -> Tuple[Row, ...]:
        """The rows that carry it to the layer (or variable) at `path`."""
        return tuple(row._replace(target="/".join(filter(None, (path, row.target)))) for row in self.rows)

    def full_name(self) -> Parts:
        """Its name with the layer's own machinery, where there is any."""
        return self.side.name if self.scope is None else tuple(self.scope.split("/"))


class Join(NamedTuple):
    """A layer of the file, and the layer of the model that it was found to go to."""

    item: Item
    target: Side


class Open(NamedTuple):
    """What is left over on either side, by kind."""

    items: Dict[Kind, List[Item]]
    targets: Dict[Kind, List[Side]]


class Conflict(NamedTuple):
    """Layers that go nowhere yet: all of a series, with where those went by their names that have a place by them."""

    items: Tuple[Item, ...]
    targets: Tuple[Side, ...]
    joined: Tuple[Join, ...]
    resolution: Resolution


def join_layers(pairs: Iterable[Tuple[Parts, Parts, Row]]) -> list[Join]:
    """Rows by layer, each given with the names of both sides."""
    found: Dict[Tuple[Parts, Parts], list[Row]] = {}
    for source, target, row in pairs:
        found.setdefault((source, target), []).append(row)
    joins = []
    for (source, target), rows in found.items():
        path = "/".join(target)
        leaves = [row._replace(target=(row.target or "")[len(path) :].lstrip("/")) for row in rows]
        item = Item(Side(source, tuple(row.source for row in rows if row.source)), tuple(leaves))
        joins.append(Join(item, Side(target, tuple(row.target or "" for row in rows))))
    return joins


def trim(source: Parts, target: Parts | None = None) -> tuple[Parts, Parts]:
    """Both names (or the one, twice) without the variable they end in, if it is the same one and bears no number."""
    target = source if target is None else target
    if min(len(source), len(target)) > 1 and source[-1] == target[-1] and not source[-1][-1:].isdigit():
        return source[:-1], target[:-1]
    return source, target


def most_similar(names: Iterable[Parts], target: Parts) -> Parts:
    """The first of a layer's names that has the most words in common with the end of `target`."""
    return max(names, key=lambda name: shared_end(stems(name), stems(target)))


def find_conflicts(joins: Sequence[Join], open_: Open, evidence: Evidence) -> list[Conflict]:
    """Layers of one kind that are out of order, each time with all that could change places with them.

    What names alone do not say, such as the only place that was left, is void as soon as a name is.
    """
    kinds: Dict[Kind, list[Join]] = {}
    for join in joins:
        kinds.setdefault(join.item.kind(), []).append(join)
    found = []
    for kind, members in kinds.items():
        rest = _Series(members, open_.items.get(kind, ()), open_.targets.get(kind, ()))
        doubtful = {id(join) for series in rest.by_stems() if series.is_shifted() for join in series.joined}
        doubtful.update(map(id, _torn(members)))
        doubtful.update(map(id, _parted(members, rest)))
        offenders = evidence.contradiction(*_sides(members)) if len(members) > 1 else []
        doubtful.update(id(members[place]) for place in offenders)
        if doubtful:
            void = [join for join in members if id(join) in doubtful or not _says_the_same(join)]
            joined = _whole_series(members, void, rest)
            found.append(rest._replace(joined=joined).conflict(evidence))
    return found


def _whole_series(members: Sequence[Join], void: Sequence[Join], rest: _Series) -> list[Join]:
    """Those of `members` that are `void` or in a series, on either side, with one that is, or with what is left over.

    What takes the place of one of them may shift the others: of `gru_1` to `gru_4` and a model's `gru_2` to `gru_5`.
    """
    chosen = list(void)
    while True:
        sources = {stems(join.item.side.name) for join in chosen} | {stems(item.side.name) for item in rest.items}
        targets = {stems(join.target.name) for join in chosen} | {stems(target.name) for target in rest.targets}
        more = [join for join in members if stems(join.item.side.name) in sources or stems(join.target.name) in targets]
        if len(more) == len(chosen):
            return more
        chosen = more


def _parted(joins: Sequence[Join], rest: _Series) -> list[Join]:
    """Those of a series of the file by other names, of which one is left over that would have to go elsewhere."""
    left = {stems(item.side.name) for item in rest.items} if rest.targets else set()
    others = [join for join in joins if join.item.side.name != join.target.name]
    return [join for join in others if stems(join.item.side.name) in left]


def _torn(joins: Sequence[Join]) -> list[Join]:
    """Those of a series of the file that goes to several of the model's, for want of another place, not by names."""
    series: Dict[Parts, list[Join]] = {}
    for join in joins:
        series.setdefault(stems(join.item.side.name), []).append(join)
    found = []
    for members in series.values():
        torn = len({stems(join.target.name) for join in members}) > 1
        if torn and not all(map(_says_the_same, members)):
            found += members
    return found


def _sides(joins: Sequence[Join]) -> tuple[list[Side], list[Side]]:
    return [join.item.side for join in joins], [join.target for join in joins]


class _Series(NamedTuple):
    """Layers that could change places: those with a partner, and those without on either side."""

    joined: Sequence[Join]
    items: Sequence[Item]
    targets: Sequence[Side]

    def by_stems(self) -> Iterator[_Series]:
        """Those that differ in numbers alone, each with what is left over that does so too."""
        groups: Dict[Tuple[Parts, Parts], list[Join]] = {}
        for join in self.joined:
            groups.setdefault((stems(join.item.side.name), stems(join.target.name)), []).append(join)
        items: Dict[Parts, list[Item]] = {}
        for item in self.items:
            for name in {item.side.name, item.full_name()}:
                items.setdefault(stems(name), []).append(item._replace(side=item.side._replace(name=name)))
        targets: Dict[Parts, list[Side]] = {}
        for side in self.targets:
            targets.setdefault(stems(side.name), []).append(side)
        for (here, there), joined in groups.items():
            yield _Series(joined, items.get(here, ()), targets.get(there, ()))

    def is_shifted(self) -> bool:
        """Whether all of the series, in the order of its numbers, goes elsewhere than those that have a partner do."""
        if not (self.items and self.targets):
            if len(self.joined) < 2 or all(_says_the_same(join) for join in self.joined):
                return False
            pairs = by_number(*([side.name for side in sides] for sides in _sides(self.joined)))
            return pairs is None or any(one != other for one, other in pairs)
        sources, targets = _sides(self.joined)
        sources += [item.side for item in self.items]
        targets += self.targets
        pairs = by_number([side.name for side in sources], [side.name for side in targets])
        return pairs is None or any(one != other for one, other in pairs if min(one, other) < len(self.joined))

    def conflict(self, evidence: Evidence) -> Conflict:
        """All of it, and what settles it."""
        items = (*(join.item for join in self.joined), *self.items)
        targets = (*(join.target for join in self.joined), *self.targets)
        resolution = evidence.resolve([item.side for item in items], targets)
        return Conflict(items, targets, tuple(self.joined), resolution)


def _says_the_same(join: Join) -> bool:
    return ends_alike(join.item.side.name, join.target.name)
