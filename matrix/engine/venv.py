"""No container engine: virtual environments that uv makes, from the same locks, for the same cells."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from matrix import disk, images, interpreters, locks
from matrix.engine.process import (
    ENVIRON,
    Command,
    Prepared,
    Running,
    Say,
    on_terminal,
    run_build,
    spawn,
)
from matrix.environments import Environment
from matrix.errors import EngineUnavailable
from matrix.project import Project
from matrix.tools import exclusive, hold, undisturbed, uv


class VirtualEnvironments:
    """No containers: the same locks and the same cells, in virtual environments that uv makes."""

    name = "venv"
    isolation = "none"

    def __init__(self, project: Project) -> None:
        self.project = project
        self._held: dict[Path, int] = {}  # those in use, which `nox -s clean` leaves as long as this process lives

    def _hold(self, folder: Path) -> None:
        if folder not in self._held:
            self._held[folder] = hold(folder)

    def version(self) -> str:
        """`venv (uv 0.9.1)`."""
        done = subprocess.run([uv(), "--version"], capture_output=True, text=True, check=False)
        return f"venv ({' '.join(done.stdout.split()[:2])})"

    def _folder(self, environment: Environment, interpreter: Path) -> Path:
        lock = images.Base(str(interpreter), "", "")
        name = images.tag(self.project, environment, lock).rpartition("/")[2].replace(":", "-")
        return self.project.state / "venvs" / name

    def _prepared(self, environment: Environment, interpreter: Path) -> Prepared:
        folder = self._folder(environment, interpreter)
        return Prepared(environment, folder.name, folder.name.rpartition("-")[2], f"CPython at {interpreter}")

    def up_to_date(self, environment: Environment) -> Prepared | None:
        """The virtual environment of `environment`, if it is there for the lock as it is now."""
        locks.check_lock(self.project.lock(environment), environment)
        interpreter = interpreters.find(environment.python)
        if interpreter is None or not self._folder(environment, interpreter).exists():
            return None
        return self._prepared(environment, interpreter)

    def found(self, environment: Environment, image: str, image_id: str, base: str) -> Prepared | None:
        """The virtual environment called `image`, if it is still there and is one of `environment`."""
        folder = self.project.state / "venvs" / image
        with exclusive(self.project.state / f"venv-{environment.id}.lock"):
            if image != f"{environment.id}-{image_id}" or not folder.exists():
                return None
            self._hold(folder)
        return Prepared(environment, image, image_id, base)

    def prepare(self, environment: Environment, log: Path, say: Say) -> Prepared:
        """The virtual environment of `environment`, made if need be, under its final name only when it is complete."""
        if environment.base or environment.cuda_images:
            source = environment.base or environment.cuda_images[0]
            raise EngineUnavailable(f"{environment.id} needs docker or podman: a part of it comes out of {source}")
        locks.check_lock(self.project.lock(environment), environment)
        interpreter = interpreters.require(environment.python)
        folder = self._folder(environment, interpreter)
        self._remove_partial()
        with exclusive(self.project.state / f"venv-{environment.id}.lock"):
            if not folder.exists():
                need = disk.needed(self.project, environment)
                with disk.room(need, environment.id, folder.parent.resolve(), self.project.state / "builds", say):
                    say(f"making {folder.name} with {interpreter} (log: {self.project.shown(log)})")
                    partial = folder.with_name(folder.name + ".partial")
                    shutil.rmtree(partial, ignore_errors=True)
                    try:
                        self._make(environment, interpreter, partial, log)
                        partial.rename(folder)
                    finally:
                        shutil.rmtree(partial, ignore_errors=True)
            self._hold(folder)
        disk.touch(str(folder))
        return self._prepared(environment, interpreter)

    def _remove_partial(self) -> None:
        """Remove what is left of environments that nobody makes any more."""
        for partial in (self.project.state / "venvs").glob("*.partial"):
            identifier = partial.name.removesuffix(".partial").rpartition("-")[0]
            with exclusive(self.project.state / f"venv-{identifier}.lock", wait=False) as free:
                if free:
                    shutil.rmtree(partial, ignore_errors=True)

    def _make(self, environment: Environment, interpreter: Path, folder: Path, log: Path) -> None:
        environ = {
            **os.environ,
            **locks.index_variables(environment),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
        }
        environ.pop("VIRTUAL_ENV", None)
        lock = str(self.project.lock(environment))
        python = str(folder / "bin" / "python")
        install = ["pip", "install", "--quiet", "--python", python, "--no-deps", "--require-hashes"]
        for command in (
            ["venv", "--quiet", "--python", str(interpreter), str(folder)],
            [*install, "--compile-bytecode", "--requirements", lock],
        ):
            run_build([uv(), *command], environ, environment, log, self.project.limits.build_seconds)

    def inside(self, run: Path) -> dict[str, str]:
        """The run's folders, which are themselves."""
        return {"in": str(run / "in"), "out": str(run / "out"), "lock": ""}

    def start(self, prepared: Prepared, run: Path, words: Sequence[str], output: IO[bytes]) -> Running:
        """Start `words` in a session of its own, with none of the caller's variables."""
        command = self._command(prepared, run, words)
        return Running(spawn(command.words, output, cwd=command.folder, env=command.environ), run.name)

    def attach(self, prepared: Prepared, run: Path, words: Sequence[str]) -> int:
        """Run `words` on this terminal, as cells are run; returns its exit status."""
        try:
            return on_terminal(self._command(prepared, run, words, {"TERM": os.environ.get("TERM", "xterm")}))
        finally:
            with undisturbed():
                self.remove(run.name)

    def _command(
        self, prepared: Prepared, run: Path, words: Sequence[str], more: Mapping[str, str] | None = None
    ) -> Command:
        binaries = self.project.state / "venvs" / prepared.image / "bin"
        temporary = run / "tmp"
        temporary.mkdir(exist_ok=True)
        environ = {
            **ENVIRON,
            **prepared.environment.env,
            **_cuda(prepared.environment, binaries.parent),
            "PATH": f"{binaries}:{os.defpath}",
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            "CARRYOVER_OUT": str(run / "out"),
            "PYTHONNOUSERSITE": "1",
            **prepared.environ,
            **(more or {}),
        }
        # PATH would end at a colon in the checkout's path.
        first = str(binaries / words[0]) if words[0] == "python" else words[0]
        return Command([first, *words[1:]], self.project.root, environ)

    def remove(self, name: str) -> None:
        """End the processes of the run `name` that left its session: they have its folder among their variables."""
        mark = f"CARRYOVER_OUT={self.project.state / 'runs' / name / 'out'}".encode()
        while marked := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _has(pid, mark)]:
            for pid in marked:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _has(pid: int, variable: bytes) -> bool:
    """Whether the process of this user has started with `variable`; not of one that has ended."""
    try:
        return variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _cuda(environment: Environment, folder: Path) -> dict[str, str]:
    """Where the loader finds CUDA's libraries, which in an image stand together in one folder."""
    if environment.device == "cpu":
        return {}
    return {"LD_LIBRARY_PATH": ":".join(map(str, sorted(folder.glob("lib/python3*/site-packages/nvidia/*/lib"))))}
