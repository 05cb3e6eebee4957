"""Choosing among candidates: only what evidence singles out, for the source and for the target alike."""

from __future__ import annotations

import re
from typing import Callable, NamedTuple, Sequence, Tuple

from .inference import Candidate

_NUMBERED = re.compile(r"(.*?)(?:_?(\d+))?")


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
        found = _by_name(left, scopes) or _only_fits(left) or _by_number(left)
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


def _shared_end(candidate: Candidate) -> int:
    """How many components the ends of the scope and of the layer's path have in common."""
    path = tuple(part for part in candidate.path.split("/") if part)
    count = 0
    for mine, other in zip(reversed(candidate.user), reversed(path)):
        if not _same(mine, other):
            break
        count += 1
    return count


def _same(mine: str, other: str) -> bool:
    if mine in ("fw", "FW"):
        return other.startswith("forward")
    if mine in ("bw", "BW"):
        return other.startswith("backward")
    return mine == other


def _prefixes(candidate: Candidate, shared: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    path = tuple(part for part in candidate.path.split("/") if part)
    return candidate.user[: len(candidate.user) - shared], path[: len(path) - shared]


def _learn(candidate: Candidate, scopes: dict[tuple[str, ...], set[tuple[str, ...]]]) -> None:
    """Remembers that what precedes the common end leads to the same place for other layers of the same scope."""
    shared = _shared_end(candidate)
    if shared:
        source, target = _prefixes(candidate, shared)
        scopes.setdefault(source, set()).add(target)


def _by_name(left: Sequence[Candidate], scopes: dict[tuple[str, ...], set[tuple[str, ...]]]) -> list[Choice]:
    """Candidates whose names agree best, strictly better than any other use of the source or of the target."""

    def score(candidate: Candidate) -> float:
        shared = _shared_end(candidate)
        if not shared:
            return 0.0
        source, target = _prefixes(candidate, shared)
        return shared + (0.5 if scopes.get(source) == {target} else 0.0)

    scored = [(score(candidate), candidate) for candidate in left]
    best_of: dict[str, list[float]] = {}
    for points, candidate in scored:
        for key in [candidate.path, *candidate.sources()]:
            best_of.setdefault(key, []).append(points)
    for values in best_of.values():
        values.sort(reverse=True)

    def stands_out(points: float, key: str) -> bool:
        others = best_of[key]
        return others[0] == points and (len(others) == 1 or others[1] < points)

    found = []
    for points, candidate in scored:
        if points > 0 and all(stands_out(points, key) for key in [candidate.path, *candidate.sources()]):
            common = "/".join(candidate.user[-_shared_end(candidate) :])
            found.append((points, Choice(candidate, f"both end in {common}")))
    # What is learned from the strongest may tell the weaker ones apart differently, so they wait for another round.
    strongest = max((points for points, _ in found), default=0)
    return [choice for points, choice in found if points == strongest]


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
    for series in _series(sorted({candidate.user for candidate in left})):
        reach = [{candidate.path for candidate in left if candidate.user == user} for user in series]
        paths = set.union(*reach)
        rivals = {candidate.user for candidate in left if candidate.path in paths} - set(series)
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


def _series(names: Sequence[tuple[str, ...]]) -> list[list[tuple[str, ...]]]:
    """Names that differ only in the number at the end of their last component, in the order of that number."""
    found: dict[tuple[str, ...], list[tuple[int, tuple[str, ...]]]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name[-1]) if name else None
        if match is not None:
            found.setdefault((*name[:-1], match.group(1)), []).append((int(match.group(2) or 0), name))
    return [[name for _, name in sorted(members)] for members in found.values() if len(members) > 1]
