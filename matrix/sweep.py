"""The compatibility matrix, run: producers write, consumers read everything, and only what changed runs again.

Each environment's part is a process of its own (`python -m matrix pairs`), as many at a time as there are cores, which
appends to reports/matrix/results.jsonl as cells finish. This process plans, watches and judges. Whatever ends it, what
had finished stands, and the next run goes on from there.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from matrix import artifacts, pairs
from matrix.engine import Engine
from matrix.engine.process import ENVIRON
from matrix.environments import Environment
from matrix.errors import Busy, LockMismatch, NothingSelected
from matrix.ledger import Entry, Judged, judge_all, load_ledger
from matrix.oldest import oldest
from matrix.pairs import Kind, MatrixPlan, PlannedCell
from matrix.project import Project
from matrix.results import NO_RESULT, Outcome, Record, Results, unrun
from matrix.table import Terminal, counted
from matrix.tools import at_once, exclusive, whole_file

RESULTS = "matrix/results.jsonl"
_POLL_SECONDS = 0.1
#: The sources that a cell's result depends on; a cell that reads natively does not depend on checkpoints/.
_SOURCES = (
    *("tests/pairs/*.py", "tests/pairs/kinds.toml", "tests/recorder.py", "tests/conftest.py", "gan/study.py"),
    "pyproject.toml",  # pytest's options
)
_CARRYOVER_SOURCES = ("checkpoints/**/*.py",)
_NATIVE_SOURCES = ("checkpoints/ulps.py", "checkpoints/dtypes.py", "checkpoints/__init__.py")


class Store:
    """reports/matrix/ and what else of a checkout the matrix is about."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._codes: dict[tuple[str, str], str] = {}
        self.folder = project.reports / "matrix"
        self.plan_file = self.folder / "plan.json"
        self.results = Results(project.reports / RESULTS)
        self.kinds: Sequence[Kind] = pairs.load_kinds(project.root / "tests" / "pairs" / "kinds.toml")
        self.environments = {
            row.id: row for row in project.environments.values() if row.device == "cpu" and "tensorflow" in row.tags
        }

    @property
    def producers(self) -> dict[str, Environment]:
        """Whose files there are to read: the oldest releases, of which only files are here, and the environments."""
        return oldest(self.project) | self.environments

    def plan(self) -> MatrixPlan:
        """The plan as it was written."""
        return msgspec.json.decode(self.plan_file.read_bytes(), type=MatrixPlan)

    def ledger(self) -> tuple[Entry, ...]:
        """The known incompatibilities."""
        return load_ledger(self.project.root / "matrix" / "ledger.toml")

    def code(self, cell: PlannedCell) -> str:
        """A digest of the sources that `cell` depends on by its way, and of the variables that its environment sets."""
        way, key = cell.way, (cell.environment, cell.way)
        if key in self._codes:
            return self._codes[key]
        patterns = _SOURCES + (_CARRYOVER_SOURCES if way == "carryover" else _NATIVE_SOURCES)
        digest = hashlib.sha256()
        for path in sorted({path for pattern in patterns for path in self.project.root.glob(pattern)}):
            digest.update(path.relative_to(self.project.root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        digest.update(msgspec.json.encode(ENVIRON | self.environments[cell.environment].env, order="sorted"))
        self._codes[key] = digest.hexdigest()[:16]
        return self._codes[key]

    def latest(self) -> dict[tuple[str, str], Record]:
        """The last record of each cell, by environment and cell."""
        return {(record.environment, record.cell): record for record in self.results.read()}

    def input_of(self, cell: PlannedCell) -> tuple[str, Path]:
        """The name and the folder of the artifact that `cell` reads, or writes."""
        kind = next(kind for kind in self.kinds if kind.id == cell.kind)
        name = f"{kind.artifact}/{cell.producer or cell.environment}"
        return name, artifacts.folder_of(self.project, name)

    def to_do(self, cells: Sequence[PlannedCell], image_id: str, since: str = "") -> list[PlannedCell]:
        """Those of `cells` of one environment that have no record of this image, this code and this artifact.

        With `since` (a time, ISO 8601) older records do not count. Raises ArtifactMismatch.
        """
        latest = self.latest()
        identities: dict[str, str] = {}

        def done(cell: PlannedCell) -> bool:
            """Whether the last record of `cell` is of the same image, code and artifact."""
            record = latest.get((cell.environment, cell.cell))
            if record is None or record.outcome is Outcome.NOT_RUN or record.started < since:
                return False
            if (record.image_id, record.details.get("code")) != (image_id, self.code(cell)):
                return False
            name, folder = self.input_of(cell)
            if cell.role == "produce":
                return record.outcome is not Outcome.PASSED or folder.is_dir()
            if name not in identities:
                identities[name] = _identity(folder)
            return record.inputs.get(name) == identities[name]

        return [cell for cell in cells if not done(cell)]

    def written(self, producers: Sequence[str]) -> dict[str, set[str]]:
        """The producers by kind of whose files there is an artifact: not one of an earlier run, if the last one failed.

        In a job of a workflow there are artifacts of others, and no records: those are the report's.
        """
        latest = self.latest()
        found: dict[str, set[str]] = {}
        for kind in self.kinds:
            folders = {name: artifacts.folder_of(self.project, f"{kind.artifact}/{name}") for name in producers}
            records = {name: latest.get((name, pairs.writes(kind.written))) for name in producers}
            stale = {name for name, record in records.items() if record and record.outcome is not Outcome.PASSED}
            there = {name for name, folder in folders.items() if folder.is_dir() and name not in stale}
            found.setdefault(kind.written, set()).update(there)
        return found


def _identity(folder: Path) -> str:
    try:
        return artifacts.identity(folder)
    except OSError:
        artifacts.verify(folder)  # says so
        raise


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    store.folder.mkdir(parents=True, exist_ok=True)
    with exclusive(store.folder / ".lock", wait=False) as free:
        if not free:
            raise Busy(f"another run of the matrix is under way in {store.folder}: wait for it, or end it")
        yield


def _write_plan(store: Store, selection: pairs.Selection, words: Sequence[str], cells: Sequence[PlannedCell]) -> None:
    kinds = tuple({"id": kind.id, "title": kind.title} for kind in store.kinds if kind.id in selection.kinds)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    plan = MatrixPlan(
        pairs.VERSION, made, tuple(words), selection.producers, selection.consumers, kinds, selection.ways, tuple(cells)
    )
    with whole_file(store.plan_file) as partial:
        partial.write_bytes(msgspec.json.encode(plan))


def plan(store: Store, words: Sequence[str], stage: str) -> list[PlannedCell]:
    """Write plan.json: what `words` select to `write`, and for the stage `read` the files of it that are here besides.

    Raises NothingSelected when that is nothing.
    """
    selection = pairs.select(words, store.producers, store.environments, store.kinds)
    cells = pairs.writing_cells(selection, store.environments, store.kinds)
    if stage == "read":
        reading = pairs.reading_cells(selection, store.kinds, store.written(selection.producers))
        if not reading:
            raise NothingSelected(f"{' '.join(words)!r} selects no file that anybody writes")
        cells += reading
    store.folder.mkdir(parents=True, exist_ok=True)
    _write_plan(store, selection, words, cells)
    return cells


class Outcomes(NamedTuple):
    """What a run of the matrix has come to; a planned cell without a record is a failure, which who counts has to say.

    `stopped` has the exit status of each environment's part that did not get to its end, and has said why.
    """

    judged: list[Judged]
    planned: int
    stopped: dict[str, int]


def run_matrix(project: Project, engine: Engine, words: Sequence[str], fresh: bool, terminal: Terminal) -> Outcomes:
    """Write and read what `words` select, and look at the records of the planned cells under the ledger.

    An environment that cannot be made costs its own cells. Raises a CarryoverError when nothing is selected or another
    run is under way.
    """
    store = Store(project)
    ledger = store.ledger()  # an error in it shows now, not after the run
    since = datetime.now(UTC).isoformat(timespec="seconds") if fresh else ""
    with _alone(store):
        writing = plan(store, words, "write")
        stopped = _stage(store, engine, "write", writing, since, terminal)
        try:
            reading = [cell for cell in plan(store, words, "read") if cell.role == "consume"]
        except NothingSelected:
            latest = store.latest()
            if not stopped and not any(one.outcome.bad for cell in writing if (one := latest.get(_key(cell)))):
                raise
            reading = []  # who would have written it has said what hindered it
        failed = _stage(store, engine, "read", reading, since, terminal)
        latest = store.latest()
        keys = [_key(cell) for cell in [*writing, *reading]]
        records = [latest[key] for key in keys if key in latest]
        return Outcomes(judge_all(records, ledger, store.producers), len(keys), stopped | failed)


def _to_run(
    store: Store, engine: Engine, cells: Sequence[PlannedCell], since: str
) -> dict[str, tuple[list[PlannedCell], list[PlannedCell]]]:
    """(all cells, those to run) of each environment that has some to run: first who has most, for no core to idle."""
    by_environment: dict[str, list[PlannedCell]] = {}
    for cell in cells:
        by_environment.setdefault(cell.environment, []).append(cell)
    found = {}
    for name, own in by_environment.items():
        try:
            prepared = engine.up_to_date(store.environments[name])
        except LockMismatch:
            prepared = None  # its own part says so
        to_do = store.to_do(own, prepared.image_id if prepared else "", since)
        if to_do:
            found[name] = (own, to_do)
    return dict(sorted(found.items(), key=lambda entry: -len(entry[1][1])))


def _stage(
    store: Store, engine: Engine, stage: str, cells: Sequence[PlannedCell], since: str, terminal: Terminal
) -> dict[str, int]:
    """Run the part of every environment that has something to do, as many at a time as there are cores.

    Returns the exit status of each part that did not get to its end.
    """
    parts = _to_run(store, engine, cells, since)
    total = sum(len(to_do) for _, to_do in parts.values())
    terminal.say(f"{stage}: {len(cells)} cells, {len(cells) - total} of them unchanged, {total} to run")
    waiting = list(parts)
    before = store.latest()
    running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
    stopped: dict[str, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once():
                name = waiting.pop(0)
                running[name] = (_start(store, engine, stage, name, since), time.monotonic())
            for name, (process, begun) in list(running.items()):
                if process.poll() is not None:
                    del running[name]
                    own, to_run = parts[name]
                    after = store.latest()
                    untouched = [cell for cell in to_run if after.get(_key(cell)) == before.get(_key(cell))]
                    _fail_the_lost(store, engine, untouched, process.returncode, since)
                    _told(store, terminal, stage, name, own, time.monotonic() - begun)
                    if process.returncode not in (0, 1):
                        stopped[name] = max(process.returncode, 1)  # negative: it was killed
            time.sleep(_POLL_SECONDS)
    finally:
        for process, _ in running.values():
            process.send_signal(signal.SIGTERM)
        for process, _ in running.values():
            process.wait()
    return stopped


def _key(cell: PlannedCell) -> tuple[str, str]:
    return cell.environment, cell.cell


def _fail_the_lost(store: Store, engine: Engine, cells: Sequence[PlannedCell], status: int, since: str) -> None:
    """A failed record for those of `cells`, which got none in a part that ended with `status`, that still need one.

    An earlier record would be taken for what this run has found. (An image that was gone and is here again, the same
    as before, gives its part nothing to do.)
    """
    if not cells:
        return
    try:
        prepared = engine.up_to_date(store.environments[cells[0].environment])
    except LockMismatch:
        prepared = None
    how = f"status {status}" if status >= 0 else signal.Signals(-status).name
    reason = f"no result: its part ended with {how} before it"
    store.results.extend(
        unrun(cell.environment, cell.cell, Outcome.FAILED, reason, {**about(cell), "how": NO_RESULT})
        for cell in store.to_do(cells, prepared.image_id if prepared else "", since)
    )


def about(cell: PlannedCell) -> dict[str, str]:
    """What the details of every record of `cell` say."""
    return {"kind": cell.kind, **({"producer": cell.producer, "way": cell.way} if cell.role == "consume" else {})}


def _start(store: Store, engine: Engine, stage: str, name: str, since: str) -> subprocess.Popen[bytes]:
    """The part of one environment, in a process that ends when this one does."""
    command = [sys.executable, "-m", "matrix", "--root", str(store.project.root), "--engine", engine.name]
    command += ["pairs", stage, name, *(["--since", since] if since else [])]
    here = str(Path(__file__).resolve().parent.parent)
    environ = {**os.environ, "PYTHONPATH": here}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, env=environ
    )


def _told(
    store: Store, terminal: Terminal, stage: str, name: str, cells: Sequence[PlannedCell], seconds: float
) -> None:
    latest = store.latest()
    records = [latest[key] for cell in cells if (key := (name, cell.cell)) in latest]
    judged = judge_all(records, store.ledger(), store.producers)
    terminal.say(f"{stage} {name}: {counted(judged)}, {seconds:.0f} s")


def bad(judged: Sequence[Judged]) -> list[Judged]:
    """Those that fail the run."""
    return [one for one in judged if one.outcome.bad]


def summary(judged: Sequence[Judged]) -> list[tuple[str, str, Counter[str]]]:
    """(kind, way, how many of each outcome) of the cells that read, in their order."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    for one in judged:
        details = one.record.details
        if "way" in details:
            name = one.outcome.value
            rows.setdefault((str(details["kind"]), str(details["way"])), Counter())[name] += 1
    return [(kind, way, counts) for (kind, way), counts in rows.items()]
