"""How the benches measure: pairs that alternate, processes with their peak memory, workers that stay."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
# As a user has it: compiled modules are kept (they are for TensorFlow, whose installation compiles them), no GPU.
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
ENVIRON.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")


class Child:
    """A process that ran to its end: its wall time in seconds, its peak memory in bytes, what it printed.

    The kernel counts into the peak what the parent held when it started the child, so the parent must stay small:
    this side of the bench imports no NumPy.
    """

    def __init__(self, command, output=subprocess.DEVNULL):
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=ENVIRON, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
        )
        self.printed = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        self.peak = usage.ru_maxrss * 1024  # KiB on Linux, where the bench runs
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}")


class Worker:
    """An interpreter that answers questions in `module`, so that imports are no part of the figures."""

    def __init__(self, python, side, module="tests.bench.readers"):
        self._process = subprocess.Popen(
            [python, "-m", module, side],
            cwd=ROOT,
            env=ENVIRON,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.description = self._answer()

    def ask(self, *question):
        """The worker's answer to `question`: seconds, for those that measure."""
        self._process.stdin.write(json.dumps([str(word) for word in question]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(map(str, self._process.args))} ended with {self._process.wait()}")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


class Figure:
    """The seconds that each round took."""

    def __init__(self, seconds):
        self.seconds = seconds

    @property
    def median(self):
        return statistics.median(self.seconds)

    def __str__(self):
        return spread(self.seconds, "s")


def spread(values, unit):
    """`0.241 s (0.230 to 0.262)`: the median, and the least and the greatest of all rounds."""
    median = statistics.median(values)
    digits = max(0, 3 - len(str(int(median))) + (median < 1))
    return f"{median:.{digits}f} {unit} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Figure]:
    """What each of `sides` took, A B A B: a slower or noisier machine changes all alike. The first round only warms."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for place in range(rounds + 1):
        for name, measure in sides.items():
            seconds = measure()
            if place:
                taken[name].append(seconds)
    return {name: Figure(seconds) for name, seconds in taken.items()}


def ratios(slow: Figure, fast: Figure) -> str:
    """How many times as long `slow` took, round by round."""
    return spread([one / other for one, other in zip(slow.seconds, fast.seconds)], "x")


def show(what: str, figure: object) -> None:
    """One line of the report."""
    print(f"  {what:<44} {figure}", flush=True)
