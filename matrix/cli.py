"""`python -m matrix …`: what the nox sessions call. Each error is one line on stderr and its own exit status."""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TypeAlias

from matrix import artifacts, bases, ci, cuda, image_builds, locks, sweep
from matrix.clean import clean
from matrix.doctor import doctor
from matrix.engine import NAMES, Containers, choose
from matrix.environments import Environment
from matrix.errors import (
    INTERRUPTED,
    TERMINATED,
    ArtifactMismatch,
    CannotWrite,
    CarryoverError,
    DiskFull,
    EngineUnavailable,
    WrongUsage,
)
from matrix.golden import make_golden
from matrix.image_report import image_report
from matrix.jobs import Asked
from matrix.pair_run import run_part
from matrix.project import Project
from matrix.replay import Request, reproduce
from matrix.report.command import report
from matrix.results import Outcome
from matrix.run import Run, run_environment
from matrix.table import Terminal, bad_lines, counted, matrix_table, repro_command, table, texts, verdict
from matrix.tools import end_with_the_parent
from matrix.untrusted import printable

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
_LEFT = "nothing was left running"
_KEPT = f"{_LEFT}, and the cells that had finished are in reports/"
_WITHOUT_ENGINE = {"lock", "doctor", "report", "plan", "merge"}
_OF_THE_MATRIX = ("matrix", "pairs", "part")
# The cells whose artifacts are committed.
_WRITERS = "saver_writes or writes_every_step or tool_converts or written_under"
_SHOWN = 20  # bad cells of the matrix in the terminal; the report has all
SKIPPED = 77  # automake's exit status for a test that was skipped: a gpu session without a GPU


class _Terminated(KeyboardInterrupt):
    """SIGTERM, handled as Ctrl-C is: everything that was started is removed."""


def run(project: Project, name: str, engine_name: str | None, arguments: Sequence[str]) -> int:
    """Run the cells of the environment `name`: 0 if every cell has a record and none is bad, else 1 (or SKIPPED)."""
    environment = project.environment(name)
    terminal = Terminal(environment.id)
    try:
        engine = choose(project, engine_name, terminal.say)
        done = run_environment(project, environment, engine, arguments, terminal)
    finally:
        terminal.close()
    return _conclude(done, terminal, arguments)


def _conclude(done: Run, terminal: Terminal, arguments: Sequence[str]) -> int:
    out = terminal.console
    if {"-s", "-v", "-vv", "--capture=no"} & set(arguments):
        out.print(done.log.read_text(errors="replace"), markup=False)
    for text in texts(done.records):
        out.print(text, markup=False, style="dim")
    out.print(table(done.records), soft_wrap=False)
    bad = [record for record in done.records if record.outcome.bad]
    counted = f"{done.environment.id}: {verdict(done.records)} of {len(done.cells)} planned"
    out.print(
        f"[bold {'red' if bad else 'green'}]{counted}[/]  (records: reports/results.jsonl, log: {done.shown_log})"
    )
    for record in bad:
        out.print(f"again: {repro_command(record)}", markup=False, soft_wrap=True)
    if bad:
        return 1
    need_gpu = {cell.id for cell in done.cells if cell.needs == "gpu"}
    left = [record for record in done.records if record.outcome is Outcome.NOT_RUN and record.cell in need_gpu]
    return SKIPPED if left else 0


def lock(project: Project, names: Sequence[str], check: bool) -> int:
    """Make the locks of the environments called `names`, or all; with `check` only say what is new: 1 if anything."""
    found = 0
    for environment in _environments(project, names):
        path = project.lock(environment)
        if check:
            locks.check_lock(path, environment)
            told = locks.news(path, environment)
            found += len(told)
            print(f"{environment.id}: {'; '.join(told) or 'the newest patch, and all that it pins is there'}")
            continue
        count, warnings = locks.make_lock(path, environment)
        print(f"{environment.id}: {count} distributions locked, none published after {environment.cutoff}")
        for warning in warnings:
            print(f"{environment.id}: {warning}")
    return 1 if found else 0


def base_images(project: Project, names: Sequence[str], engine_name: str | None) -> int:
    """Build stand-ins for the Python images (3.13) and those with CUDA (cuda10.0) in `names`, or of all rows."""
    engine = choose(project, engine_name, print)
    if not isinstance(engine, Containers):
        raise EngineUnavailable("a base image is for docker or podman: the venv engine needs none")
    rows = project.environments.values()
    pythons = {row.python for row in rows if not row.base}
    for name in names or sorted(pythons | {f"cuda{row.cuda}" for row in rows if row.cuda_images}):
        if name.startswith("cuda"):
            cuda.build(engine, name.removeprefix("cuda"), print)
        else:
            bases.build(engine, name, print)
    return 0


def fixtures(project: Project, engine_name: str | None) -> int:
    """Make the committed artifacts again: what the oldest release writes, then what the newest makes of it."""
    rows = [row for row in project.environments.values() if row.session in ("cpu-tf1", "cpu-tf2")]
    for kind, environment, name in (
        ("tf1-saver", rows[0], rows[0].id),
        ("tf1-trajectory", rows[0], rows[0].id),
        ("upgraded-source", rows[0], rows[0].id),
        ("keras-as-tf1", rows[-1], f"{rows[-1].id}-of-{artifacts.COMMITTED}"),
    ):
        terminal = Terminal(environment.id)
        engine = choose(project, engine_name, terminal.say)
        done = run_environment(project, environment, engine, ["tests/compatibility", "-k", _WRITERS], terminal)
        terminal.close()
        written = project.artifacts / kind / name
        passed = [record for record in done.records if record.outcome is Outcome.PASSED]
        if not any(record.details.get("artifact") == f"{kind}/{name}" for record in passed):
            raise ArtifactMismatch(f"{environment.id} has not written {written}: log: {done.shown_log}")
        artifacts.replace(project, written, project.committed / kind)
        print(f"{(project.committed / kind).relative_to(project.root)}: made by {environment.id}")
    return 0


def matrix(project: Project, words: Sequence[str], fresh: bool, engine_name: str | None) -> int:
    """Run the compatibility matrix, or what `words` select of it.

    Returns 0 if nothing is bad, the exit status of what kept an environment from its end, else 1.
    """
    terminal = Terminal("matrix")
    try:
        engine = choose(project, engine_name, terminal.say)
        judged, planned, stopped = sweep.run_matrix(project, engine, words, fresh, terminal)
    finally:
        terminal.close()
    terminal.console.print(matrix_table(sweep.summary(judged)))
    bad = sweep.bad(judged)
    for one in bad[:_SHOWN]:
        terminal.console.print(bad_lines(one), markup=False)
    if len(bad) > _SHOWN:
        terminal.say(f"and {len(bad) - _SHOWN} more")
    report(project, None, show=False, quiet=True)
    if len(judged) < planned:
        terminal.say(f"{planned - len(judged)} cells were planned and have no record")
    if stopped:
        terminal.say(f"did not get to the end, see above: {', '.join(sorted(stopped))}")
    terminal.say(f"{counted(judged)} (records: reports/{sweep.RESULTS}, to look at: reports/index.html)")
    return max(stopped.values()) if stopped else 1 if bad or len(judged) < planned else 0


def matrix_part(project: Project, name: str, stage: str, since: str, engine_name: str | None) -> int:
    """One environment's part of the matrix, for the process that runs the whole."""
    end_with_the_parent()
    engine = choose(project, engine_name, print)
    done = run_part(sweep.Store(project), engine, project.environment(name), stage, since)
    return 1 if any(record.outcome.bad for record in done) else 0


def images_up_to_date(project: Project, names: Sequence[str], engine_name: str | None) -> int:
    """Say of each environment whether it is built: 0 if all are."""
    engine = choose(project, engine_name, print)
    built = {environment.id: engine.up_to_date(environment) for environment in _environments(project, names)}
    for name, prepared in built.items():
        print(f"{name}: {prepared.image if prepared else 'not built'}")
    return 0 if all(built.values()) else 1


def _environments(project: Project, names: Sequence[str]) -> list[Environment]:
    return [project.environment(name) for name in names or project.environments]


def _engine_first(arguments: Sequence[str]) -> list[str]:
    """Move `--engine NAME` to the front, from wherever it stands: nox -s cpu-tf2 -- --engine venv puts it last.

    Without a name nothing else is left, for argparse to say that it is missing.
    """
    rest, engine = [], []
    words = iter(arguments)
    for word in words:
        if word == "--engine":
            name = next(words, "")
            if not name:
                return [word]
            engine = [word, name]
        elif word.startswith("--engine="):
            if word == "--engine=":
                return ["--engine"]
            engine = [word]
        else:
            rest.append(word)
    return [*engine, *rest]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m matrix", description=__doc__, allow_abbrev=False)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help="the checkout")
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help=f"{', '.join(NAMES)}; default: $CARRYOVER_ENGINE, else the first that works",
    )
    parser.add_argument("--cells", default="cells.toml", metavar="FILE", help="the declaration of the cells, in tests/")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_cells(commands)
    _add_images(commands)
    _add_matrix(commands)
    _add_jobs(commands)
    command = commands.add_parser("doctor", help="what this machine can run, and what helps where it cannot")
    command.add_argument("--json", action="store_true", help="for programs")
    command = commands.add_parser("golden", help="run the graph of a checkpoint and keep what it computes")
    command.add_argument("graph", help="a prefix with a .meta, the folder of a SavedModel, or a frozen .pb")
    command.add_argument("--to", required=True, metavar="FILE", help="the .npz to write")
    command.add_argument(
        "--environment", metavar="ID", help="default: for a .meta the oldest of the CPU's, else the newest"
    )
    command.add_argument("--layers", type=Path, metavar="FILE", help="as checkpoints verify writes it")
    for name in ("output", "feed"):
        command.add_argument(f"--{name}", action="append", default=[], help="as in python -m checkpoints golden")
    for name in {*commands.choices} - _WITHOUT_ENGINE:
        commands.choices[name].epilog = f"--engine NAME, in any place, chooses the engine: {', '.join(NAMES)}"
    return parser


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options, left = parser.parse_known_args(_engine_first(arguments))
    if left:
        words = " ".join(left)
        select = options.command == "matrix" and not any(word.startswith("-") for word in left)
        parser.error(f"unrecognized arguments: {words}" + f" (to select: --only {words})" * select)
    return options


def _add_cells(commands: _Commands) -> None:
    command = commands.add_parser("run", help="run the cells of one environment; what follows -- goes to pytest")
    command.add_argument("environment")
    command.add_argument("arguments", nargs="*", metavar="PYTEST_ARGUMENT")
    command = commands.add_parser("repro", help="run one cell again, in the image it ran in")
    command.add_argument("target", metavar="CELL|BUNDLE")
    command.add_argument("--folder", type=Path, default=Path(), help=argparse.SUPPRESS)  # where nox was called
    command.add_argument("--bundle", nargs="?", const="", metavar="FILE", help="write all that it takes into one file")
    command.add_argument("--checkout", action="store_true", help="replay a bundle with the sources of this checkout")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--shell", action="store_true", help="open a shell there, with the command to run shown")
    how.add_argument("--pdb", action="store_true", help="stop in the debugger where the cell fails")
    commands.add_parser("fixtures", help="make the committed artifacts again")
    command = commands.add_parser("report", help="write the report of what was run to reports/")
    command.add_argument("--against", type=Path, metavar="OLD", help="an older report.json, or its folder")
    command.add_argument("--docs", action="store_true", help="write docs/compatibility.md of it as well")
    command.add_argument("--open", action="store_true", help="show the page in the browser")


def _add_images(commands: _Commands) -> None:
    command = commands.add_parser("lock", help="make the locks of these environments, or of all")
    command.add_argument("--check", action="store_true", help="change nothing; say which rows have a newer patch")
    command.add_argument("environments", nargs="*")
    command = commands.add_parser("up-to-date", help="say which of these environments, or of all, are built")
    command.add_argument("environments", nargs="*")
    command = commands.add_parser("images", help="build or check images: all, or releases, ids, sessions, tags")
    command.add_argument("words", nargs="*", metavar="ENVIRONMENT")
    command.add_argument("--check", action="store_true", help="build none: 1 if some are not up to date")
    command.add_argument("--push", action="store_true", help="and put them into CARRYOVER_REGISTRY")
    command = commands.add_parser("build", help="build one environment")
    command.add_argument("--child", action="store_true", help=argparse.SUPPRESS)  # of a process that builds several
    command.add_argument("environment")
    command = commands.add_parser("clean", help="free disk, within CARRYOVER_DISK_GB")
    command.add_argument("--dry-run", action="store_true", help="only say what would go")
    command = commands.add_parser("image-report", help="the size of each layer, and what images share")
    command.add_argument("words", nargs="*", metavar="ENVIRONMENT")
    command.add_argument("--record", action="store_true", help="put the sizes into docker/sizes.toml")
    commands.add_parser("base-images", help="build stand-ins for base images").add_argument("pythons", nargs="*")


def _add_matrix(commands: _Commands) -> None:
    command = commands.add_parser("matrix", help="every producer's files in every consumer")
    command.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="WORD",
        help="producer=1.15,2.4 consumer=keras3 kind=keras-h5 way=native; or a release, id, tag, kind by itself",
    )
    command.add_argument("--fresh", action="store_true", help="run also what has not changed since it ran")
    command = commands.add_parser("pairs", help="one environment's part of the matrix")
    command.add_argument("stage", choices=["write", "read"])
    command.add_argument("environment")
    command.add_argument("--since", default="")


def _add_jobs(commands: _Commands) -> None:
    command = commands.add_parser("plan", help="what a workflow fans out to")
    forge = command.add_mutually_exclusive_group()
    forge.add_argument("--github", action="store_const", dest="forge", const="github", help="as JSON, for fromJSON")
    forge.add_argument("--gitlab", action="store_const", dest="forge", const="gitlab", help="as a child pipeline")
    command.add_argument("--reduced", action="store_true", help="the short matrix")
    command.add_argument("--since", default="", metavar="COMMIT", help="with --reduced: and the rows changed since it")
    command.add_argument("--releases", default="", help="releases, ids or tags with commas between; default: all")
    command.add_argument("--kinds", default="", help="kinds of files with commas between; default: all")
    command.add_argument("--device", choices=["all", "cpu", "gpu"], default="all")
    command = commands.add_parser("part", help="one job's part of the matrix")
    command.add_argument("stage", choices=["write", "read"])
    command.add_argument("environment")
    command.add_argument("--jobs", required=True, metavar="JSON", help="what plan --github printed")
    command.add_argument("--parts", type=Path, metavar="FOLDER", help="take the artifacts of the parts there first")
    command = commands.add_parser("merge", help="take the parts of all jobs into this checkout")
    command.add_argument("parts", type=Path, metavar="FOLDER")
    command.add_argument("--jobs", required=True, metavar="JSON", help="what plan --github printed")


def _dispatch_jobs(project: Project, options: argparse.Namespace) -> int:
    if options.command == "plan":
        releases, kinds = (tuple(text.replace(",", " ").split()) for text in (options.releases, options.kinds))
        if options.since and not options.reduced:
            raise WrongUsage("--since goes with --reduced: without it everything is selected anyway")
        asked = Asked(releases, kinds, options.device, options.reduced)
        return ci.plan(project, asked, options.since, options.forge or "")
    jobs = ci.read_jobs(options.jobs)
    if options.command == "part":
        return ci.part(project, options.stage, options.environment, jobs, options.engine, options.parts)
    return ci.merge(project, options.parts, jobs)


def _dispatch(options: argparse.Namespace) -> int:
    project = Project(options.root.resolve(), cells=options.cells)
    project.state.mkdir(exist_ok=True)
    if options.command == "repro":
        mode = "shell" if options.shell else "pdb" if options.pdb else "run"
        asked = Request(options.target, mode, options.engine, options.bundle, options.checkout, options.folder)
        return reproduce(project, asked)
    options.engine = options.engine or os.environ.get("CARRYOVER_ENGINE") or None
    if options.command == "run":
        return run(project, options.environment, options.engine, options.arguments)
    if options.command == "lock":
        return lock(project, options.environments, options.check)
    if options.command == "up-to-date":
        return images_up_to_date(project, options.environments, options.engine)
    if options.command == "images" and options.push:
        return image_builds.push_images(project, options.words, options.engine)
    if options.command == "images":
        return image_builds.build_images(project, options.words, options.check, options.engine)
    if options.command == "build":
        if options.child:
            end_with_the_parent()
        return image_builds.build_one(project, options.environment, options.engine)
    if options.command == "doctor":
        return doctor(project, options.json)
    if options.command == "clean":
        return clean(project, options.engine, options.dry_run)
    if options.command == "image-report":
        return image_report(project, options.words, options.record, options.engine)
    if options.command == "base-images":
        return base_images(project, options.pythons, options.engine)
    if options.command == "report":
        return report(project, options.against, options.open, options.docs)
    if options.command == "matrix":
        return matrix(project, options.only, options.fresh, options.engine)
    if options.command == "pairs":
        return matrix_part(project, options.environment, options.stage, options.since, options.engine)
    if options.command in ("plan", "part", "merge"):
        return _dispatch_jobs(project, options)
    if options.command == "golden":
        return make_golden(project, options)
    return fixtures(project, options.engine)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    def end(number: int, frame: object) -> NoReturn:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status. Never raises: an error is one line on stderr, a defect a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # In step with each other, in a log too; and a terminal that has no ✓ is no reason to end.
            stream.reconfigure(line_buffering=True, errors="replace")
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        with _sigterm_as_interrupt():
            return _dispatch(options)
    except CarryoverError as error:
        return _fail(str(error), error.status)
    except KeyboardInterrupt as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # this process is at its end: one Ctrl-C more changes nothing
        terminated = isinstance(error, _Terminated)
        word, status = ("terminated", TERMINATED) if terminated else ("interrupted", INTERRUPTED)
        return _fail(f"{word}: {_left(options.command)}", status)
    except OSError as error:
        where = error.filename or options.root
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            why = f"cannot write {where} ({error.strerror}): run in a checkout that you can write"
            return _fail(why, CannotWrite.status)
        if error.errno != errno.ENOSPC:
            return _defect()
        return _fail(f"no space left on the disk of {where}: free some and run again", DiskFull.status)
    except Exception:
        return _defect()


def _defect() -> int:
    """What no one foresaw, with its traceback; not the interpreter's own status 1, which says that a cell is bad."""
    traceback.print_exc()
    return CarryoverError.status


def _left(command: str) -> str:
    """What is left of a command that was ended."""
    return _LEFT if command == "repro" else _KEPT + (sweep.RESULTS if command in _OF_THE_MATRIX else "results.jsonl")


def _fail(text: str, status: int) -> int:
    with suppress(OSError):
        print(f"carryover: {printable(text)}", file=sys.stderr, flush=True)
    return status
