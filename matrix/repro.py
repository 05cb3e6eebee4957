"""One cell again, in the image it ran in and with the artifacts it read: to watch it, to debug it, to try in a shell.

Its record goes to reports/repro/results.jsonl: what the run itself recorded stays as it is.
"""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from rich.markup import escape

from matrix import artifacts, pairs
from matrix.bundle import Told
from matrix.engine import Engine, Prepared
from matrix.engine.process import recorder
from matrix.errors import ArtifactMismatch, EngineUnavailable, UnknownCell, WrongUsage
from matrix.plan import Cell, load_checks
from matrix.project import Project
from matrix.results import Outcome, Record, normalize_reason
from matrix.run import (
    Progress,
    Run,
    account_for_the_rest,
    events_of,
    follow,
    lay_out,
    run_cells,
    write_plan,
)
from matrix.run_folder import log_of, run_folder
from matrix.table import console, outcome_text, short
from matrix.untrusted import printable_lines

_VERBOSE = ["-vv", "--tb=long", "--capture=no"]
_ENVIRON = {"TF_CPP_MIN_LOG_LEVEL": "0"}  # all that TensorFlow has to say
_ENGINE_FAILED = 125
MODES = ("run", "shell", "pdb")


@dataclass
class Repeated(Run):
    """A run of one cell that says of its record what it repeats, and whether in the same image."""

    marks: dict[str, str] = field(default_factory=dict)

    def record(self, cell: str, outcome: Outcome, reason: str, seconds: float = 0.0, **seen: Any) -> None:
        """Append the record of `cell`, once, with what this run is."""
        seen["details"] = {**seen.get("details", {}), **self.marks}
        super().record(cell, outcome, reason, seconds, **seen)


class Telling(Progress):
    """Says what happens around the cell; the cell speaks for itself."""

    def __init__(self) -> None:
        self.console = console()

    def say(self, text: str) -> None:
        """One line about what is going on."""
        self.console.print(escape(printable_lines(text)))


def what_to_know(project: Project, record: Record) -> Told:
    """What a run of the cell of `record` has to know besides. Raises UnknownCell where it is no cell of `project`."""
    if record.cell.startswith(f"{pairs.TEST}::"):
        kinds = {kind.id: kind for kind in pairs.load_kinds(project.root / "tests/pairs/kinds.toml")}
        about = [str(record.details.get(name, "")) for name in ("kind", "producer", "way")]
        if about[0] not in kinds:
            raise UnknownCell(f"the record of {record.cell} is of no kind of file that tests/pairs/kinds.toml has")
        role = "consume" if about[2] else "produce"
        cell = pairs.PlannedCell(record.environment, record.cell, role, *about)
        return msgspec.convert(pairs.told_to_recorder([cell], list(kinds.values())), Told)
    tests = {check.test: check for check in load_checks(project.cells_file)}
    check = tests.get(record.cell.partition("[")[0])
    return Told(check.needs if check else None)


def again(
    project: Project, before: Record, told: Told, readable: Sequence[str] | None, engine: Engine, mode: str = "run"
) -> int:
    """Run the cell of `before` again: 1 if it is bad or did not run, else 0; a shell always gives 0.

    A cell that did not come as far as saying which artifacts it reads gets the `readable` ones, KIND/NAME, or with None
    all that `project` has.

    Raises ArtifactMismatch when what it read is no longer there, EngineUnavailable, WrongUsage without a terminal for
    the modes `shell` and `pdb`, and what preparing an image raises.
    """
    if mode != "run" and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongUsage(f"--{mode} needs a terminal: its standard input or output is none here")
    environment = project.environment(before.environment)
    telling = Telling()
    name = f"{environment.id}/{short(before.cell)}"
    telling.say(f"{name}\n  then: {before.outcome.value}{': ' * bool(before.reason)}{before.reason}")
    with run_folder(project, environment, engine) as folder:
        log = log_of(project, folder.name)
        run = Repeated(project, environment, engine, telling, folder.name, folder, log, engine.version())
        run.records_file, run.publishes = "repro/results.jsonl", False
        there = _lay_out(run, before, readable)
        run.cells = [Cell(before.cell, told.needs)]
        run.told = {"kinds": told.kinds, "pairs": told.pairs}
        run.about[before.cell] = {n: str(before.details[n]) for n in ("kind", "producer", "way") if n in before.details}
        run.prepared = replace(_prepare(run, before), environ=_ENVIRON)
        if mode == "shell":
            return _shell(run, run.prepared, there, before)
        if mode == "pdb":
            _debug(run, run.prepared, there, before)
        else:
            with _shown(log):
                run_cells(run, there, [*_VERBOSE, before.cell])
        return _conclude(run, before, name)


def _lay_out(run: Run, before: Record, readable: Sequence[str] | None) -> dict[str, list[str]]:
    """Put the artifacts that the cell read where the run finds them; returns their ids by kind."""
    project = run.project
    for name in before.inputs:
        if not (artifacts.folder_of(project, name) / artifacts.MANIFEST).is_file():
            where = project.shown(artifacts.folder_of(project, name))
            raise ArtifactMismatch(f"{name}, which the cell read, is gone from {where}: {_remedy(project, name)}")
    there = lay_out(run, list(before.inputs) or readable)
    for name, then in before.inputs.items():
        now = run.given.get(name, "")
        if now != then:
            what = f"{name} is not what the cell read (manifest {then[:12]}… then, {now[:12]}… now)"
            raise ArtifactMismatch(f"{what}: {_remedy(project, name)}")
    return there


def _remedy(project: Project, name: str) -> str:
    producer = name.partition("/")[2].partition("-of-")[0]
    row = project.environments.get(producer)
    if producer == artifacts.COMMITTED:
        made = f"git checkout gives {project.shown(artifacts.folder_of(project, name))} back"
    elif name.startswith("matrix-"):
        made = f"`nox -s matrix -- --only producer={producer}` writes it"
    elif row:
        made = f'`nox -s "{row.session}({row.release})"` writes it'
    else:
        made = f"{producer} writes it"
    return f"{made}; if it then differs still, run the cell's own session anew and reproduce what that records"


def _prepare(run: Repeated, before: Record) -> Prepared:
    """The image that the cell ran in, or one built anew, and marked so."""
    engine, telling = run.engine, run.progress
    if before.engine.partition(" ")[0] == engine.name and before.image_id:
        prepared = engine.found(run.environment, before.image, before.image_id, before.base)
    else:
        prepared = None
    run.marks = {"repeats": before.run}
    if prepared:
        telling.say(f"  image: {prepared.image_id[:19]}, the one it ran in ({prepared.image})")
    else:
        prepared = engine.prepare(run.environment, run.log, telling.say)
        run.marks["image"] = f"rebuilt: {_why(engine, before, prepared)}"
        telling.say(f"  image: {prepared.image_id[:19]} ({prepared.image}), {run.marks['image']}")
    for name, digest in before.inputs.items():
        telling.say(f"  read: {name}, manifest {digest[:12]}…, the same")
    return prepared


def _why(engine: Engine, before: Record, prepared: Prepared) -> str:
    if not before.image_id:
        return "no image is recorded, the cell had not come to run"
    if before.engine.partition(" ")[0] != engine.name:
        return f"the cell ran on {before.engine}, this is {engine.version()}"
    same = "the same" if prepared.image == before.image else "another"
    return f"{before.image_id[:19]} is not here; {same} Dockerfile, lock and base"


@contextmanager
def _shown(log: Path) -> Iterator[None]:
    """Copy to the terminal what is added to `log`, as it comes."""
    done = threading.Event()
    start = log.stat().st_size if log.exists() else 0

    def copy() -> None:
        """Shows what there is, and once more after the end."""
        with log.open("rb") as file:
            file.seek(start)
            last = False
            while not last:
                last = done.wait(0.05)
                for text in iter(lambda: file.read(65536), b""):
                    sys.stdout.buffer.write(text)
                    sys.stdout.flush()

    log.touch()
    sys.stdout.flush()
    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _debug(run: Repeated, prepared: Prepared, there: dict[str, list[str]], before: Record) -> None:
    """Run the cell on the terminal, stopping in pdb where it fails."""
    write_plan(run, there)
    out = run.engine.inside(run.folder)["out"]
    with events_of(run) as reader:
        status = run.engine.attach(prepared, run.folder, recorder(out, ["--pdb", *_VERBOSE, before.cell]))
        follow(run, reader)
    _raise_if_not_started(run, status)
    if run.current:
        run.record(before.cell, Outcome.CRASHED, f"ended before its cell: exit status {status}")
    account_for_the_rest(run, [before.cell])


def _shell(run: Repeated, prepared: Prepared, there: dict[str, list[str]], before: Record) -> int:
    """A shell in the environment, with the command that runs the cell shown, and the last in its history."""
    write_plan(run, there)
    inside = run.engine.inside(run.folder)
    command = f'python -m tests.recorder "$CARRYOVER_OUT" {shlex.join([*_VERBOSE, before.cell])}'
    sources = "/src, read-only" if run.engine.isolation == "container" else str(run.project.root)
    banner = (
        f"{run.environment.id}: sources in {sources}; artifacts in {inside['in']}; `exit` removes it all. "
        f"To run the cell (↑ brings it up; add --pdb to stop where it fails):\n\n    {command}\n"
    )
    (run.folder / "out" / "shell").write_text(
        f"PS1={shlex.quote(f'({run.environment.id}) ')}'\\w$ '\nHISTFILE=\nhistory -c\n"
        f"history -s {shlex.quote(command)}\nprintf '%s\\n' {shlex.quote(banner)}\n"
    )
    words = ["bash", "--noprofile", "--rcfile", f"{inside['out']}/shell", "-i"]
    _raise_if_not_started(run, run.engine.attach(prepared, run.folder, words))
    return 0


def _raise_if_not_started(run: Run, status: int) -> None:
    if status == _ENGINE_FAILED and run.engine.isolation == "container" and not run.collected:
        raise EngineUnavailable(f"{run.engine.name} could not start a container: its words are above")


def _conclude(run: Repeated, before: Record, name: str) -> int:
    now = next(record for record in run.records if record.cell == before.cell)
    out = console()
    measured = ", ".join(f"{k} {v}" for k, v in now.details.items() if k not in ("text", "artifact", *run.marks))
    if measured:
        out.print(f"measured: {measured}", markup=False)
    out.print(f"{outcome_text(now)}  {escape(name)}: {escape(_compared(before, now))}")
    marked = f", image {run.marks['image']}" if "image" in run.marks else ""
    where = run.project.shown(run.project.reports / run.records_file)
    out.print(f"(record: {where}, log: {run.shown_log}{marked})", style="dim", markup=False)
    return 1 if now.outcome.bad or now.outcome is Outcome.NOT_RUN else 0


def _compared(before: Record, now: Record) -> str:
    """What this run says of the earlier one, in words."""
    then = f"{before.outcome.value}{': ' * bool(before.reason)}{before.reason}"
    if now.outcome is Outcome.PASSED:
        return "passes, as it did" if before.outcome is Outcome.PASSED else f"does not fail here (then: {then})"
    if not now.outcome.bad:
        return f"{now.outcome.value}: {now.reason}"
    if before.outcome is Outcome.PASSED:
        return f"fails here, and passed then: {now.reason}"
    same = (before.outcome, normalize_reason(before.reason)) == (now.outcome, normalize_reason(now.reason))
    return f"fails again, in the same way: {now.reason}" if same else f"fails otherwise: {now.reason} (then: {then})"
