"""Copying tensors' bytes from file to file, their checksums computed, without ever holding a large one whole."""

from __future__ import annotations

import errno
import os
import queue
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Tuple

from .crc32c import crc32c
from .errors import CheckpointError
from .spans import FileSpans

if TYPE_CHECKING:
    from types import TracebackType

# What is read stays in the processor's cache until it is checked and written. It is written in smaller pieces: for
# larger ones kernels look for as much contiguous memory, which takes longer than the copy where it is rare.
_PIECE = 1 << 20
_WRITTEN = 1 << 17
_AT_ONCE = 64 << 20
# Other file systems, old kernels, files of other kinds.
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY)


class Copies:
    """Copies spans of files to the end of `stream`, a file, and has their CRC-32C checked. A context manager.

    The kernel copies what is large, where it can (Linux, Python 3.8), while one thread reads the same bytes for their
    CRC: it may lag behind by tensors, and has caught up when the body ends. Raises CheckpointError then at the latest.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._checksums: _Checksums | None = None

    def __enter__(self) -> Copies:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._checksums is not None:
            found = self._checksums.end(at_once=error is not None)
            if error is None and found is not None:
                raise found

    def copy(self, spans: FileSpans, offset: int, size: int, what: str, check: Callable[[int], None]) -> None:
        """Copies the `size` bytes of `spans` at `offset`, called `what` in errors; `check` is called with their CRC.

        Raises CheckpointError if they cannot be read, or what `check` has raised for spans before.
        """
        spans.check(offset, size, what)
        done = 0
        if size > _PIECE:
            self._stream.flush()
            done = _copy_in_kernel(spans, offset, _PIECE, self._stream)
        if not done:
            check(_checksum(spans, offset, size, what, self._stream))
            return
        if self._checksums is None:
            self._checksums = _Checksums()
        self._checksums.add(spans, offset, size, what, check)
        while done < size:
            count = _copy_in_kernel(spans, offset + done, min(size - done, _AT_ONCE), self._stream)
            if not count:
                raise CheckpointError(f"{spans.path}: {what}: the file became shorter while it was read")
            done += count
        # The buffer of the stream does not know where the kernel has left the file.
        self._stream.seek(0, os.SEEK_END)


def _copy_in_kernel(spans: FileSpans, offset: int, size: int, stream: BinaryIO) -> int:
    """The number of bytes copied; 0 where the kernel cannot copy between these files."""
    copy = getattr(os, "copy_file_range", None)
    try:
        return int(copy(spans.fileno(), stream.fileno(), size, offset)) if copy else 0
    except OSError as error:
        if error.errno in _CANNOT:
            return 0
        raise


_Job = Tuple[FileSpans, int, int, str, Callable[[int], None]]


class _Checksums(threading.Thread):
    """Computes the CRC-32C of spans in the order in which they are added, until the first that is wrong."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._error: BaseException | None = None
        self._wanted = True
        self.start()

    def add(self, *job: Any) -> None:
        """Adds the arguments of `Copies.copy`; raises what has gone wrong with those before."""
        if self._error is not None:
            raise self._error
        self._jobs.put(job)

    def end(self, at_once: bool) -> BaseException | None:
        """Waits for what was added, or `at_once` for the piece at hand; returns what went wrong."""
        self._wanted = not at_once
        self._jobs.put(None)
        self.join()
        return self._error

    def run(self) -> None:
        """Works in the thread until `end`; an error of any kind is kept for the thread that adds."""
        try:
            for spans, offset, size, what, check in iter(self._jobs.get, None):
                crc = _checksum(spans, offset, size, what, wanted=lambda: self._wanted)
                if not self._wanted:
                    return
                check(crc)
        except BaseException as error:
            self._error = error


def _checksum(
    spans: FileSpans,
    offset: int,
    size: int,
    what: str,
    stream: BinaryIO | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> int:
    """Reads the span piece by piece, writes each to `stream` if there is one, and returns the CRC."""
    buffer = memoryview(bytearray(min(size, _PIECE)))
    crc = 0
    for done in range(0, size, _PIECE):
        if not wanted():
            break
        piece = buffer[: size - done]
        spans.fill(piece, offset + done, what)
        crc = crc32c(piece, crc)
        if stream is not None:
            stream.writelines(piece[start : start + _WRITTEN] for start in range(0, len(piece), _WRITTEN))
    return crc
