"""Kills a run at a random moment, again and again, and looks for what is lost or left after the next run.

    python -m tests.engine.kills ENGINE [--count 20] [--seed 1] [--builds 0.3]

By hand: a kill takes seconds, and one in a build most of a minute. `test_kills.py` makes a few of each.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec

from matrix.environments import load_environments
from matrix.locks import make_lock
from matrix.report.command import lost
from matrix.results import Begun, Results
from tests.engine.planted import ID, Planted, axis, until, wait

CELLS = """
import os, subprocess, sys, time

def test_first(): pass
def test_second(): time.sleep(0.2)
def test_starts_another():
    code = "import time; time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    time.sleep(0.3)
    process.kill()
def test_writes(new_artifact):
    with open(os.path.join(new_artifact("thing"), "file"), "wb") as file:
        file.write(os.urandom(1 << 20))
def test_crashes():
    if not os.environ.get("QUIET"):
        time.sleep(0.1)
        os.abort()
def test_last(): time.sleep(0.3)
"""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Kills:
    """Runs of `planted`, ended by signals; `found` counts what came of them, `wrong` says what must not have."""

    def __init__(self, planted: Planted, chance: random.Random) -> None:
        self.planted, self.chance = planted, chance
        self.found: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.runtime = planted.root.parent / "runtime"  # for the folders of builds, which no other run shares
        self.runtime.mkdir(exist_ok=True)
        self.seconds = {"run": 6.0, "build": 30.0}

    def _start(self, what: str = "run"):
        if what == "images":
            return self.planted._start(["images", ID], {"XDG_RUNTIME_DIR": str(self.runtime)})
        return self.planted.start(XDG_RUNTIME_DIR=str(self.runtime))

    def measure(self, what: str) -> None:
        """How long it takes when nobody ends it: moments are drawn from that."""
        if what == "build":
            self._forget_image()
        done = wait(self._start(), 600)
        assert done.status == 1, done.out + done.err  # one cell crashes
        self.seconds[what] = done.seconds

    def _forget_image(self) -> None:
        """Let the next run build: its recipe is like no other's."""
        self.planted.remove_images()
        with (self.planted.root / "docker/install").open("a") as file:
            file.write(f"# {self.planted.root} {time.time_ns()}\n")

    def kill(self, what: str) -> None:
        """One kill in a `run`, in one that comes to `build`, or in a build of `images`; then the next run."""
        if what != "run":
            self._forget_image()
        before = self._lines()
        number = self.chance.choice(SIGNALS)
        moment = self.chance.uniform(0, self.seconds["run" if what == "run" else "build"])
        process = self._start(what)
        time.sleep(moment)
        process.send_signal(number)
        process.communicate()
        at = f"{number.name} in a {what} after {moment:.2f} s"
        self.found[what if process.returncode not in (0, 1) else "after its end"] += 1
        self._expect_records(before, process.pid, at)
        if what != "run":  # whatever installs must not go on in what the next run makes anew
            try:
                until(lambda: not self._processes(process.pid), seconds=20)
            except AssertionError:
                self.wrong.append(f"{at}: still runs: {self._processes(process.pid)}")
        self.found["something ran until the next run"] += bool(self._processes(process.pid))
        done = wait(self._start(), 600)
        self.seconds["run" if what == "run" else "build"] = done.seconds  # as the machine is now
        if done.status != 1 or len(self.planted.outcomes()) != 6:
            self.wrong.append(f"{at}: the next run ended with {done.status}: {done.out[-500:]}{done.err[-500:]}")
        left = [*self.planted.left(), *self.planted.containers(process.pid)]
        left += [] if what == "run" else self._builds()
        left += [*map(str, self._files()), *self._processes(process.pid)]
        if left:
            self.wrong.append(f"{at}: left after the next run: {left}")

    def _lines(self) -> list[bytes]:
        path = self.planted.root / "reports/results.jsonl"
        return path.read_bytes().splitlines() if path.exists() else []

    def _expect_records(self, before: list[bytes], pid: int, at: str) -> None:
        """What was recorded still is, whole; what was to run and has no record is known to be missing."""
        if self._lines()[: len(before)] != before:
            self.wrong.append(f"{at}: records of earlier runs are gone")
        records = list(self.planted.records().values())
        rows = Results(self.planted.root / "reports/results.jsonl").read()
        runs = self.planted.root / "reports/runs.jsonl"
        lines = runs.read_bytes().splitlines() if runs.exists() else []
        begun = [msgspec.json.decode(line, type=Begun) for line in lines]
        of_this = [run for run in begun if run.run.endswith(f"-{pid}")]
        missing = set(lost(begun, rows))
        for run in of_this:
            had = {record.cell for record in rows if record.run == run.run}
            unknown = [cell for cell in run.cells if cell not in had and (run.environment, cell) not in missing]
            if unknown:
                self.wrong.append(f"{at}: neither recorded nor missed: {unknown}")
        self.found["records kept"] += len(records)

    def _processes(self, pid: int) -> list[str]:
        """What runs for the project: by its path in the command line, the variables or the recipe of a build."""
        root = str(self.planted.root).encode()
        found = self.planted.processes(pid)
        for path in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ", "root/tmp/install"):
                try:
                    if root in (path / name).read_bytes() and int(path.name) != _own():
                        found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                        break
                except OSError:
                    continue
        return found

    def _builds(self) -> list[str]:
        """What podman keeps of builds whose process is dead, and under a name that does not say whose it is."""
        if self.planted.engine != "podman":
            return []
        said = []
        for command in (["ps", "--all", "--external", "--format", "{{.Names}}"], ["images", "--format", "{{.Names}}"]):
            said += subprocess.run(["podman", *command], capture_output=True, text=True, check=True).stdout.split("\n")
        builds = [(name, re.search(r"building-(\d+)-", name)) for name in said]
        dead = [name for name, build in builds if build and not Path("/proc", build[1]).exists()]
        return dead + [name for name in said if name.startswith("working-container")]

    def _files(self) -> list[Path]:
        """Hidden and partial files, and folders for passwords."""
        state = self.planted.root / ".carryover"
        found = [*state.glob(".*"), *state.glob("context/.*"), *self.planted.root.glob("reports/**/.*")]
        found += [path for path in state.glob("builds/*") if path.name != "lock"]
        return [*found, *self.runtime.iterdir(), *state.glob("bundles/*")]


def _own() -> int:
    return int(Path("/proc/self").resolve().name)


def plant(folder: Path, engine: str, locks: Path, venvs: Path | None = None) -> Planted:
    """A project with the cells that are killed; without `venvs` nothing that is built serves it."""
    planted = Planted(folder / "project", engine).plant(locks, venvs).cells(CELLS)
    return planted if venvs else planted.anew()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["docker", "podman", "venv"])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--builds", type=float, default=0.3, help="the share of kills in which an environment is built")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        locks = Path(folder) / "locks"
        locks.mkdir()
        (locks / "environments.toml").write_text(axis())
        for environment in load_environments(locks / "environments.toml").values():
            make_lock(locks / f"{environment.id}.txt", environment)
        kills = Kills(plant(Path(folder), options.engine, locks), chance)
        try:
            for what in ("build", "run"):
                kills.measure(what)
            print(f"{options.engine}: a build takes {kills.seconds['build']:.1f} s, a run {kills.seconds['run']:.1f} s")
            number = 0
            while (number := number + 1) - kills.found["after its end"] <= options.count:
                told = len(kills.wrong)
                kills.kill(chance.choice(["build", "images"]) if chance.random() < options.builds else "run")
                for wrong in kills.wrong[told:]:
                    print(f"{number}: {wrong}", flush=True)
        finally:
            kills.planted.remove_images()
        print(f"{options.engine}, seed {options.seed}: {dict(kills.found)}, wrong: {len(kills.wrong)}", flush=True)
    return 1 if kills.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
