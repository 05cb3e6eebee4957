"""A small project to run engines on: one environment that is nothing but pytest, and cells as a test wants them.

Everything else is the real thing: the Dockerfile, the recorder, a lock that uv made, and the command as a process.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.results import Record, Results

CHECKOUT = Path(__file__).resolve().parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# The pytest that the newest environment has locked, so that the cutoff of environments.toml allows it.
PYTEST = re.findall(r"^pytest==(\S+)", (CHECKOUT / "docker/locks/cpu-tf2.21.txt").read_text(), re.MULTILINE)[0]
RELEASE = ".".join(PYTEST.split(".")[:2])
ID = f"cpu-tf{RELEASE}"
OTHER = f"gpu-tf{RELEASE}"
_CUTOFF = re.findall(r'^cutoff = "(.+?)"', (CHECKOUT / "environments.toml").read_text(), re.MULTILINE)[0]


def axis(python: str = PYTHON) -> str:
    """The text of an environments.toml with two environments, which hold pytest and what it needs."""
    tables = [
        f'[environments."{name}"]\ntensorflow = "{PYTEST}"\npackage = "pytest"\npython = "{python}"\nkeras = 3\n'
        for name in (ID, OTHER)
    ]
    return f'cutoff = "{_CUTOFF}"\ncommon = []\n\n' + "\n".join(tables)


@dataclass
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def error(self) -> str:
        """The one line that it ended with; fails when there is more than one, or a traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


class Planted:
    """A checkout at `root` that runs its cells on `engine`."""

    def __init__(self, root: Path, engine: str) -> None:
        self.root, self.engine = root, engine

    def plant(self, locks: Path, venvs: Path | None = None) -> Planted:
        """Put everything there but cells. Virtual environments are shared through `venvs`, as images are anyway."""
        for name in ("docker/locks", "tests/environment", "tests/compatibility", ".carryover"):
            (self.root / name).mkdir(parents=True)
        for name in ("docker/Dockerfile", "docker/install", "pyproject.toml", "tests/recorder.py", "tests/conftest.py"):
            shutil.copy(CHECKOUT / name, self.root / name)
        for name in ("tests", "tests/environment", "tests/compatibility"):
            (self.root / name / "__init__.py").touch()
        (self.root / "environments.toml").write_text(axis())
        (self.root / "docker/sizes.toml").write_text(f'[megabytes]\n"{OTHER}" = 10\n')  # not that of a GPU's image
        for lock in locks.glob("*.txt"):
            shutil.copy(lock, self.root / "docker/locks")
        if venvs:
            (self.root / ".carryover/venvs").symlink_to(venvs)
        return self

    def anew(self) -> Planted:
        """Let nothing that was built before serve: the recipe is like no other's, and with it every layer."""
        with (self.root / "docker/install").open("a") as file:
            file.write(f"# {self.root}\n")
        return self

    def cells(self, source: str, *more: str, module: str = "test_cells", **declared: str) -> Planted:
        """Write `source` as a module of cells and declare its tests, `more`, and what is already declared."""
        (self.root / f"tests/environment/{module}.py").write_text(source)
        tests = [f"{module}.py::{name}" for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)] + list(more)
        with (self.root / "tests/cells.toml").open("a") as file:
            for test in tests:
                file.write(f'[[cells]]\ntest = "tests/environment/{test}"\nin = []\n')
                file.writelines(f'{key} = "{value}"\n' for key, value in declared.items())
        return self

    def command(self, *arguments: str) -> list[str]:
        """`python -m matrix` for this project."""
        engine = ["--engine", self.engine] if self.engine else []
        return [sys.executable, "-m", "matrix", "--root", str(self.root), *engine, *arguments]

    def start(self, *arguments: str, environment: str = ID, **environ: str) -> subprocess.Popen[str]:
        """Start a run of the cells, and do not wait for it."""
        return self._start(["run", environment, "--", *arguments], environ)

    def _start(self, arguments: Iterable[str], environ: Mapping[str, str]) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOVER_")}
        process = start(
            self.command(*arguments),
            cwd=CHECKOUT,
            env={**kept, "NO_COLOR": "1", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        STARTED.append((self, process))
        return process

    def run(self, *arguments: str, environment: str = ID, **environ: str) -> Done:
        """Run the cells to the end."""
        return wait(self.start(*arguments, environment=environment, **environ))

    def do(self, *arguments: str, **environ: str) -> Done:
        """Another command of `python -m matrix`."""
        return wait(self._start(arguments, environ))

    def records(self) -> dict[str, Record]:
        """The last record of every cell by the name of its function; fails when a line is not a whole record."""
        path = self.root / "reports/results.jsonl"
        text = path.read_bytes() if path.exists() else b""
        assert text.endswith(b"\n") or not text, "the last record is torn"
        records = Results(path).read()
        assert len(records) == text.count(b"\n"), "a line is not a record"
        return {record.cell.rpartition("::")[2]: record for record in records}

    def outcomes(self) -> dict[str, str]:
        """The last outcome of every cell."""
        return {name: record.outcome.value for name, record in self.records().items()}

    def left(self) -> list[str]:
        """What a run must not leave: folders of runs and of builds, partial environments, hidden artifacts."""
        state = self.root / ".carryover"
        found = [*state.glob("runs/*"), *state.glob("build-*"), *state.glob("venvs/*.partial")]
        found += [*self.root.glob("artifacts/*/.*"), *self.root.glob("docker/locks/*.partial")]
        return [str(path.relative_to(self.root)) for path in found]

    def containers(self, pid: int) -> list[str]:
        """The containers, in whatever state, of the run that process `pid` made."""
        if self.engine == "venv":
            return []
        shape = ["ps", "--all", "--format", "{{.Names}} {{.Status}}"]
        lines = subprocess.run([self.engine, *shape], capture_output=True, text=True, check=True).stdout.splitlines()
        return [line for line in lines if line.split(" ")[0].endswith(f"-{pid}")]

    def building(self, pid: int) -> list[str]:
        """What podman keeps of a build that process `pid` has ended: containers to build in, names of bases."""
        if self.engine != "podman":
            return []
        said = ""
        for command in (["ps", "--all", "--external", "--format", "{{.Names}}"], ["images", "--format", "{{.Names}}"]):
            said += subprocess.run(["podman", *command], capture_output=True, text=True, check=True).stdout
        return [line for line in said.splitlines() if f"building-{pid}-" in line]

    def remove_images(self) -> None:
        """Remove the images that were built for the locks of this project alone."""
        if self.engine != "venv":
            for environment in (ID, OTHER):
                prepared = re.findall(rf"^{environment}: (localhost/\S+)", self.do("up-to-date", environment).out, re.M)
                for image in prepared:
                    subprocess.run([self.engine, "rmi", "--force", image], capture_output=True, check=False)

    def processes(self, pid: int) -> list[str]:
        """The command lines of the processes that run for the run of process `pid`, containers' included."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has just ended
            if re.search(rf"carryover-[\w-]+-{pid}\b", words):
                found.append(words)
        return found


#: Whatever was started, for `end_all`.
STARTED: list[tuple[Planted, subprocess.Popen[str]]] = []


def start(words: Sequence[str], **options) -> subprocess.Popen[str]:
    """Start a process that a signal ends, also where this one ignores it: under nohup, or in a script's background."""
    return subprocess.Popen(words, preexec_fn=default_signals, **options)


def default_signals() -> None:
    """What a shell gives to a command in the foreground."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def end_all() -> None:
    """End what a test that failed has left: its processes, which clean up, and their containers."""
    while STARTED:
        planted, process = STARTED.pop()
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            for line in planted.containers(process.pid):
                subprocess.run([planted.engine, "rm", "--force", line.split(" ")[0]], capture_output=True, check=False)


def wait(process: subprocess.Popen[str], seconds: float = 120) -> Done:
    """The end of `process`, which must come within `seconds`."""
    begun = time.monotonic()
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        raise AssertionError(f"not done after {seconds} s: {out}{err}") from None
    return Done(process.returncode, out, err, time.monotonic() - begun)


def until(condition, seconds: float = 30, every: float = 0.02):
    """Wait until `condition()` is true, and return what it said; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        time.sleep(every)
