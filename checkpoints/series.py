"""Numbered layers whose numbers are shifted: where going by the same name contradicts the order that numbers give.

`dense_1` to `dense_3` of a file are the `dense` to `dense_2` of a model that was built first in its process, or one set
counts from 1 and the other from 0. Then the same names say one thing, and what they leave over has to go against the
order of the numbers: from `dense_3` to `dense`. Nothing tells which of the two is meant, so neither is taken.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, FrozenSet, Iterable, NamedTuple, Sequence, Tuple

from .numbering import split_number
from .plan import Row

Parts = Tuple[str, ...]
Word = Tuple[str, Tuple[int, ...]]
Kind = FrozenSet[Tuple[str, Tuple[int, ...], Tuple[int, ...], str]]
Place = Tuple[Tuple[Word, ...], Tuple[str, ...]]


class Side(NamedTuple):
    """A layer by its name; one of the file with what it carries over: rows, and what stands below the layer's name."""

    name: Parts
    rows: tuple[Row, ...] = ()
    leaves: tuple[str, ...] = ()


class Join(NamedTuple):
    """A layer of the file and the layer of the model that it would go to."""

    source: Side
    target: Side


class Shift(NamedTuple):
    """A series out of order: all of it in its order; one of its layers as it would go, and where its order wants it."""

    ordered: tuple[Join, ...]
    astray: Join
    wanted: Side


def trim(source: Parts, target: Parts | None = None) -> tuple[Parts, Parts]:
    """Both names (or the one, twice) without the variable they end in, if it is the same one and bears no number."""
    target = source if target is None else target
    if min(len(source), len(target)) > 1 and source[-1] == target[-1] and not source[-1][-1:].isdigit():
        return source[:-1], target[:-1]
    return source, target


def likest(names: Iterable[Parts], target: Parts) -> Parts:
    """The first of a layer's names that has the most words in common with the end of `target`."""
    return max(names, key=lambda name: _shared(_words(name), _words(target)))


def join_layers(pairs: Iterable[tuple[Parts, Parts, Row]]) -> list[Join]:
    """Rows by layer, each given with the names of both sides."""
    found: Dict[Tuple[Parts, Parts], list[Row]] = {}
    for source, target, row in pairs:
        found.setdefault((source, target), []).append(row)
    joins = []
    for (source, target), rows in found.items():
        ends = [(row.target or "").rpartition("/")[2] for row in rows]
        leaves = tuple("" if end == target[-1] else end for end in ends)
        joins.append(Join(Side(source, tuple(rows), leaves), Side(target)))
    return joins


def find_shifts(joins: Sequence[Join], sources: Sequence[Join], targets: Sequence[Join]) -> list[Shift]:
    """The series that are out of order.

    `sources` and `targets` are the layers that are left over on either side, each joined to itself. Only layers that
    could change places are compared: those of the same shapes.
    """
    series: Dict[Tuple[Tuple[Word, ...], Tuple[str, ...], Tuple[Word, ...], Kind], list[Join]] = {}
    for join in joins:
        source, target = _words(join.source.name), _words(join.target.name)
        shared = _shared(source, target)
        if shared:
            place = _place(source, shared)
            series.setdefault((*place, target[: len(target) - shared], _kind(join)), []).append(join)
    lengths = {len(stems) for _, stems, _, _ in series}
    open_sources, open_targets = _by_place(sources, lengths), _by_place(targets, lengths)
    found = []
    for (above, stems, over, kind), members in series.items():
        more, free = open_sources.get(((above, stems), kind), []), open_targets.get(((over, stems), kind), [])
        if len(more) != len(free):
            more, free = [], []
        shift = _compare(members, more, free)
        found += [shift] if shift else []
    return found


def _compare(members: Sequence[Join], more: Sequence[Join], free: Sequence[Join]) -> Shift | None:
    """Whether all of a series, in its order, goes elsewhere than `members` do."""
    lined = sorted([*members, *more], key=lambda join: (_numbers(join.source), _numbers(join.target)))
    places = sorted((join.target for join in [*members, *free]), key=_numbers)
    pairs = list(zip(lined, places))
    joined = {id(join) for join in members}
    for join, place in pairs:
        if id(join) in joined and _numbers(join.target) != _numbers(place):
            return Shift(tuple(Join(mine.source, there) for mine, there in pairs), join, place)
    return None


def _kind(join: Join) -> Kind:
    """What a layer must have to change places with another: its variables, by what stands below the layer's name."""
    return frozenset(
        (leaf, row.source_shape, row.target_shape, row.source_dtype)
        for leaf, row in zip(join.source.leaves, join.source.rows)
    )


@lru_cache(maxsize=65536)
def _words(name: Parts) -> tuple[Word, ...]:
    """The words of a name with their numbers: `layer_1/dense` says what `layer_1_dense` does; `dense` is number 0."""
    found: list[tuple[str, list[int]]] = []
    for part in "_".join(name).split("_"):
        stem, number = split_number(part)
        if stem or not found:
            found.append((stem, []))
        if number is not None:
            found[-1][1].append(number)
    return tuple((stem, _without_zeros(numbers)) for stem, numbers in found)


def _without_zeros(numbers: list[int]) -> tuple[int, ...]:
    while numbers and not numbers[-1]:
        numbers = numbers[:-1]
    return tuple(numbers)


def _numbers(side: Side) -> tuple[tuple[int, ...], ...]:
    return tuple(numbers for _, numbers in _words(side.name))


def _shared(source: Sequence[Word], target: Sequence[Word]) -> int:
    """How many words are the same at the ends of both, whatever their numbers."""
    count = 0
    for (mine, _), (theirs, _) in zip(reversed(source), reversed(target)):
        if mine != theirs:
            break
        count += 1
    return count


def _place(words: tuple[Word, ...], shared: int) -> Place:
    """What precedes the common words, numbers included, and these without their numbers."""
    cut = len(words) - shared
    return words[:cut], tuple(stem for stem, _ in words[cut:])


def _by_place(joins: Sequence[Join], lengths: Iterable[int]) -> dict[tuple[Place, Kind], list[Join]]:
    """Layers by what precedes their last words, by these, and by their kind, for each number of last words."""
    found: Dict[Tuple[Place, Kind], list[Join]] = {}
    for length in lengths:
        for join in joins:
            words = _words(join.source.name)
            if len(words) >= length:
                found.setdefault((_place(words, length), _kind(join)), []).append(join)
    return found
