"""The log of a process that somebody else's code runs in: printable, and never larger than it may be."""

from __future__ import annotations

import codecs
import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from matrix.untrusted import printable_lines

LOG_BYTES = 64 << 20
_CUT = f"\n… cut: this log has {LOG_BYTES >> 20} MiB\n".encode()
_PIECE = 1 << 16
_SECONDS = 0.2  # how long a process that outlives the block may still have something in the pipe


@contextmanager
def appended(path: Path) -> Iterator[IO[bytes]]:
    """A file for the output of a process, whose lines are added to the log at `path`, control characters as escapes.

    Whatever is written there is taken, also when the log is full. Raises OSError at the end if the disk was.
    """
    with path.open("ab", buffering=0) as log:
        read_end, write_end = os.pipe()
        with open(read_end, "rb", buffering=0) as source:
            copier = _Copier(source, log)
            copier.start()
            try:
                with open(write_end, "wb", buffering=0) as output:
                    yield output
            finally:
                copier.end()
    if copier.error:
        raise copier.error


class _Copier(threading.Thread):
    """Copies from the pipe `source` to `log` until the pipe's last writer has closed it, or `end` is called."""

    def __init__(self, source: IO[bytes], log: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._source, self._log = source, log
        self._over = threading.Event()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""  # a carriage return, which may belong to the line end that comes next
        self.error: OSError | None = None

    def run(self) -> None:
        while True:
            if select.select([self._source], [], [], _SECONDS)[0]:
                data = self._source.read(_PIECE)
                self._write(self._decoder.decode(data, final=not data), final=not data)
                if not data:
                    return
            elif self._over.is_set():
                return

    def _write(self, text: str, final: bool) -> None:
        text = self._held + text
        self._held = "\r" if text.endswith("\r") and not final else ""
        text = text.removesuffix(self._held) if self._held else text
        data = printable_lines(text.replace("\r\n", "\n").replace("\r", "\n")).encode()
        room = LOG_BYTES - os.fstat(self._log.fileno()).st_size
        if room <= 0 or self.error:
            return
        left = memoryview(data if len(data) <= room else data[:room] + _CUT)
        try:
            while left:
                left = left[self._log.write(left) :]
        except OSError as error:
            self.error = OSError(error.errno, error.strerror, self._log.name)

    def end(self) -> None:
        """Take what is still in the pipe, also where a process that was left behind keeps it open."""
        self._over.set()
        self.join()


def last_part(path: Path, size: int = 1 << 20) -> str:
    """The last `size` bytes of the log at `path` as text."""
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return file.read().decode(errors="replace")
