"""Where one run of an environment works and writes its log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from matrix.engine import Engine
from matrix.environments import Environment
from matrix.plain import remove_tree
from matrix.project import Project
from matrix.tools import exclusive, undisturbed


@contextmanager
def run_folder(project: Project, environment: Environment, engine: Engine) -> Iterator[Path]:
    """A folder for this run, and what runs of this engine that were killed have left is removed."""
    project.reports.mkdir(exist_ok=True)
    # Those of other engines are left to them: only they can tell whether a container is left.
    of_engine = f"carryover-{engine.name}-"
    with own_folder(project.state / "runs", of_engine, environment.id.replace(".", "-"), engine.remove) as folder:
        yield folder


@contextmanager
def own_folder(
    parent: Path, prefix: str, name: str = "", remove: Callable[[str], None] = lambda name: None
) -> Iterator[Path]:
    """A folder PREFIX[NAME-]TIME-PID of `parent`, under a lock that says that it is alive; removed at the end.

    Nobody else gets into it: a cell that is run by root may leave a file there that would make anybody root. Those of
    the dead with this prefix go first, each after `remove` was called with its name.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for dead in {path.with_suffix("") for path in parent.glob(f"{prefix}*")}:
        with exclusive(dead.with_suffix(".lock"), wait=False) as free:
            if free:
                if dead.is_dir():
                    remove(dead.name)
                _remove(dead)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = parent / f"{prefix}{f'{name}-' if name else ''}{stamp}-{os.getpid()}"
    try:
        with exclusive(folder.with_suffix(".lock")):
            folder.mkdir(mode=0o700)
            yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    with undisturbed():
        remove_tree(folder)
        folder.with_suffix(".lock").unlink(missing_ok=True)


def log_of(project: Project, name: str) -> Path:
    """Where the words of the run `name` go, in a folder that is there."""
    logs = project.reports / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return logs / f"{name}.log"
