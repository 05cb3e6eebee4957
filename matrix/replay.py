"""`nox -s repro`: from what was asked for to the one cell that runs again, or the bundle that is written."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from matrix import bundle, lookup
from matrix.engine import Engine, choose
from matrix.errors import EngineUnavailable, WrongUsage
from matrix.project import Project
from matrix.repro import Telling, again
from matrix.results import Record


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
    return again(home, before, engine, request.mode)


def _write(home: Project, request: Request, before: Record) -> int:
    if request.mode != "run":
        raise WrongUsage(f"--bundle writes a file and runs nothing: leave --{request.mode} out")
    if request.written:
        path = request.folder / request.written
    else:
        path = home.reports / "bundles" / bundle.file_name(before)
    if not path.name.endswith(bundle.SUFFIX):
        raise WrongUsage(f"{path.name}: a bundle is called NAME{bundle.SUFFIX}")
    head = bundle.write(home, before, path)
    telling, shown = Telling(), home.shown(path)
    telling.say(f"{shown}: {path.stat().st_size / 2**20:.1f} MiB, {len(head.files)} files")
    telling.say(f"again, in any checkout: nox -s repro -- {shlex.quote(shown)}")
    return 0


def _replay(home: Project, request: Request, path: Path) -> int:
    head, unpacked = bundle.unpack(home, path)
    telling = Telling()
    commit = f"commit {head.commit[:12]}{' with changes' * head.changed}" if head.commit else "no commit"
    telling.say(f"{path.name}: made {head.made}, {commit}; then on {head.record.engine}, {head.record.base}")
    differing = bundle.differences(home, head)
    whose = "this checkout's" if request.checkout else "the bundle's"
    few = ", ".join(differing[:5]) + (f" and {len(differing) - 5} more" if differing[5:] else "")
    other = "" if request.checkout or not differing else " (--checkout takes the checkout's)"
    difference = f"the checkout and the bundle differ in {few}{other}" if few else "the checkout has the same"
    telling.say(f"  sources: {whose}; {difference}")
    root = home.root if request.checkout else unpacked
    project = bundle.Replayed(root, home.limits, unpacked, home.root, head.record.environment)
    return again(project, head.record, _engine(project, request, head.record), request.mode)


def _engine(project: Project, request: Request, before: Record) -> Engine:
    """The engine that was asked for, else that of the record or another that confines what the bundle brings."""
    name = request.engine or os.environ.get("CARRYOVER_ENGINE")
    if name:
        return choose(project, name, print)
    reasons = []
    for candidate in dict.fromkeys((before.engine.partition(" ")[0], "docker", "podman")):
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
