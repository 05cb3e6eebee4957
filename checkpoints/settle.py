"""Choosing among candidates: only what evidence singles out, for the source and for the target alike."""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, NamedTuple, Sequence, Tuple

from .inference import Candidate
from .numbering import split_number


class Choice(NamedTuple):
    """A candidate that was chosen, and why."""

    candidate: Candidate
    why: str


Scores = Callable[[Candidate], float]


def settle(candidates: Sequence[Candidate]) -> Tuple[list[Choice], list[Candidate]]:
    """The choices that evidence allows, and the candidates that are left: alternatives nothing tells apart."""
    left = list(candidates)
    chosen: list[Choice] = []
    scopes: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    while left:
        found = _by_name(left, scopes) or _only_fits(left) or _by_number(left) or _by_neighbours(left, chosen)
        if not found:
            break
        chosen += found
        paths = {choice.candidate.path for choice in found}
        sources: set[str] = set()
        for choice in found:
            sources |= choice.candidate.sources()
            _learn(choice.candidate, scopes)
        left = [other for other in left if other.path not in paths and not sources & other.sources()]
    return chosen, left


@lru_cache(maxsize=65536)
def _shared_end(user: tuple[str, ...], path: str) -> tuple[int, int]:
    """How many components, of the scope and of the layer's path, say the same at their ends.

    A component may stand for several: Keras 3 takes no slash in a layer's name, so that what was
    `layer_0/attention/self` is mostly called `layer_0_attention_self` there.
    """
    layer = tuple(part for part in path.split("/") if part)
    count = 0
    for mine, theirs in zip(reversed(user), reversed(layer)):
        if not _same(mine, theirs):
            break
        count += 1
    best = count, count
    ends = {"_".join(layer[-length:]): length for length in range(1, len(layer) + 1)}
    for length in range(1, len(user) + 1):
        other = ends.get("_".join(user[-length:]))
        if other and max(length, other) > max(best):
            best = length, other
    return best


def _same(mine: str, other: str) -> bool:
    if mine in ("fw", "FW"):
        return other.startswith("forward")
    if mine in ("bw", "BW"):
        return other.startswith("backward")
    return mine == other


def _prefixes(candidate: Candidate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    path = tuple(part for part in candidate.path.split("/") if part)
    mine, other = _shared_end(candidate.user, candidate.path)
    return candidate.user[: len(candidate.user) - mine], path[: len(path) - other]


def _learn(candidate: Candidate, scopes: dict[tuple[str, ...], set[tuple[str, ...]]]) -> None:
    """Remembers that what precedes the common end leads to the same place for other layers of the same scope."""
    if any(_shared_end(candidate.user, candidate.path)):
        source, target = _prefixes(candidate)
        scopes.setdefault(source, set()).add(target)


def _by_name(left: Sequence[Candidate], scopes: dict[tuple[str, ...], set[tuple[str, ...]]]) -> list[Choice]:
    """Candidates whose names agree best, strictly better than any other use of the source or of the target."""

    def score(candidate: Candidate) -> float:
        shared = max(_shared_end(candidate.user, candidate.path))
        if not shared:
            return 0.0
        source, target = _prefixes(candidate)
        return shared + (0.5 if scopes.get(source) == {target} else 0.0)

    found = []
    for _, candidate in _outstanding([(score(candidate), candidate) for candidate in left]):
        common = "/".join(candidate.user[-_shared_end(candidate.user, candidate.path)[0] :])
        found.append(Choice(candidate, f"both end in {common}"))
    return found


def _outstanding(scored: Sequence[Tuple[float, Candidate]]) -> list[Tuple[float, Candidate]]:
    """Those that score better than any other use of their sources and of their target; of these the best alone.

    What is learned from the strongest may tell the weaker ones apart differently, so they wait for another round.
    """
    best_of: dict[str, list[float]] = {}
    for points, candidate in scored:
        for key in [candidate.path, *candidate.sources()]:
            best_of.setdefault(key, []).append(points)
    for values in best_of.values():
        values.sort(reverse=True)

    def stands_out(points: float, key: str) -> bool:
        others = best_of[key]
        return others[0] == points and (len(others) == 1 or others[1] < points)

    found = [
        (points, candidate)
        for points, candidate in scored
        if points > 0 and all(stands_out(points, key) for key in [candidate.path, *candidate.sources()])
    ]
    strongest = max((points for points, _ in found), default=0)
    return [(points, candidate) for points, candidate in found if points == strongest]


def _only_fits(left: Sequence[Candidate]) -> list[Choice]:
    """Candidates that have no rival on either side."""
    uses: dict[str, int] = {}
    for candidate in left:
        for key in [candidate.path, *candidate.sources()]:
            uses[key] = uses.get(key, 0) + 1
    why = "the only fit of its kind and shapes"
    return [
        Choice(candidate, why)
        for candidate in left
        if all(uses[key] == 1 for key in [candidate.path, *candidate.sources()])
    ]


def _by_number(left: Sequence[Candidate]) -> list[Choice]:
    """Series: `dense`, `dense_1`, ... or `cell_0`, `cell_1`, ... against as many layers numbered alike, in order."""
    paths_of: dict[tuple[str, ...], set[str]] = {}
    users_of: dict[str, set[tuple[str, ...]]] = {}
    for candidate in left:
        paths_of.setdefault(candidate.user, set()).add(candidate.path)
        users_of.setdefault(candidate.path, set()).add(candidate.user)
    for series in _series(sorted(paths_of)):
        reach = [paths_of[user] for user in series]
        paths = set.union(*reach)
        rivals = set().union(*(users_of[path] for path in paths)) - set(series)
        if rivals or len(paths) != len(series) or any(places != paths for places in reach):
            continue
        ordered = _series(sorted(tuple(path.split("/")) for path in paths))
        if len(ordered) != 1 or len(ordered[0]) != len(series):
            continue
        wanted = dict(zip(series, ("/".join(path) for path in ordered[0])))
        return [
            Choice(candidate, f"number {series.index(candidate.user) + 1} of {len(series)} on both sides")
            for candidate in left
            if wanted.get(candidate.user) == candidate.path
        ]
    return []


def _by_neighbours(left: Sequence[Candidate], chosen: Sequence[Choice]) -> list[Choice]:
    """Candidates whose scope is the nearest to those that went to the same layer's other parts, in the file's tree."""
    parts: dict[str, set[tuple[str, ...]]] = {}
    for choice in chosen:
        parent = choice.candidate.path.rpartition("/")[0]
        if parent:
            parts.setdefault(parent, set()).add(choice.candidate.user)
    scored = []
    for candidate in left:
        others = parts.get(candidate.path.rpartition("/")[0], ())
        scored.append((float(max((_shared_start(candidate.user, other) for other in others), default=0)), candidate))
    why = "the nearest to what goes to the other parts of this layer"
    return [Choice(candidate, why) for _, candidate in _outstanding(scored)]


def _shared_start(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    count = 0
    for mine, theirs in zip(one, other):
        if mine != theirs:
            break
        count += 1
    return count


def _series(names: Sequence[tuple[str, ...]]) -> list[list[tuple[str, ...]]]:
    """Names that differ only in the number that one of their components ends in, in the order of that number."""
    found: dict[tuple[int, tuple[str, ...]], list[tuple[int, tuple[str, ...]]]] = {}
    for name in names:
        for place, part in enumerate(name):
            stem, number = split_number(part)
            if number is not None and stem.endswith("_"):
                stem = stem[:-1]
            alike = (*name[:place], stem, *name[place + 1 :])
            found.setdefault((place, alike), []).append((number or 0, name))
    return [[name for _, name in sorted(members)] for members in found.values() if len(members) > 1]
