"""Where one run of an environment works and writes its log."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from matrix.engine import Engine
from matrix.environments import Environment
from matrix.project import Project
from matrix.tools import exclusive, undisturbed


@contextmanager
def run_folder(project: Project, environment: Environment, engine: Engine) -> Iterator[Path]:
    """A folder for this run, under a lock that says that it is alive; removed at the end, and so are dead ones."""
    runs = project.state / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    project.reports.mkdir(exist_ok=True)
    # Those of other engines are left to them: only they can tell whether a container is left.
    for dead in {path.with_suffix("") for path in runs.glob(f"carryover-{engine.name}-*")}:
        with exclusive(dead.with_suffix(".lock"), wait=False) as free:
            if free:
                if dead.is_dir():
                    engine.remove(dead.name)
                _remove(dead)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = runs / f"carryover-{engine.name}-{environment.id.replace('.', '-')}-{stamp}-{os.getpid()}"
    try:
        with exclusive(folder.with_suffix(".lock")):
            folder.mkdir()
            yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    with undisturbed():
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".lock").unlink(missing_ok=True)


def log_of(project: Project, name: str) -> Path:
    """Where the words of the run `name` go, in a folder that is there."""
    logs = project.reports / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return logs / f"{name}.log"
