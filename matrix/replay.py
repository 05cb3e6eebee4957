"""`nox -s repro`: from what was asked for to the one cell that runs again, or the bundle that is written."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from matrix import bundle, lookup
from matrix.bundle_reader import unpacked
from matrix.engine import Engine, choose
from matrix.environments import Environment
from matrix.errors import EngineUnavailable, WrongUsage
from matrix.plan import load_checks
from matrix.project import Project
from matrix.repro import Telling, again, what_to_know
from matrix.results import Record
from matrix.run import readable


@dataclass(frozen=True)
class Request:
    """What was asked for. `written` is where a bundle goes: None for no bundle, "" for the default."""

    target: str
    mode: str = "run"
    engine: str | None = None
    written: str | None = None
    checkout: bool = False
    folder: Path = Path()  # that relative paths are relative to


def reproduce(home: Project, request: Request) -> int:
    """Do it; the exit status is that of the cell, or 0 for a bundle that was written. Raises CarryoverErrors."""
    path = request.folder / request.target
    if path.is_file() or request.target.endswith(bundle.SUFFIX):
        if request.written is not None:
            raise WrongUsage(f"{request.target} is a bundle already: --bundle is for a cell")
        return _replay(home, request, path)
    if request.checkout:
        raise WrongUsage("--checkout is for a bundle: a cell is run with the sources of the checkout anyway")
    before = lookup.find(home, request.target)
    if request.written is not None:
        return _write(home, request, before)
    engine = choose(home, request.engine or before.engine.partition(" ")[0], print)
    artifacts = readable(home, load_checks(home.cells_file))
    return again(home, before, what_to_know(home, before), artifacts, engine, request.mode)


def _write(home: Project, request: Request, before: Record) -> int:
    if request.mode != "run":
        raise WrongUsage(f"--bundle writes a file and runs nothing: leave --{request.mode} out")
    if request.written:
        path = request.folder / request.written
    else:
        path = home.reports / "bundles" / bundle.file_name(before)
    if not path.name.endswith(bundle.SUFFIX):
        raise WrongUsage(f"{path.name}: a bundle is called NAME{bundle.SUFFIX}")
    head = bundle.write(home, before, what_to_know(home, before), path)
    telling, shown = Telling(), home.shown(path)
    telling.say(f"{shown}: {path.stat().st_size / 2**20:.1f} MiB, {len(head.files)} files")
    telling.say(f"again, in any checkout: nox -s repro -- {shlex.quote(shown)}")
    return 0


@dataclass(frozen=True)
class Replayed(Project):
    """An unpacked bundle as a project: sources of cells and artifacts are the bundle's, all else the checkout `home`'s.

    `root`, where the sources are, is the unpacked bundle, or the checkout where those are to be tried.
    """

    unpacked: Path = Path()
    home: Path = Path()

    @property
    def _home(self) -> Project:
        return Project(self.home, self.limits)

    @property
    def environments(self) -> dict[str, Environment]:
        """Every environment by id."""
        return self._home.environments

    @property
    def artifacts(self) -> Path:
        """What the cell read."""
        return self.unpacked / "artifacts"

    @property
    def committed(self) -> Path:
        """What the cell read that is committed."""
        return self.unpacked / "tests" / "fixtures"

    @property
    def oldest(self) -> Path:
        """What the cell read that the oldest releases wrote."""
        return self.unpacked / "tests" / "pairs" / "oldest"

    @property
    def reports(self) -> Path:
        """Where the record goes."""
        return self._home.reports

    @property
    def state(self) -> Path:
        """Where runs and virtual environments are."""
        return self._home.state

    @property
    def recipe(self) -> tuple[Path, ...]:
        """What images are built with."""
        return self._home.recipe

    def shown(self, path: Path) -> str:
        """`path` from the top of the checkout, where it is in it."""
        return self._home.shown(path)

    def lock(self, environment: Environment) -> Path:
        """The lock of `environment`."""
        return self._home.lock(environment)


def _replay(home: Project, request: Request, path: Path) -> int:
    with unpacked(home, path) as (head, folder):
        telling = Telling()
        commit = f"commit {head.commit[:12]}{' with changes' * head.changed}" if head.commit else "no commit"
        telling.say(f"{path.name}: made {head.made}, {commit}; then on {head.record.engine}, {head.record.base}")
        differing = bundle.differences(home, head)
        whose = "this checkout's" if request.checkout else "the bundle's"
        few = ", ".join(differing[:5]) + (f" and {len(differing) - 5} more" if differing[5:] else "")
        other = "" if request.checkout or not differing else " (--checkout takes the checkout's)"
        difference = f"the checkout and the bundle differ in {few}{other}" if few else "the checkout has the same"
        telling.say(f"  sources: {whose}; {difference}")
        project = Replayed(home.root if request.checkout else folder, home.limits, folder, home.root)
        told = what_to_know(home, head.record) if request.checkout else head.told
        return again(project, head.record, told, None, _engine(project, request, head.record), request.mode)


def _engine(project: Project, request: Request, before: Record) -> Engine:
    """The engine that was asked for, else that of the record or another that confines what the bundle brings.

    A virtual environment is taken where it is asked for with the bundle, not for whatever else runs in this shell.
    """
    name = request.engine or os.environ.get("CARRYOVER_ENGINE")
    if name and (request.engine or name != "venv"):
        return choose(project, name, print)
    reasons = ["CARRYOVER_ENGINE is venv"] if name else []
    for candidate in () if name else dict.fromkeys((before.engine.partition(" ")[0], "docker", "podman")):
        if candidate not in ("docker", "podman"):
            continue
        try:
            return choose(project, candidate, print)
        except EngineUnavailable as error:
            reasons.append(str(error).partition(":")[0])
    raise EngineUnavailable(
        f"{' and '.join(reasons)}; a virtual environment does not confine the code of a bundle: if you trust it, "
        "say --engine venv"
    )
