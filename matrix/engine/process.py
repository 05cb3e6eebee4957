"""What every engine needs of a process: to start it apart from the terminal, to end it whole, to build with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from matrix import process_log
from matrix.environments import Environment
from matrix.errors import BuildFailed, CarryoverError, DiskFull
from matrix.locks import NETWORK
from matrix.tools import undisturbed

Say = Callable[[str], None]
_GUARD = str(Path(__file__).with_name("guard.py"))
_POLL_SECONDS = 0.02
_PATIENCE = 8.0  # seconds in which a build may end in order: the guard's own patience, and some

#: The variables that a cell sees, beside those that say where things are. Nothing of the caller's is passed on.
ENVIRON = {
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "TF_CPP_MIN_LOG_LEVEL": "1",
    # TensorFlow takes all memory of a GPU at once: nothing is left for the processes that cells start, nor for another
    # release beside this one.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    # TensorFloat-32 keeps 10 bits of 23, and is used unasked where a GPU has it: no bound of a cell is made for it.
    "NVIDIA_TF32_OVERRIDE": "0",
}


@dataclass(frozen=True)
class Prepared:
    """An environment in which cells can run. `image`, `image_id` and `base` go into every record.

    `environ` is what its processes see beside ENVIRON, or in its place.
    """

    environment: Environment
    image: str
    image_id: str
    base: str
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """What to start, where, and with which variables (None: this process's own)."""

    words: list[str]
    folder: Path
    environ: dict[str, str] | None = None


class Running:
    """A command that was started: its process here, which ends when the command does."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, patience: float = 0.0) -> None:
        self.process, self.name = process, name
        self.patience = patience  # seconds in which it may end in order, before it is killed


def recorder(out: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs cells inside an environment."""
    return ["python", "-m", "tests.recorder", out, *arguments]


class Process(subprocess.Popen[bytes]):
    """A process that can be waited for after a signal has interrupted that.

    An exception that a signal's handler raises while Popen takes its lock leaves it locked, and whoever waits for the
    process then does so for ever.
    """

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        with undisturbed():
            return super().poll()

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once there is one. Raises TimeoutExpired."""
        begun = time.monotonic()
        while (status := self.poll()) is None:
            if timeout is not None and time.monotonic() - begun > timeout:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(_POLL_SECONDS)
        return status


def spawn(command: Sequence[str], output: IO[bytes], **options: object) -> Process:
    """Start `command` in a session of its own: a Ctrl-C on the terminal is for the host's side to handle."""
    return Process(  # type: ignore[call-overload, no-any-return]
        command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
    )


def kill(process: subprocess.Popen[bytes], patience: float = 0.0) -> None:
    """End `process` and everything that it started in its session, in order if it does that within `patience`."""
    if patience and process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def on_terminal(command: Command) -> int:
    """Run `command` on the terminal of this process until it ends, and return its exit status.

    A Ctrl-C is the command's: a debugger and a shell live on. Whatever ends this process ends the command first, and
    the terminal is left as it was.
    """
    process = None
    with _terminal_kept():
        try:
            with undisturbed():
                process = subprocess.Popen(command.words, cwd=command.folder, env=command.environ)
            return process.wait()
        finally:
            if process and process.poll() is None:
                process.send_signal(signal.SIGHUP)  # which a shell passes on to all that was started in it
                with suppress(subprocess.TimeoutExpired):
                    process.wait(2)
                process.kill()
                process.wait()


@contextmanager
def _terminal_kept() -> Iterator[None]:
    """Leave Ctrl-C to the process on the terminal, end as `kill` does when the terminal goes, then restore all."""
    mode, group = termios.tcgetattr(0), os.tcgetpgrp(0)
    before = {
        # not SIG_IGN, which the command would inherit
        signal.SIGINT: signal.signal(signal.SIGINT, lambda number, frame: None),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM)),
    }
    try:
        yield
    finally:
        quiet = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a shell that was killed did not give the terminal back
        with suppress(OSError, termios.error):
            os.tcsetpgrp(0, group)
            termios.tcsetattr(0, termios.TCSADRAIN, mode)
        signal.signal(signal.SIGTTOU, quiet)
        for number, handler in before.items():
            signal.signal(number, handler)


def run_build(
    command: Sequence[str], environ: dict[str, str], environment: Environment, log: Path, seconds: int
) -> None:
    """Run a build with its words in `log`; it ends with this process, whatever ends that.

    Raises BuildFailed or DiskFull with the line that says why.
    """
    start = log.stat().st_size if log.exists() else 0
    with process_log.appended(log) as output:
        process = None
        try:
            with undisturbed():  # so that what was started is known, and ended
                process = spawn([sys.executable, "-I", "-S", _GUARD, *command], output, env=environ)
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise BuildFailed(
                f"{environment.id} was not built within {seconds} s (CARRYOVER_BUILD_SECONDS); log: {log}"
            ) from None
        finally:
            if process:
                with undisturbed():
                    kill(process, _PATIENCE)
    if status == 0:
        return
    words = process_log.last_part(log, log.stat().st_size - start)
    raise _build_error(environment, words, log)


def _build_error(environment: Environment, words: str, log: Path) -> CarryoverError:
    lines = [re.sub(r"^#\d+ (\d+\.\d+ )?", "", line.strip()).strip() for line in words.splitlines() if line.strip()]
    full = [line for line in lines if "no space left on device" in line.lower()]
    if full:
        return DiskFull(
            f"no space left on the disk to build {environment.id}: {full[-1][-200:]}; free some and run again"
        )
    # uv says `error: …` and then `cause: …`; after it docker and podman repeat the whole command that failed
    of_uv = [line for line in lines if re.match(r"error: |cause: |× |╰─▶ ", line)]
    of_engine = [line for line in lines if re.match(r"error", line, re.IGNORECASE)]
    cause = "; ".join(of_uv[:3]) or (of_engine or lines or ["it said nothing"])[-1]
    advice = _advice(environment, " ".join(of_uv))
    return BuildFailed(f"{environment.id} could not be built: {advice}{cause[:400]}; log: {log}")


def _advice(environment: Environment, words: str) -> str:
    """What to make of the words of uv, where they alone do not say it."""
    if re.search(r"404|not found in the package registry|there is no version of", words, re.IGNORECASE):
        return f"what it pins is not on the package index any more (another lock: nox -s lock -- {environment.id}): "
    if NETWORK.search(words):
        return "the package index does not answer, though asked several times; try again later: "
    return ""
