"""The report as data: every planned cell with what is known of it. Pure: from a plan and judged records."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from matrix.ledger import Entry, Judged
from matrix.pairs import MatrixPlan, PlannedCell
from matrix.report.changes import Change
from matrix.report.states import NO_RECORD, RANK, State, state_of
from matrix.results import TRIES, Record
from matrix.table import short

VERSION = 1  # of report.json
_STRUCTURE = {"producer", "kind", "way", "how", "sha256", "artifact", "text"}  # details that are no figures
Figures = dict[str, str | int | float | bool]
_Key: TypeAlias = tuple[str, str]  # environment and cell


class Kind(msgspec.Struct, frozen=True):
    """A format that is written and read."""

    id: str
    title: str


class Cause(msgspec.Struct, frozen=True):
    """An entry of the ledger: why cells fail, where upstream says so, and what to do instead."""

    id: str
    cause: str
    link: str = ""
    instead: str = ""


class Context(msgspec.Struct, frozen=True):
    """What many records share: the image and what is in it, and where it ran."""

    engine: str
    isolation: str
    image: str
    image_id: str
    base: str
    device: str
    versions: dict[str, str]
    host: dict[str, str]


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """One cell. `name` is what `nox -s repro` takes; `context` is an index into Report.contexts, -1 without a record.

    `role` is produce or consume in the matrix, and check in the environments' own cells.
    """

    name: str
    environment: str
    cell: str
    role: str
    outcome: str
    reason: str = ""
    kind: str = ""
    producer: str = ""
    way: str = ""
    how: str = ""
    entry: str = ""
    seconds: float = 0.0
    figures: Figures = {}
    text: str = ""
    artifact: str = ""
    sha256: str = ""
    log: str = ""
    run: str = ""
    started: str = ""
    context: int = -1
    bundle: str = ""
    session: str = ""  # what runs it, of a check without a record

    @property
    def state(self) -> State:
        """How it is shown."""
        return state_of(self.outcome, self.how)

    @property
    def command(self) -> str:
        """What runs this cell again, and no other; from its bundle where there is one."""
        if self.outcome == NO_RECORD and self.role == "check":
            return f"nox -s {shlex.quote(self.session)}"
        if self.outcome == NO_RECORD:
            words = [f"producer={self.producer or self.environment}", f"kind={self.kind}"]
            words += [f"consumer={self.environment}", f"way={self.way}"] if self.role == "consume" else []
            return f"nox -s matrix -- --only {' '.join(words)}"
        if self.bundle:
            return f"nox -s repro -- {shlex.quote(self.bundle)}"
        return f"nox -s repro -- {shlex.quote(self.name)}"


class Rate(msgspec.Struct, frozen=True):
    """Steps per second of one way of writing the training, and their ratio to the reference: least, median, most."""

    release: str
    mode: str
    batch: int
    steps_per_second: dict[str, float]
    ratio: dict[str, float]


class Missing(msgspec.Struct, frozen=True):
    """A way of writing the training that a release does not have, and why."""

    release: str
    mode: str
    reason: str


class Steps(msgspec.Struct, frozen=True):
    """reports/bench-steps.json, as the bench writes it; `reference` has a release and a mode."""

    reference: dict[str, str]
    rows: list[Rate]
    unsupported: list[Missing]
    host: dict[str, str]
    threads: int
    rounds: int


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """report.json: the cells in the plan's order, then those of the environments' own checks."""

    version: int
    made: str
    selection: list[str]
    producers: list[str]
    consumers: list[str]
    kinds: list[Kind]
    ways: list[str]
    cells: list[Cell]
    contexts: list[Context]
    causes: list[Cause]
    notes: list[str] = []
    against: str = ""
    changes: list[Change] = []
    steps: Steps | None = None

    def counts(self) -> dict[str, int]:
        """{id of a state: how many cells}, worst first, without those that no cell is in."""
        counted = Counter(cell.state.id for cell in self.cells)
        return {name: counted[name] for name in RANK if counted[name]}

    def bad(self) -> list[Cell]:
        """The cells that fail the run, worst first."""
        return sorted((cell for cell in self.cells if cell.state.bad), key=lambda cell: RANK[cell.state.id])


class _Contexts:
    """Each distinct context once."""

    def __init__(self) -> None:
        self.all: list[Context] = []
        self._index: dict[object, int] = {}

    def index(self, record: Record) -> int:
        """The place of the record's context in `all`."""
        key = (
            record.engine,
            record.image_id,
            record.device,
            tuple(record.versions.items()),
            tuple(record.host.items()),
        )
        if key not in self._index:
            self._index[key] = len(self.all)
            self.all.append(msgspec.convert(record, Context, from_attributes=True))
        return self._index[key]


def _details(record: Record, name: str) -> str:
    return str(record.details.get(name, ""))


def _cell(judged: Judged, contexts: _Contexts, planned: PlannedCell | None) -> Cell:
    record = judged.record
    return Cell(
        name=f"{record.environment}/{short(record.cell)}",
        environment=record.environment,
        cell=record.cell,
        role=planned.role if planned else "check",
        outcome=judged.outcome.value,
        reason=record.reason,
        kind=planned.kind if planned else "",
        producer=planned.producer if planned else "",
        way=planned.way if planned else "",
        how=_details(record, "how"),
        entry=judged.entry,
        seconds=record.seconds,
        figures={name: value for name, value in record.details.items() if name not in _STRUCTURE},
        text=_details(record, "text"),
        artifact=_details(record, "artifact") or ", ".join(record.inputs),
        sha256=_details(record, "sha256") or ", ".join(record.inputs.values()),
        log=record.log,
        run=record.run,
        started=record.started,
        context=contexts.index(record),
    )


def _unrecorded(planned: PlannedCell, session: str = "") -> Cell:
    return Cell(
        name=f"{planned.environment}/{short(planned.cell)}",
        environment=planned.environment,
        cell=planned.cell,
        role=planned.role,
        outcome=NO_RECORD,
        reason="no record: it was planned, but no run has got to it, or the run was cut",
        kind=planned.kind,
        producer=planned.producer,
        way=planned.way,
        session=session,
    )


def _checks(latest: Mapping[_Key, Judged], lost: Mapping[_Key, str], contexts: _Contexts) -> list[Cell]:
    """The environments' own cells: `lost` ones have no record that counts, whatever an earlier run has found."""
    return [
        _unrecorded(PlannedCell(*key, role="check", kind=""), lost[key])
        if key in lost
        else _cell(latest[key], contexts, None)
        for key in dict.fromkeys([*latest, *lost])
    ]


def _latest(judged: Iterable[Judged]) -> dict[_Key, Judged]:
    """Several runs append to one file: the last record of a cell counts."""
    return {(one.record.environment, one.record.cell): one for one in judged}


def _causes(cells: Iterable[Cell], ledger: Iterable[Entry]) -> list[Cause]:
    """The ledger's entries that any cell has to do with."""
    named = {cell.entry for cell in cells}
    return [Cause(entry.id, entry.cause, entry.link, entry.instead) for entry in ledger if entry.id in named]


def _second_tries(cells: Sequence[Cell]) -> list[str]:
    tried = [cell.name for cell in cells if TRIES in cell.figures]
    if not tried:
        return []
    more = f" and {len(tried) - 20} more" if tried[20:] else ""
    return [f"passed only when their job was run again: {', '.join(tried[:20])}{more}"]


def make_report(
    plan: MatrixPlan | None,
    judged: Sequence[Judged],
    checks: Sequence[Judged],
    made: str,
    ledger: Sequence[Entry] = (),
    notes: Sequence[str] = (),
    steps: Steps | None = None,
    lost: Mapping[_Key, str] = MappingProxyType({}),
) -> Report:
    """The report of `plan` (None where no matrix was run) and of the environments' own `checks`.

    `lost` are the checks, by environment and cell, whose last run did not get to them, with the session that does.
    Records that the plan does not have are left out, and a note says how many.
    """
    contexts = _Contexts()
    latest = _latest(judged)
    cells = []
    for planned in plan.cells if plan else []:
        one = latest.pop((planned.environment, planned.cell), None)
        cells.append(_cell(one, contexts, planned) if one else _unrecorded(planned))
    cells += _checks(_latest(checks), lost, contexts)
    left = [f"{len(latest):,} records of the matrix are of cells that this plan does not have: left out"]
    return Report(
        version=VERSION,
        made=made,
        selection=list(plan.selection) if plan else [],
        producers=list(plan.producers) if plan else [],
        consumers=list(plan.consumers) if plan else [],
        kinds=[Kind(kind["id"], kind["title"]) for kind in plan.kinds] if plan else [],
        ways=list(plan.ways) if plan else [],
        cells=cells,
        contexts=contexts.all,
        causes=_causes(cells, ledger),
        notes=[*notes, *(left if latest else []), *_second_tries(cells)],
        steps=steps,
    )
