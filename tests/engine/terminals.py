"""A terminal to run a command on: what it shows, and what is typed there."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

from tests.engine.planted import default_signals


class OnTerminal:
    """`command`, started on a pseudo-terminal of its own, of which it is the session's leader as a shell would be."""

    def __init__(self, command: list[str], folder: Path, **environ: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOVER_")}
        self.shown = ""
        self.status: int | None = None
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            default_signals()
            os.chdir(folder)
            os.execve(command[0], command, {**kept, "TERM": "xterm", "NO_COLOR": "1", **environ})

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(self, *error: object) -> None:
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            self.end(check=False)
        os.close(self.terminal)

    def type(self, text: str) -> None:
        """Send `text` as keys; a line ends with \\n."""
        os.write(self.terminal, text.encode())

    def _read(self, seconds: float) -> bool:
        """Take in what is there within `seconds`; whether the terminal is still held by anybody."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return True
        try:
            text = os.read(self.terminal, 65536)
        except OSError:
            return False
        self.shown += text.decode(errors="replace")
        return bool(text)

    def until(self, text: str, seconds: float = 60) -> str:
        """Wait until `text` is shown after what the last call gave; returns all that was shown until then."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, f"{text!r} was not shown within {seconds} s: {self.shown}"
            assert self._read(0.2) or text in self.shown, f"ended without {text!r}: {self.shown}"
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def until_pressed(self, key: str, text: str, times: int = 10) -> str:
        """Press `key` until `text` is shown: Python sees a Ctrl-C late that comes just before it waits for a key."""
        for _ in range(times - 1):
            self.type(key)
            with contextlib.suppress(AssertionError):
                return self.until(text, 5)
        self.type(key)
        return self.until(text)

    def end(self, seconds: float = 60, check: bool = True) -> int:
        """The exit status, which must come within `seconds`."""
        end = time.monotonic() + seconds
        while self.status is None:
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.status = -9
                assert not check, f"not done after {seconds} s: {self.shown}"
        while self._read(0.2) and select.select([self.terminal], [], [], 0)[0]:
            pass
        return self.status
