"""What every engine needs of a process: to start it apart from the terminal, to end it whole, to build with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from matrix.environments import Environment
from matrix.errors import BuildFailed, CarryoverError, DiskFull
from matrix.tools import undisturbed

Say = Callable[[str], None]

#: The variables that a cell sees, beside those that say where things are. Nothing of the caller's is passed on.
ENVIRON = {
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "TF_CPP_MIN_LOG_LEVEL": "1",
}


@dataclass(frozen=True)
class Prepared:
    """An environment in which cells can run. `image`, `image_id` and `base` go into every record."""

    environment: Environment
    image: str
    image_id: str
    base: str


class Running:
    """A command that was started: its process here, which ends when the command does."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, patience: float = 0.0) -> None:
        self.process, self.name = process, name
        self.patience = patience  # seconds in which it may end in order, before it is killed


def spawn(command: Sequence[str], output: IO[bytes], **options: object) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own: a Ctrl-C on the terminal is for the host's side to handle."""
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
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


def run_build(
    command: Sequence[str], environ: dict[str, str], environment: Environment, log: Path, seconds: int
) -> None:
    """Run a build with its words in `log`. Raises BuildFailed or DiskFull with the line that says why."""
    with log.open("ab") as output:
        start = output.tell()
        process = None
        try:
            with undisturbed():  # so that what was started is known, and ended
                process = spawn(command, output, env=environ)
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise BuildFailed(
                f"{environment.id} was not built within {seconds} s (CARRYOVER_BUILD_SECONDS); log: {log}"
            ) from None
        finally:
            if process:
                kill(process)
    if status == 0:
        return
    words = log.read_bytes()[start:].decode(errors="replace")
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
    return BuildFailed(f"{environment.id} could not be built: {cause[:400]}; log: {log}")
