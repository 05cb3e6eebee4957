"""Which layers of a file go into which of a model, among those that fit: only what evidence singles out for both.

The ends of names, scopes already settled, being the only fit, numbers, the order of the layers, and what went to the
other parts of a layer. What then still has alternatives is ambiguous; it is never guessed.
"""

from __future__ import annotations

from typing import Dict, Iterator, Mapping, NamedTuple, Sequence, Tuple

from .inference import Fit, Kind, Place, Unit
from .interchange import Evidence, Resolution, Side
from .names import Parts, by_names, by_number, opposed

Scopes = Dict[Parts, "set[Parts]"]


class Choice(NamedTuple):
    """A layer of the file, the layer of the model that it goes into, and why."""

    unit: Unit
    path: str
    kind: Kind
    why: str


class Rivals(NamedTuple):
    """Layers of the file, and those of the model that they fit by their path, all that could change places."""

    units: tuple[Unit, ...]
    places: Mapping[str, Place]

    def fit(self, number: int, path: str) -> bool:
        """Whether the unit at that place fits the layer at `path`."""
        fit = self.units[number].fits.get(self.places[path].kind)
        return fit is not None and not opposed(fit.name, _parts(path))


def match(units: Sequence[Unit], places: Mapping[str, Place], evidence: Evidence) -> tuple[list[Choice], list[Rivals]]:
    """The choices that evidence allows, and what is left: alternatives that nothing tells apart."""
    board = _Board(units, places)
    chosen: list[Choice] = []
    scopes: Scopes = {}
    while True:
        found = (
            _by_ending(board, scopes)
            or _only_fits(board)
            or _by_number(board)
            or _by_order(board, evidence)
            or _by_neighbours(board, chosen)
        )
        if not found:
            return chosen, list(board.rivals())
        for choice in found:
            board.close(choice)
            chosen.append(choice)
            _learn(choice, places[choice.path], scopes)


def _learn(choice: Choice, place: Place, scopes: Scopes) -> None:
    """Remembers that what precedes the end that both names have leads to the same place for others of that scope."""
    fit = choice.unit.fits[choice.kind]
    theirs = {ending.text: ending for ending in place.endings}
    shared = next((ending for ending in fit.endings if ending.text in theirs), None)
    if shared is not None:
        above = _above(_parts(choice.path), theirs[shared.text].components)
        scopes.setdefault(_above(fit.name, shared.components), set()).add(above)


def _parts(path: str) -> Parts:
    return tuple(part for part in path.split("/") if part)


def _above(name: Parts, components: int) -> Parts:
    return name[: max(0, len(name) - components)]


class _Board:
    """The layers of both sides that have no partner yet."""

    def __init__(self, units: Sequence[Unit], places: Mapping[str, Place]) -> None:
        self.places = places
        self.units: Dict[int, Unit] = dict(enumerate(units))
        self.paths: Dict[Kind, Dict[str, None]] = {}
        self.fitting: Dict[Kind, Dict[int, None]] = {}
        self._using: Dict[str, list[int]] = {}
        for path, place in places.items():
            self.paths.setdefault(place.kind, {})[path] = None
        for number, unit in self.units.items():
            for kind in unit.fits:
                self.fitting.setdefault(kind, {})[number] = None
            for source in unit.sources:
                self._using.setdefault(source, []).append(number)

    def close(self, choice: Choice) -> None:
        """Takes off the layer of the model, and every unit that has a tensor of what goes there."""
        del self.paths[choice.kind][choice.path]
        for number in {number for source in choice.unit.sources for number in self._using[source]}:
            unit = self.units.pop(number, None)
            for kind in unit.fits if unit else ():
                del self.fitting[kind][number]

    def kinds(self, unit: Unit) -> list[Kind]:
        """The kinds of layers that `unit` fits and of which one is open."""
        return [kind for kind in unit.fits if self.paths.get(kind)]

    def rivals(self) -> Iterator[Rivals]:
        """What is open on both sides, parted into what has nothing to do with each other."""
        seen: set[Kind] = set()
        for start in self.paths:
            if start in seen or not self.paths[start] or not self.fitting.get(start):
                continue
            pending, kinds = [start], {start}
            numbers: Dict[int, None] = {}
            while pending:
                for number in self.fitting[pending.pop()]:
                    if number not in numbers:
                        numbers[number] = None
                        more = [kind for kind in self.kinds(self.units[number]) if kind not in kinds]
                        kinds.update(more)
                        pending += more
            seen |= kinds
            places = {
                path: place
                for path, place in self.places.items()
                if place.kind in kinds and path in self.paths[place.kind]
            }
            yield Rivals(tuple(self.units[number] for number in numbers), places)

    def interchangeable(self) -> Iterator[Tuple[Rivals, Kind]]:
        """Those of `rivals` that are all of one kind, none of them with a tensor of another."""
        for rivals in self.rivals():
            kinds = {place.kind for place in rivals.places.values()}
            sources = [source for unit in rivals.units for source in unit.sources]
            if len(kinds) == 1 and len(set(sources)) == len(sources):
                yield rivals, next(iter(kinds))


class _Bucket(NamedTuple):
    """The open units and layers of one kind that end in the same text, with what precedes it."""

    text: str
    kind: Kind
    units: list[Tuple[int, Parts]]
    paths: list[Tuple[str, Parts]]


def _by_ending(board: _Board, scopes: Scopes) -> list[Choice]:
    """Layers whose names have an end in common that neither shares with any other; the longest such ends alone.

    What is learned from these may tell the others apart, so they wait for another round. Of several that have an end in
    common, those go together whose scopes did before.
    """
    by_length = _buckets(board)
    done: set[object] = set()
    for length in sorted(by_length, reverse=True):
        buckets = []
        for bucket in by_length[length]:
            units = [item for item in bucket.units if item[0] not in done]
            paths = [item for item in bucket.paths if item[0] not in done]
            if units and paths:
                buckets.append(bucket._replace(units=units, paths=paths))
        found = _same_scope(buckets, scopes) or _unique(buckets)
        if found:
            return [
                Choice(
                    board.units[number],
                    path,
                    bucket.kind,
                    _both_end(board.units[number].fits[bucket.kind], bucket.text),
                )
                for bucket, number, path in found
            ]
        for bucket in buckets:
            done.update(number for number, _ in bucket.units)
            done.update(path for path, _ in bucket.paths)
    return []


def _both_end(fit: Fit, text: str) -> str:
    components = next(ending.components for ending in fit.endings if ending.text == text)
    return f"both end in {'/'.join(fit.name[-components:])}"


def _buckets(board: _Board) -> Dict[int, list[_Bucket]]:
    """The endings that open layers of both sides have, by the number of their words."""
    found: Dict[Tuple[str, Kind], _Bucket] = {}
    lengths: Dict[Tuple[str, Kind], int] = {}
    for number, unit in board.units.items():
        for kind in board.kinds(unit):
            fit = unit.fits[kind]
            for text, words, components in fit.endings:
                bucket = found.setdefault((text, kind), _Bucket(text, kind, [], []))
                bucket.units.append((number, _above(fit.name, components)))
                lengths[text, kind] = words
    for kind, paths in board.paths.items():
        for path in paths:
            for text, _, components in board.places[path].endings:
                if (text, kind) in found:
                    found[text, kind].paths.append((path, _above(_parts(path), components)))
    by_length: Dict[int, list[_Bucket]] = {}
    for key, bucket in found.items():
        if bucket.paths:
            by_length.setdefault(lengths[key], []).append(bucket)
    return by_length


_Found = Tuple[_Bucket, int, str]


def _unique(buckets: Sequence[_Bucket]) -> list[_Found]:
    """The pairs of which either is the only one that the other could go with."""
    uses: Dict[object, int] = {}
    for bucket in buckets:
        for number, _ in bucket.units:
            uses[number] = uses.get(number, 0) + len(bucket.paths)
        for path, _ in bucket.paths:
            uses[path] = uses.get(path, 0) + len(bucket.units)
    return [
        (bucket, bucket.units[0][0], bucket.paths[0][0])
        for bucket in buckets
        if len(bucket.units) == len(bucket.paths) == 1 and uses[bucket.units[0][0]] == uses[bucket.paths[0][0]] == 1
    ]


def _same_scope(buckets: Sequence[_Bucket], scopes: Scopes) -> list[_Found]:
    """The pairs that are the only ones with these scopes, where all that was settled went from the one to the other."""
    parted = []
    for bucket in buckets:
        by_scope: Dict[Parts, list[Tuple[str, Parts]]] = {}
        for item in bucket.paths:
            by_scope.setdefault(item[1], []).append(item)
        units: Dict[Parts, list[Tuple[int, Parts]]] = {}
        for number, scope in bucket.units:
            if len(scopes.get(scope, ())) == 1:
                (there,) = scopes[scope]
                units.setdefault(there, []).append((number, scope))
        parted += [
            bucket._replace(units=items, paths=by_scope[there]) for there, items in units.items() if there in by_scope
        ]
    return _unique(parted)


def _only_fits(board: _Board) -> list[Choice]:
    """Layers that fit each other and nothing else that is open."""
    found = []
    for unit in board.units.values():
        kinds = board.kinds(unit)
        if len(kinds) == 1 and len(board.paths[kinds[0]]) == 1 and len(board.fitting[kinds[0]]) == 1:
            (path,) = board.paths[kinds[0]]
            if not opposed(unit.fits[kinds[0]].name, _parts(path)):
                found.append(Choice(unit, path, kinds[0], "the only fit of its kind and shapes"))
    return found


def _by_number(board: _Board) -> list[Choice]:
    """Series: `dense`, `dense_1`, ... or `cell_0`, `cell_1`, ... against as many layers numbered alike, in order."""
    found = []
    for rivals, kind in board.interchangeable():
        paths = list(rivals.places)
        pairs = by_number([unit.fits[kind].name for unit in rivals.units], [_parts(path) for path in paths])
        if not all(rivals.fit(one, paths[other]) for one, other in pairs or ()):
            continue
        for rank, (one, other) in enumerate(pairs or (), 1):
            why = f"number {rank} of {len(paths)} on both sides"
            found.append(Choice(rivals.units[one], paths[other], kind, why))
    return found


def _by_order(board: _Board, evidence: Evidence) -> list[Choice]:
    """Layers that come in the same order on both sides, where names do not say otherwise."""
    found = []
    for rivals, kind in board.interchangeable():
        paths = list(rivals.places)
        resolution = evidence.resolve(*_sides(rivals, kind))
        for one, other in resolution.pairs if resolution.sure else ():
            found.append(Choice(rivals.units[one], paths[other], kind, resolution.why))
    return found


def resolve(rivals: Rivals, evidence: Evidence) -> Resolution:
    """What to suggest for layers that nothing tells apart."""
    kinds = {place.kind for place in rivals.places.values()}
    if len(kinds) == 1:
        return evidence.resolve(*_sides(rivals, next(iter(kinds))))
    names = [next(fit for kind, fit in unit.fits.items() if kind in kinds).name for unit in rivals.units]
    paths = list(rivals.places)
    pairs = [pair for pair in by_names(names, [_parts(path) for path in paths]) if rivals.fit(pair[0], paths[pair[1]])]
    sources = [Side(names[one], tuple(rivals.units[one].sources)) for one, _ in pairs]
    targets = [Side(_parts(paths[other]), rivals.places[paths[other]].variables(paths[other])) for _, other in pairs]
    return Resolution() if evidence.contradiction(sources, targets) else Resolution(pairs, "by their names")


def _sides(rivals: Rivals, kind: Kind) -> tuple[list[Side], list[Side]]:
    units = [unit.fits[kind].item().side for unit in rivals.units]
    return units, [Side(_parts(path), place.variables(path)) for path, place in rivals.places.items()]


def _by_neighbours(board: _Board, chosen: Sequence[Choice]) -> list[Choice]:
    """Layers whose scope is the nearest, in the file's tree, to those that went to the other parts of their layer."""
    parts: Dict[str, set[Parts]] = {}
    for choice in chosen:
        parent = choice.path.rpartition("/")[0]
        if parent:
            parts.setdefault(parent, set()).add(choice.unit.fits[choice.kind].name)
    # Every beginning of a name, with the units that have it, and the layers to whose parts such names went.
    units: Dict[Tuple[Kind, Parts], Dict[int, None]] = {}
    paths: Dict[Tuple[Kind, Parts], Dict[str, None]] = {}
    for kind, open_paths in board.paths.items():
        for path in open_paths:
            for name in parts.get(path.rpartition("/")[0], ()):
                for length in range(1, len(name) + 1):
                    paths.setdefault((kind, name[:length]), {})[path] = None
    for number, unit in board.units.items() if paths else ():
        for kind in board.kinds(unit):
            name = unit.fits[kind].name
            for length in range(1, len(name) + 1):
                if (kind, name[:length]) in paths:
                    units.setdefault((kind, name[:length]), {})[number] = None
    best: Dict[object, _Nearest] = {}
    for (kind, start), numbers in units.items():
        for path in paths[kind, start]:
            _come_nearer(best, path, _Nearest(len(start), len(numbers), next(iter(numbers)), kind))
        for number in numbers:
            one = next(iter(paths[kind, start]))
            _come_nearer(best, number, _Nearest(len(start), len(paths[kind, start]), one, kind))
    why = "the nearest to what goes to the other parts of this layer"
    found = [
        (near.length, Choice(board.units[number], str(near.one), near.kind, why))
        for number, near in best.items()
        if isinstance(number, int) and near.found == 1 and best[near.one][1:3] == (1, number)
        if not opposed(board.units[number].fits[near.kind].name, _parts(str(near.one)))
    ]
    longest = max((length for length, _ in found), default=0)
    return [choice for length, choice in found if length == longest]


class _Nearest(NamedTuple):
    """What has the longest beginning in common with something: how long, how many there are, and one of them."""

    length: int
    found: int
    one: object
    kind: Kind


def _come_nearer(best: Dict[object, _Nearest], key: object, near: _Nearest) -> None:
    before = best.get(key)
    if before is None or near.length > before.length:
        best[key] = near
    elif near.length == before.length:
        best[key] = before._replace(found=before.found + near.found)
