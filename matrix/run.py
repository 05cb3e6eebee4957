"""Runs the cells of one environment and records each as it happens.

A cell that takes the interpreter down costs only itself: the rest go on in a fresh process. Whatever ends a run,
its container is removed, its folder goes, and what had finished stands in the records.
"""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import msgspec

from matrix import artifacts, process_log
from matrix.engine import Engine, Prepared, Running, gpu_here, kill
from matrix.engine.containers import did_not_start, of_the_container
from matrix.engine.process import recorder
from matrix.environments import Environment
from matrix.errors import ArtifactMismatch, CarryoverError, DiskFull, EngineUnavailable, GpuMissing, NothingSelected
from matrix.events import Event, EventReader, NotEvents
from matrix.plain import clear, copy_folder, remove_tree
from matrix.plan import Cell, Check, load_checks, planned_cells
from matrix.process_log import last_part
from matrix.project import Project
from matrix.results import NO_RESULT, RUNS, Begun, Outcome, Record, Results, append_lines, missing
from matrix.run_folder import log_of, run_folder
from matrix.tools import host, undisturbed

_PYTEST_STATUSES = range(6)
_PYTEST_USAGE = 4
_NARROWING = ("-k", "-m", "--deselect", "--ignore")  # options of pytest that leave cells out
_DID_NOT_START = (125, 126, 127)  # docker's and podman's own, for a container or what is to run in it
_RECORDER_NO_SPACE = 76  # tests/recorder.py
_POLL_SECONDS = 0.02
_SIGNS_OF_LIFE = ("collected", "selected", "started", "finished")  # each comes once, so that none can go on for ever
_LEFT_OUT = "was planned, and pytest left it out unasked: addopts in pyproject.toml, or a hook in a conftest.py"


class Progress:
    """What is told while cells run. This one tells nothing."""

    def say(self, text: str) -> None:
        """One line about what is going on."""

    def planned(self, cells: Sequence[str]) -> None:
        """The cells that are about to run."""

    def started(self, cell: str) -> None:
        """A cell begins."""

    def recorded(self, record: Record) -> None:
        """A cell has its record."""


@dataclass
class Run:
    """One run of one environment: its folder, its name, and what it has seen so far."""

    project: Project
    environment: Environment
    engine: Engine
    progress: Progress
    name: str
    folder: Path
    log: Path
    engine_version: str
    gpu: bool = False
    prepared: Prepared | None = None
    cells: list[Cell] = field(default_factory=list)
    selected: list[str] | None = None
    narrowed: bool = False  # whether pytest's arguments may leave cells out
    began: bool = False  # whether a cell has started
    collected: set[str] = field(default_factory=set)
    paths: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    broken: str = ""  # why what the process says cannot be believed any more
    alone: bool = False  # whether one cell runs in a process, to find the one that breaks it
    records: list[Record] = field(default_factory=list)
    current: tuple[str, float] | None = None
    heard: float = 0.0
    given: dict[str, str] = field(default_factory=dict)  # the artifacts KIND/NAME in its folder, and their identities
    inputs: dict[str, list[str]] = field(default_factory=dict)  # those that each cell reads
    records_file: str = "results.jsonl"
    told: dict[str, Any] = field(default_factory=dict)  # what else plan.json says
    announces: bool = False  # whether what is to run is written to runs.jsonl before it does
    publishes: bool = True  # whether what cells write becomes an artifact
    about: dict[str, dict[str, str]] = field(default_factory=dict)  # further details of a cell's record, known before

    @property
    def results(self) -> Results:
        """Where the records go."""
        return Results(self.project.reports / self.records_file)

    @property
    def shown_log(self) -> str:
        """The log's path for people: from the top of the checkout."""
        return self.project.shown(self.log)

    def announce(self, cells: Sequence[str]) -> None:
        """Say what this run is about to run, so that a cell that is lost with it is missed."""
        if self.announces:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            begun = Begun(self.name, self.environment.id, now, list(cells))
            append_lines(self.project.reports / RUNS, [begun])

    def record(self, cell: str, outcome: Outcome, reason: str, seconds: float = 0.0, **seen: Any) -> None:
        """Append the record of `cell`, once."""
        if any(record.cell == cell for record in self.records):
            return
        prepared = self.prepared
        record = Record(
            run=self.name,
            cell=cell,
            environment=self.environment.id,
            device="gpu" if self.gpu else "cpu",
            outcome=outcome,
            reason=reason,
            seconds=seconds,
            engine=self.engine_version,
            isolation=self.engine.isolation,
            image=prepared.image if prepared else "",
            image_id=prepared.image_id if prepared else "",
            base=prepared.base if prepared else "",
            versions=seen.get("versions", {}),
            host=host(),
            started=(datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="seconds"),
            log=self.shown_log,
            details=self.about.get(cell, {}) | seen.get("details", {}),
            inputs={name: self.given[name] for name in self.inputs.get(cell, ())},
        )
        self.results.append(record)
        self.records.append(record)
        self.progress.recorded(record)


def run_environment(
    project: Project, environment: Environment, engine: Engine, arguments: Sequence[str], progress: Progress
) -> Run:
    """Prepare `environment`, run its cells with `arguments` for pytest, and return the Run with a record for each.

    Raises a CarryoverError when no cell could be run at all; the cells are then recorded as not run, with the reason,
    unless it is the arguments that are wrong, or leave out cells of which nobody knows yet: that says nothing of the
    cells, and what is recorded of them stands.
    """
    with run_folder(project, environment, engine) as folder:
        run = Run(
            project, environment, engine, progress, folder.name, folder, log_of(project, folder.name), engine.version()
        )
        run.narrowed = any(not a.startswith("-") or a.startswith(_NARROWING) for a in arguments)
        checks = load_checks(project.cells_file)
        there = lay_out(run, readable(project, checks))
        run.cells = planned_cells(checks, environment, there)
        try:
            _require_gpu(environment)
            run.announces = True
            if not arguments:  # which may select some of them only
                run.announce([cell.id for cell in run.cells])
            run.prepared = engine.prepare(environment, run.log, progress.say)
            run_cells(run, there, arguments)
        except CarryoverError as error:
            run.progress = Progress()  # the error is told once, not once a cell
            with suppress(OSError):  # a full disk: the error itself says so
                unknown = (arguments and isinstance(error, NothingSelected)) or (run.narrowed and run.selected is None)
                for cell in [] if unknown else _pending(run):
                    run.record(cell, Outcome.NOT_RUN, str(error), details={"how": NO_RESULT})
            raise
        return run


def lay_out(run: Run, only: Collection[str] | None) -> dict[str, list[str]]:
    """Make the folders of `run`, with the artifacts `only` (KIND/NAME, None: all) in it; returns their ids by kind.

    Raises ArtifactMismatch.
    """
    (run.folder / "out").mkdir()
    (run.folder / "in").mkdir()
    there = artifacts.snapshot(run.project, run.folder / "in", only)
    names = [f"{kind}/{name}" for kind, of in there.items() for name in of]
    run.given = {name: artifacts.identity(run.folder / "in" / name) for name in names}
    return there


def readable(project: Project, checks: Sequence[Check]) -> list[str]:
    """The artifacts, as KIND/NAME, that cells of `checks` may read: of kinds they consume, or committed."""
    kinds = {check.consumes for check in checks}
    here = artifacts.ids(project)
    return [f"{k}/{n}" for k, names in here.items() for n in names if k in kinds or n == artifacts.COMMITTED]


def _require_gpu(environment: Environment) -> None:
    if environment.device == "gpu" and os.environ.get("CARRYOVER_REQUIRE_GPU", "0") != "0" and not gpu_here():
        raise GpuMissing(f"{environment.id}: CARRYOVER_REQUIRE_GPU asks for an NVIDIA GPU, and nvidia-smi shows none")


def run_cells(run: Run, there: dict[str, list[str]], arguments: Sequence[str]) -> None:
    """Run the cells of `run`, in a new process after each that ends one, until each has a record.

    `there` has the artifacts in the run's folder `in`, `arguments` are pytest's. Raises a CarryoverError when the
    process does not get to run cells.
    """
    run.gpu = run.environment.device == "gpu" and gpu_here()
    for cell in run.cells:
        if cell.needs == "gpu" and not run.gpu:
            run.record(cell.id, Outcome.NOT_RUN, "no NVIDIA GPU here")
    run.progress.planned([cell.id for cell in run.cells])
    while True:
        write_plan(run, there)
        before, next_one = len(run.records), _pending(run)[:1]
        status, killed = _one_process(run, arguments)
        _raise_for(run, status, arguments)
        progress = len(run.records) > before
        if run.broken and not run.alone and _pending(run)[1:] and (run.selected is not None or not run.narrowed):
            run.alone = True  # what was heard is not to be trusted: which cell it was shows when each runs by itself
            if run.selected is None:
                _select(run, [cell.id for cell in run.cells])
            continue
        if run.broken:
            run.current = None
            if not run.alone or next_one == _pending(run)[:1]:
                _record_crash(run, status, killed)
            run.alone = False
        elif not killed and status in _PYTEST_STATUSES and run.current is None:
            if not (run.alone and progress):
                break
        elif run.current or not progress:  # else it ended after a cell: the others are still to run
            _record_crash(run, status, killed)
        if not _pending(run) or len(run.records) == before:
            break
    account_for_the_rest(run, arguments)


def _raise_for(run: Run, status: int, arguments: Sequence[str]) -> None:
    """Statuses that say that no cell is to blame."""
    if status == 0 and run.selected is None:
        raise NothingSelected(f"pytest ran no cell with {' '.join(arguments)!r}; what it said: {run.shown_log}")
    # pytest refuses an expression of -k after it has told what is selected, so that is no sign; nor, where it did not
    # get to select anything, is a plugin of -p that it does not find.
    refused = status == _PYTEST_USAGE or (status == 1 and run.narrowed and run.selected is None and not run.problems)
    if refused and not run.began:
        why = "; ".join(run.problems) or _last_words(run.log)
        raise NothingSelected(f"pytest ran nothing with its arguments: {why}; log: {run.shown_log}")
    written = {_RECORDER_NO_SPACE: run.folder, **dict.fromkeys(_DID_NOT_START, run.log.parent)}
    if status in written and _is_full(written[status]):
        raise DiskFull(f"no space left under {run.project.root} for what the cells write: free some and run again")
    if status in _DID_NOT_START and run.engine.isolation == "container" and run.current is None:
        words = did_not_start(last_part(run.log))
        raise EngineUnavailable(f"{run.engine.name} could not start a container: {words}; log: {run.shown_log}")


def _is_full(folder: Path) -> bool:
    """Whether nothing more can be written there: a cell may end with any status."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return file.write(bytes(1 << 16)) < 1 << 16
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_plan(run: Run, there: dict[str, list[str]]) -> None:
    """What tests/recorder.py reads, in the place of whatever a cell has put there: it is not written through a link."""
    inside = run.engine.inside(run.folder)
    lock = inside["lock"] or str(run.project.lock(run.environment))
    plan = {
        "environment": {**msgspec.structs.asdict(run.environment), "lock": lock},
        "cells": [cell.id for cell in run.cells],
        "done": [record.cell for record in run.records] + (_pending(run)[1:] if run.alone else []),
        "artifacts": {kind: {name: f"{inside['in']}/{kind}/{name}" for name in names} for kind, names in there.items()},
        **run.told,
    }
    new, place = run.folder / "plan.json", run.folder / "out" / "plan.json"
    if not place.parent.is_dir() or place.parent.is_symlink():  # without a container a cell may have removed it
        clear(place.parent)
        place.parent.mkdir(parents=True)
    new.write_bytes(msgspec.json.encode(plan))
    clear(place)
    new.replace(place)


def _one_process(run: Run, arguments: Sequence[str]) -> tuple[int, bool]:
    """Run what is left in one process and follow its events. Returns its exit status, and whether it was ended here."""
    clear(run.folder / "out" / "artifacts")
    run.current, run.broken = None, ""
    run.heard = time.monotonic()
    with events_of(run) as reader, process_log.appended(run.log) as output:
        return _follow_process(run, arguments, reader, output)


def events_of(run: Run) -> EventReader:
    """Where the next process of `run` is to write."""
    return EventReader(run.folder / "out" / "events.jsonl", [cell.id for cell in run.cells], run.given)


def _follow_process(run: Run, arguments: Sequence[str], reader: EventReader, output: IO[bytes]) -> tuple[int, bool]:
    killed = False
    running = None
    assert run.prepared is not None
    try:
        with undisturbed():  # so that what was started is known, and ended
            words = recorder(run.engine.inside(run.folder)["out"], arguments)
            running = run.engine.start(run.prepared, run.folder, words, output)
        while True:
            status = running.process.poll()
            follow(run, reader)
            if status is not None:
                return status, killed
            # The limit also holds for what is before, between and after cells: an import can hang, and an exit.
            late = time.monotonic() - run.heard > run.project.limits.cell_seconds
            if not killed and (run.broken or late):
                killed = True
                end(run.engine, running)
            time.sleep(_POLL_SECONDS)
    finally:
        if running:
            with undisturbed():
                end(run.engine, running)
                with suppress(OSError):  # a full disk, which has been told already
                    follow(run, reader)  # what had finished, whatever ended this


def end(engine: Engine, running: Running) -> None:
    """End the process and remove its container, which may also outlive a process that somebody else has ended.

    Without a container that is what it has left running.
    """
    with undisturbed():
        status = running.process.poll()
        kill(running.process, running.patience)
        if running.process.stdin:
            running.process.stdin.close()
        if engine.isolation != "container" or status is None or not of_the_container(status):
            engine.remove(running.name)


def follow(run: Run, reader: EventReader) -> None:
    """Take in the events that have come. What cannot be one ends this: `run.broken` says why."""
    if run.broken:
        return
    events = reader.read()
    try:
        while True:
            with undisturbed():  # so that each is taken once, whatever ends this
                event = next(events, None)
                if event is None:
                    return
                _take(run, event)
            if event.event in _SIGNS_OF_LIFE:
                run.heard = time.monotonic()
    except NotEvents as error:
        run.broken = str(error)


def _select(run: Run, cells: list[str]) -> None:
    run.selected = cells
    run.announce(cells)
    run.progress.planned([*(record.cell for record in run.records), *cells])


def _take(run: Run, event: Event) -> None:
    kind = event.event
    if kind == "collected":
        run.collected |= set(event.cells)
        run.paths = tuple(event.paths)
        run.inputs |= event.inputs
    elif kind == "selected" and run.selected is None:
        _select(run, event.cells)
    elif kind == "collection failed":
        run.problems.append(f"{event.where}: {event.reason}")
    elif kind == "started":
        run.current, run.began = (event.cell, time.monotonic()), True
        run.progress.started(event.cell)
    elif kind == "stopped":
        for cell in event.cells:
            run.record(cell, Outcome.NOT_RUN, event.reason)
    elif kind == "finished":
        run.current = None
        outcome, reason = event.outcome, event.reason
        if outcome is Outcome.PASSED and "artifact" in event.details and run.publishes:
            try:
                _publish(run, str(event.details["artifact"]), event)
            except ArtifactMismatch as error:
                outcome, reason = Outcome.FAILED, f"what it wrote cannot be kept: {error}"
        run.record(event.cell, outcome, reason, event.seconds, details=event.details, versions=event.versions)


def _publish(run: Run, artifact: str, event: Event) -> None:
    """Make an artifact of what a cell wrote. Raises ArtifactMismatch when it is none, or would be put elsewhere."""
    if not artifacts.NAME.fullmatch(artifact):
        raise ArtifactMismatch(f"{artifact!r} is no name of an artifact: KIND/NAME of letters, digits and _ . + -")
    if not artifacts.is_by(artifact, run.environment.id):
        raise ArtifactMismatch(f"{artifact!r} is not called after {run.environment.id}, which wrote it")
    manifest = artifacts.Manifest(artifact.partition("/")[0], run.environment.id, event.cell, event.versions, {})
    taken = run.folder / "taken"  # no process of a cell can change it while it is published
    try:
        copy_folder(run.folder / "out", f"artifacts/{artifact}", taken, run.project.limits.artifact_bytes)
        artifacts.publish(run.project, taken, manifest, run.project.artifacts / artifact)
    finally:
        remove_tree(taken)


def _record_crash(run: Run, status: int, killed: bool) -> None:
    """The cell that was under way when the process ended, or all that are left, if it ended before any.

    Raises NothingSelected where the arguments leave cells out, and nobody can say yet which.
    """
    outcome, reason = _why_it_ended(run, status, killed)
    if run.current:
        cell, begun = run.current
        limit = float(run.project.limits.cell_seconds)
        run.record(cell, outcome, reason, limit if killed else round(time.monotonic() - begun, 3))
        return
    if run.narrowed and run.selected is None:
        raise NothingSelected(f"pytest had selected nothing yet: {reason}; log: {run.shown_log}")
    before = "" if run.broken else "before any cell began: "
    words = f": {_last_words(run.log)}" if outcome is Outcome.CRASHED else ""
    for cell in _pending(run)[: 1 if run.alone else None]:
        run.record(cell, outcome, f"{before}{reason}{words}")


def _why_it_ended(run: Run, status: int, killed: bool) -> tuple[Outcome, str]:
    if run.broken:
        return Outcome.FAILED, run.broken
    if killed:
        return Outcome.TIMED_OUT, f"not done after {run.project.limits.cell_seconds} s (CARRYOVER_CELL_SECONDS)"
    number = -status if status < 0 else status - 128
    if not 0 < number < 65:
        return Outcome.CRASHED, f"exit status {status}"
    name = signal.Signals(number).name if number in list(signal.Signals) else str(number)
    container = run.engine.isolation == "container"
    if status < 0 and container:
        return Outcome.CRASHED, f"{name} ended `{run.engine.name} run`, which held its container: not the cell's own"
    limit = f"; the memory limit is {run.project.limits.memory} (CARRYOVER_MEMORY)"
    return Outcome.CRASHED, f"{name} ended the interpreter{limit if number == signal.SIGKILL and container else ''}"


def _pending(run: Run) -> list[str]:
    """The cells that are to run and have no record yet."""
    chosen = [cell.id for cell in run.cells] if run.selected is None else run.selected
    return missing(chosen, run.records)


def account_for_the_rest(run: Run, arguments: Sequence[str]) -> None:
    """Give every cell that was to be collected or run its record. Raises NothingSelected when that is none."""
    scope = [cell.id for cell in run.cells if _is_below(cell.id, run.paths)]
    why = "; ".join(run.problems) or "pytest did not find it"
    for cell in missing(scope, run.records):
        if cell not in run.collected:
            run.record(cell, Outcome.FAILED, f"was not collected: {why}")
    if {"--collect-only", "--co"} & set(arguments) or not (run.selected or run.records):
        raise NothingSelected(
            f"{' '.join(arguments)!r} runs none of the {len(run.cells)} cells of {run.environment.id}: "
            f"{', '.join(sorted({cell.id.rpartition('::')[2].partition('[')[0] for cell in run.cells}))}"
        )
    if not any(argument.startswith("-") for argument in arguments):  # nobody has deselected anything
        for cell in missing([cell for cell in scope if cell not in (run.selected or ())], run.records):
            run.record(cell, Outcome.FAILED, _LEFT_OUT)
    for cell in _pending(run):
        run.record(cell, Outcome.FAILED, "was selected, and has no result: the run ended before it")


def _is_below(cell: str, paths: Sequence[str]) -> bool:
    """Whether one of the arguments `paths` of pytest, if there are any, stands for `cell`."""
    return not paths or any(cell == path or cell.startswith((f"{path}/", f"{path}::", f"{path}[")) for path in paths)


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in last_part(log).splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1][:300]
