"""Runs a command in a process of its own, with limits on memory and time, and says what became of it."""

from __future__ import annotations

import gc
import os
import resource
import sys
import traceback
from typing import NamedTuple

CRASHED = 70


class Outcome(NamedTuple):
    """How a command ended: its status (negative: the signal that ended it), what it printed, what it took."""

    status: int
    output: str
    errors: str
    peak: int
    seconds: float

    def problems(self) -> list[str]:
        """What no input may cause: crashes, tracebacks, what acts on a terminal, errors of several lines."""
        found = []
        if self.status not in (0, 1, 2, 3, 4):
            found.append(f"status {self.status}")
        if "Traceback" in self.errors or "Traceback" in self.output:
            found.append("a traceback")
        for text in (self.output, self.errors):
            if not all(line.isprintable() for line in text.split("\n")):
                found.append("unprintable output")
        if self.status in (2, 4) and len(self.errors.splitlines()) != 1:
            found.append(f"{len(self.errors.splitlines())} lines of an error")
        if self.status == 4 and len(self.errors) > 2100:
            found.append("a line that is too long")
        return found


def _resident() -> int:
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize()


def _virtual() -> int:
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[0]) * resource.getpagesize()


def run(arguments: list[str], folder: str, memory: int = 1 << 30, seconds: int = 20) -> Outcome:
    """Runs `python -m checkpoints ARGUMENTS` in `folder`, in a fork of this process.

    `memory` (bytes) is what it may take more than this process has, `seconds` are of the processor.
    """
    names = [os.path.join(folder, name) for name in (".output", ".errors")]
    before = _resident()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        _command(arguments, folder, names, memory, seconds)
    _, code, usage = os.wait4(child, 0)
    status = -os.WTERMSIG(code) if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)
    texts = []
    for name in names:
        with open(name, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            texts.append(stream.read())
        os.unlink(name)
    return Outcome(status, *texts, max(usage.ru_maxrss * 1024 - before, 0), usage.ru_utime + usage.ru_stime)


def _command(arguments: list[str], folder: str, names: list[str], memory: int, seconds: int) -> None:
    status = CRASHED
    # What the parent has thrown away is not to be finalized here: TensorFlow's finalizers crash in a fork.
    gc.freeze()
    try:
        os.chdir(folder)
        for target, name in enumerate(names, 1):
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, target)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 * memory, 4 * memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        most = _virtual() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        from checkpoints.cli import main

        status = main(arguments)
        sys.stdout.flush()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else CRASHED
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
