"""The events that tests/recorder.py writes inside an environment, as the host reads them.

A cell can write to the file as well. So every event is checked: its types and sizes, that it is about cells that were
planned, and that it comes when the recorder would write it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from matrix.plain import clear
from matrix.results import Outcome
from matrix.untrusted import decode_json

_LINE_BYTES = 1 << 22
_FILE_BYTES = 1 << 26  # of one process
_Name = Annotated[str, msgspec.Meta(max_length=1000)]
_Reason = Annotated[str, msgspec.Meta(max_length=4000)]
_Text = Annotated[str, msgspec.Meta(max_length=1 << 20)]
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=10**7)]


class Event(msgspec.Struct, frozen=True):
    """One line. Which fields mean something depends on `event`."""

    event: Literal["collected", "selected", "collection failed", "started", "stopped", "finished"]
    cell: _Name = ""
    cells: list[_Name] = []
    paths: list[_Name] = []
    inputs: dict[_Name, list[_Name]] = {}
    where: _Name = ""
    reason: _Reason = ""
    outcome: Outcome = Outcome.FAILED
    seconds: _Seconds = 0.0
    details: Annotated[dict[_Name, bool | _Integer | float | _Text], msgspec.Meta(max_length=1000)] = {}
    versions: Annotated[dict[_Name, _Name], msgspec.Meta(max_length=100)] = {}


class NotEvents(Exception):
    """What stands there was not written by the recorder; the text says what does."""


class EventReader:
    """Reads the events of one process, about the cells `planned` and the `artifacts` given.

    It makes the file at `path` for them, in the place of whatever is there, and keeps it open: what a cell puts there
    instead is not read.
    """

    def __init__(self, path: Path, planned: Iterable[str], artifacts: Iterable[str] = ()) -> None:
        self._name = path.name
        self._planned, self._artifacts = frozenset(planned), frozenset(artifacts)
        self._offset = 0
        self._seen: set[tuple[str, str]] = set()
        self._current = ""
        clear(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> EventReader:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)

    def read(self) -> Iterator[Event]:
        """The events in the whole lines that have come since the last one that was taken. Raises NotEvents."""
        while lines := self._lines():
            for line in lines:
                self._offset += len(line) + 1  # of no more than is taken: the caller may be interrupted
                try:
                    event = decode_json(line, Event)
                except msgspec.DecodeError as error:
                    raise self._wrong(f"has a line that is no event ({error})") from None
                self._check(event)
                yield event

    def _lines(self) -> list[bytes]:
        if os.fstat(self._descriptor).st_size < self._offset:
            raise self._wrong("has become shorter")
        text = os.pread(self._descriptor, _LINE_BYTES, self._offset)
        whole = text[: text.rfind(b"\n") + 1]
        if not whole and len(text) == _LINE_BYTES:
            raise self._wrong(f"has a line of more than {_LINE_BYTES >> 20} MiB")
        if self._offset + len(whole) > _FILE_BYTES:
            raise self._wrong(f"has more than {_FILE_BYTES >> 20} MiB")
        return whole.split(b"\n")[:-1]

    def _check(self, event: Event) -> None:
        """Raises NotEvents for what the recorder does not write, or not now."""
        kind, once = event.event, (event.event, event.cell)
        self._require_planned([*([event.cell] if kind in ("started", "finished") else []), *event.cells, *event.inputs])
        given = {name for names in event.inputs.values() for name in names}
        if not given <= self._artifacts:
            raise self._wrong(f"says that a cell reads {min(given - self._artifacts)!r}, which it was not given")
        if kind in ("collected", "selected", "started", "finished"):
            if once in self._seen:
                raise self._wrong(f"says {kind!r} twice{f' of {event.cell}' if event.cell else ''}")
            self._seen.add(once)
        if (kind == "started" and self._current) or (kind == "finished" and self._current != event.cell):
            raise self._wrong(f"says {kind!r} of {event.cell} while {self._current or 'no cell'} runs")
        if kind in ("started", "finished"):
            self._current = event.cell if kind == "started" else ""

    def _require_planned(self, cells: Collection[str]) -> None:
        unplanned = [cell for cell in cells if cell not in self._planned]
        if unplanned:
            raise self._wrong(f"tells of {unplanned[0]!r}, which is not planned")

    def _wrong(self, what: str) -> NotEvents:
        return NotEvents(f"{self._name}, where its results go, {what}: a cell has done that")
