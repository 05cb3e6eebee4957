"""Records: one a cell, appended to reports/results.jsonl as it happens; and what a set of them amounts to."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from matrix.tools import exclusive, host
from matrix.untrusted import decode_json

#: The detail of a record that says at which try of a workflow's job its cell passed, if not at the first.
TRIES = "tries"
#: The detail `how` of a record that says only what kept its cell from a result.
NO_RESULT = "no result"
#: The file of `Begun`, in reports/.
RUNS = "runs.jsonl"


class Outcome(enum.Enum):
    """How a cell ended. Only PASSED is shown as passed."""

    PASSED = "passed"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    UNSUPPORTED = "unsupported"
    KNOWN = "known"
    FIXED = "fixed"
    NOT_RUN = "not run"

    @property
    def sign(self) -> str:
        """One character that tells outcomes apart without colour."""
        return {"passed": "✓", "failed": "✗", "crashed": "☠", "timed out": "◷", "known": "k", "fixed": "!"}.get(
            self.value, "–"
        )

    @property
    def bad(self) -> bool:
        """Whether it fails the run. A fixed cell does: the ledger must be corrected."""
        return self in (Outcome.FAILED, Outcome.CRASHED, Outcome.TIMED_OUT, Outcome.FIXED)


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one cell after one run."""

    run: str
    cell: str
    environment: str
    device: str
    outcome: Outcome
    reason: str
    seconds: float
    engine: str
    isolation: str
    image: str
    image_id: str
    base: str
    versions: dict[str, str]
    host: dict[str, str]
    started: str
    log: str
    details: dict[str, str | int | float | bool] = {}
    inputs: dict[str, str] = {}  # artifacts that the cell read, KIND/NAME: SHA-256 of the manifest


def unrun(environment: str, cell: str, outcome: Outcome, reason: str, details: dict[str, str] | None = None) -> Record:
    """The record of a cell that nothing ran: only the `reason` is known."""
    return Record(
        run="",
        cell=cell,
        environment=environment,
        device="",
        outcome=outcome,
        reason=reason,
        seconds=0.0,
        engine="",
        isolation="",
        image="",
        image_id="",
        base="",
        versions={},
        host=host(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        log="",
        details={**(details or {})},
    )


class Begun(msgspec.Struct, frozen=True):
    """What a run of an environment is about to run: each cell gets a record, or was lost with the run."""

    run: str
    environment: str
    started: str
    cells: list[str]


class Results:
    """The file of records. Several processes may append to it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Record) -> None:
        """Write `record` in one piece, and make sure that it is on the disk."""
        self.extend([record])

    def extend(self, records: Iterable[Record]) -> None:
        """Write all `records` in one piece."""
        append_lines(self.path, records)

    def read(self, run: str | None = None) -> list[Record]:
        """The records in order, all or those of one run. A line torn by a power cut is left out."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        records = []
        for line in lines:
            try:
                record = decode_json(line, Record)
            except msgspec.DecodeError:
                continue
            if run is None or record.run == run:
                records.append(record)
        return records


def append_lines(path: Path, entries: Iterable[Record | Begun]) -> None:
    """Write `entries` to the end of the file at `path` in one piece, and make sure that they are on the disk."""
    line = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
    with exclusive(path.with_suffix(".lock")):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # a machine lost power within the last one: keep this one whole
            try:
                if os.write(descriptor, line) != len(line):
                    raise OSError(28, os.strerror(28), str(path))
                os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, size)  # a full disk takes half a line: better none
                raise
        finally:
            os.close(descriptor)


# The name of a run, addresses in memory, names of containers and of temporary files.
_OF_ONE_RUN = re.compile(r"carryover-\w+-[\w.-]+-\d{8}T\d{6}-\d+|\b0x[0-9a-f]+\b|\b[0-9a-f]{12}\b|/tmp/[^\s'\":,)]+")


def normalize_reason(reason: str) -> str:
    """`reason` without what differs from run to run, for comparison.

    tests/recorder.py writes reasons without it; here are those that the host or an older record gives.
    """
    return _OF_ONE_RUN.sub("…", reason)


def missing(planned: Iterable[str], records: Iterable[Record]) -> list[str]:
    """The planned cells that have no record."""
    seen = {record.cell for record in records}
    return [cell for cell in planned if cell not in seen]
