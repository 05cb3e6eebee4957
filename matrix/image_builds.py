"""Builds or checks the images of many environments: each in a process of its own, one per core at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from queue import Queue

from rich.console import Console

from matrix import disk
from matrix.engine import Containers, Engine, VirtualEnvironments, choose, gpu_here, registry
from matrix.environments import Environment, nearest
from matrix.errors import DiskFull, EngineUnavailable, UnknownEnvironment
from matrix.project import Project
from matrix.table import console
from matrix.tools import undisturbed


def push_images(project: Project, words: Sequence[str], engine_name: str | None) -> int:
    """Build the images that `words` name, and put them into CARRYOVER_REGISTRY; 0 if all are there then."""
    engine = choose(project, engine_name, print)
    if not isinstance(engine, Containers):
        raise EngineUnavailable("--push is for docker or podman: a virtual environment goes into no registry")
    status = build_images(project, words, False, engine.name)
    for row in select(project, words) if status == 0 else []:
        prepared = engine.up_to_date(row)
        assert prepared is not None
        print(f"pushed: {registry.push(engine.command, prepared.image)}")
    return status


def build_images(project: Project, words: Sequence[str], only_check: bool, engine_name: str | None) -> int:
    """Build the images that `words` name (`select`) and that are not up to date; 0 if all are then.

    Without words: every CPU environment, and the GPU's where there is one. Raises DiskFull before any build when the
    disk cannot hold them all.
    """
    begun = time.monotonic()
    out = console()
    engine = choose(project, engine_name, out.print)
    rows = select(project, words)
    missing = _missing(engine, rows)
    gpu = "" if words or gpu_here() else "; GPU rows are left out without a GPU, unless they are named"
    out.print(
        f"{engine.version()}: {len(rows) - len(missing)} of {len(rows)} up to date{gpu} "
        f"({time.monotonic() - begun:.1f} s)"
    )
    if only_check or not missing:
        for row in missing:
            out.print(f"  {row.id} is not built")
        return 1 if missing else 0
    room = _room(project, engine)
    needs = sum(disk.needed(project, row) for row in missing)
    if room is not None and needs > room:
        raise DiskFull(
            f"{len(missing)} images need about {disk.gigabytes(needs)} with the packages that they are "
            f"made of, and {disk.gigabytes(room)} are free: `nox -s clean` frees some, or name fewer after --"
        )
    return _Builds(project, engine, out).run(_in_turn(missing))


def _missing(engine: Engine, rows: Sequence[Environment]) -> list[Environment]:
    if isinstance(engine, Containers):
        here = engine.images()
        return [row for row in rows if not engine.up_to_date(row, here)]
    return [row for row in rows if not engine.up_to_date(row)]


def select(project: Project, words: Sequence[str]) -> list[Environment]:
    """The environments that `words` name: by id, release, session or tag. Raises UnknownEnvironment with those near it.

    A release by itself is its row for the CPU, and that for the GPU where there is one; Keras 2 in a release of Keras 3
    goes by its own names.
    """
    every = list(project.environments.values())
    if not words:
        return [row for row in every if row.device == "cpu" or gpu_here()]
    chosen: dict[str, Environment] = {}
    for word in words:
        named = [row for row in every if word in (row.id, row.session, *row.tags)]
        if not named:
            rows = [row for row in every if word in row.names]
            named = [row for row in rows if row.device == "cpu" or gpu_here()] or rows
        if not named:
            known = dict.fromkeys(name for row in every for name in (row.id, row.release, row.session, *row.tags))
            raise UnknownEnvironment(f"{word!r} is no environment, release, session or tag: {nearest(word, known)}")
        chosen.update((row.id, row) for row in named)
    return list(chosen.values())


def _room(project: Project, engine: Engine) -> int | None:
    if isinstance(engine, Containers):
        folder = engine.folder()
        return None if folder is None else disk.free(folder)
    return disk.free(project.state)


def _in_turn(rows: Sequence[Environment]) -> list[Environment]:
    """One row of each Python, then a second of each: their common layer is there when the second one needs it."""
    by_python = defaultdict(list)
    for row in rows:
        by_python[row.python].append(row)
    return [row for turn in zip_longest(*by_python.values()) for row in turn if row]


class _Builds:
    """The builds that are under way. A process each, because a build that is interrupted cleans up after itself."""

    def __init__(self, project: Project, engine: Engine, out: Console) -> None:
        self.project, self.engine, self.out = project, engine, out
        self.under_way: dict[str, subprocess.Popen[str]] = {}
        self.begun: dict[str, float] = {}
        self.ended: Queue[tuple[str, str]] = Queue()
        self.done = self.status = 0

    def run(self, rows: list[Environment]) -> int:
        """Build `rows`; returns 0, or the highest status of those that failed. Ends what it started, in any case."""
        waiting, total = list(rows), len(rows)
        most = max(1, len(os.sched_getaffinity(0)))
        try:
            while waiting or self.under_way:
                while waiting and len(self.under_way) < most:
                    self._start(waiting.pop(0))
                names = ", ".join(self.under_way)
                with self.out.status(f"[{self.done}/{total}] building {names}"):
                    self._take(total)
        finally:
            self._end()
        return self.status

    def _start(self, row: Environment) -> None:
        words = [sys.executable, "-m", "matrix", "--root", str(self.project.root), "--engine", self.engine.name]
        package = str(self.project.root if (self.project.root / "matrix").is_dir() else sys.path[0])
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
        with undisturbed():  # so that what was started is known, and ended
            process = subprocess.Popen(
                [*words, "build", "--child", row.id],
                stdin=subprocess.PIPE,  # which ends with this process
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C on the terminal is for this process to handle
                env=environ,
            )
            self.under_way[row.id], self.begun[row.id] = process, time.monotonic()
        threading.Thread(target=self._follow, args=(row.id, process), daemon=True).start()

    def _follow(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stderr
        err = process.stderr.read()
        process.wait()
        self.ended.put((name, err))

    def _take(self, total: int) -> None:
        name, err = self.ended.get()
        status = self.under_way.pop(name).returncode
        self.done += 1
        self.status = max(self.status, abs(status))
        seconds = time.monotonic() - self.begun[name]
        words = f"{seconds:.0f} s" if status == 0 else (err.strip().splitlines() or [f"exit status {status}"])[-1]
        sign = "[green]✓ built[/]" if status == 0 else "[bold red]✗ failed[/]"
        self.out.print(f"[{self.done}/{total}] {sign}  {name}  ", end="")
        self.out.print(words.removeprefix("carryover: "), markup=False)

    def _end(self) -> None:
        with undisturbed():
            for process in self.under_way.values():
                process.terminate()
            for process in self.under_way.values():
                process.wait()


def build_one(project: Project, name: str, engine_name: str | None) -> int:
    """Build the environment `name`, if need be; its words go to reports/logs."""
    environment = project.environment(name)
    engine = choose(project, engine_name, print)
    assert isinstance(engine, Containers | VirtualEnvironments)
    logs = project.reports / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    prepared = engine.prepare(environment, logs / f"build-{engine.name}-{environment.id}.log", print)
    print(f"{environment.id}: {prepared.image}")
    return 0
