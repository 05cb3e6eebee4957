"""Runs a command for the host, and ends it with all that it started when it is told to, or when the host is gone.

    python guard.py COMMAND [ARGUMENT …]

The host holds the other end of this process's standard input and never writes to it: the kernel closes it for one that
is killed outright. `podman build` does not pass a signal on, and leaves what it runs in a container of its own session:
so its children are told first, which end that container in order. Standard library only: this is started by its path.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

_PATIENCE = 5.0  # seconds in which the children may end what they do


def _parents() -> dict[int, int]:
    """The parent of every process."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:
            found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    return found


def _children(pid: int) -> list[int]:
    return [child for child, parent in _parents().items() if parent == pid]


def _descendants(pid: int) -> list[int]:
    parents, found = _parents(), [pid]
    for process in found:
        found.extend(child for child, parent in parents.items() if parent == process)
    return found


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _end(process: subprocess.Popen[bytes]) -> None:
    children = _children(process.pid)
    _signal(children, signal.SIGTERM)
    last = time.monotonic() + _PATIENCE
    while children and process.poll() is None and time.monotonic() < last:
        time.sleep(0.02)
    if process.poll() is None:
        _signal(_descendants(process.pid), signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)


def main(command: list[str]) -> int:
    """Run `command`; its exit status, 128 and the signal's number where one has ended it."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: over.set())
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def until_it_ends() -> None:
        process.wait()
        over.set()

    def until_the_host_ends() -> None:
        while os.read(0, 1):
            pass
        over.set()

    for watch in (until_it_ends, until_the_host_ends):
        threading.Thread(target=watch, daemon=True).start()
    over.wait()
    if process.poll() is None:
        _end(process)
    status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
