"""What changed between two reports, new failures first. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from matrix.report.states import RANK, State
from matrix.results import normalize_reason

NEW_FAILURE, OTHERWISE, GONE, MENDED, OTHER = "new failure", "fails otherwise", "gone", "mended", "other outcome"
NEW = "new cell"
_ORDER = (NEW_FAILURE, OTHERWISE, MENDED, OTHER, GONE, NEW)


class Shown(Protocol):
    """What of a cell is compared."""

    @property
    def name(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def state(self) -> State: ...


class Change(msgspec.Struct, frozen=True):
    """A cell that is not what it was: `before` and `after` are ids of states, "" where it is in one report only."""

    what: str
    name: str
    before: str
    after: str
    reason: str


def _what(before: Shown | None, after: Shown | None) -> str | None:
    if before is None or after is None:
        bad = after is not None and after.state.bad
        return NEW_FAILURE if bad else NEW if after else GONE
    if after.state.bad:
        if not before.state.bad:
            return NEW_FAILURE
        same = before.state.id == after.state.id and normalize_reason(before.reason) == normalize_reason(after.reason)
        return None if same else OTHERWISE
    if before.state.bad:
        return MENDED
    return OTHER if before.state.id != after.state.id else None


def changes(before: Iterable[Shown], after: Iterable[Shown]) -> list[Change]:
    """Every change from the cells `before` to those `after`: new failures first, the worst of them first."""
    old = {cell.name: cell for cell in before}
    new = {cell.name: cell for cell in after}
    found = []
    for name in [*new, *(name for name in old if name not in new)]:
        was, now = old.get(name), new.get(name)
        what = _what(was, now)
        if what:
            found.append(
                Change(what, name, was.state.id if was else "", now.state.id if now else "", now.reason if now else "")
            )
    return sorted(found, key=lambda change: (_ORDER.index(change.what), RANK.get(change.after, len(RANK))))
