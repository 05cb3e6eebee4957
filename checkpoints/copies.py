"""Copying a tensor's bytes from file to file, their checksum computed, without ever holding a large one whole."""

from __future__ import annotations

import errno
import os
import threading
from typing import BinaryIO

from .crc32c import crc32c
from .errors import CheckpointError
from .spans import FileSpans

# What is read stays in the processor's cache until it is checked and written. It is written in smaller pieces: for
# larger ones kernels look for as much contiguous memory, which takes longer than the copy where it is rare.
_PIECE = 1 << 20
_WRITTEN = 1 << 17
_AT_ONCE = 64 << 20
# Other file systems, old kernels, files of other kinds.
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY)


def copy_span(spans: FileSpans, offset: int, size: int, stream: BinaryIO, what: str) -> int:
    """Writes the `size` bytes of `spans` at `offset` to `stream`, a file; returns their CRC-32C.

    The kernel copies what is large, where it can (Linux, Python 3.8), and another thread reads the same bytes for
    their CRC meanwhile. Raises CheckpointError, naming the bytes `what`, if they cannot be read.
    """
    spans.check(offset, size, what)
    if size > _PIECE:
        stream.flush()
        begun = _copy_in_kernel(spans, offset, _PIECE, stream)
        if begun:
            return _copy_and_check(spans, offset, size, begun, stream, what)
    return _Checksum(spans, offset, size, what).of_pieces(stream)


def _copy_and_check(spans: FileSpans, offset: int, size: int, done: int, stream: BinaryIO, what: str) -> int:
    checksum = _Checksum(spans, offset, size, what)
    checksum.start()
    try:
        while done < size:
            count = _copy_in_kernel(spans, offset + done, min(size - done, _AT_ONCE), stream)
            if not count:
                raise CheckpointError(f"{spans.path}: {what}: the file became shorter while it was read")
            done += count
    except BaseException:
        checksum.wanted = False
        raise
    finally:
        checksum.join()
    # The buffer of the stream does not know where the kernel has left the file.
    stream.seek(0, os.SEEK_END)
    if checksum.error is not None:
        raise checksum.error
    return checksum.crc


def _copy_in_kernel(spans: FileSpans, offset: int, size: int, stream: BinaryIO) -> int:
    """The number of bytes copied; 0 where the kernel cannot copy between these files."""
    copy = getattr(os, "copy_file_range", None)
    try:
        return int(copy(spans.fileno(), stream.fileno(), size, offset)) if copy else 0
    except OSError as error:
        if error.errno in _CANNOT:
            return 0
        raise


class _Checksum(threading.Thread):
    """The CRC-32C of a span, in `crc` when the thread has ended, unless `error` says why not."""

    def __init__(self, spans: FileSpans, offset: int, size: int, what: str) -> None:
        super().__init__(daemon=True)
        self._spans, self._offset, self._size, self._what = spans, offset, size, what
        self.wanted = True
        self.crc = 0
        self.error: CheckpointError | None = None

    def run(self) -> None:
        try:
            self.of_pieces()
        except CheckpointError as error:
            self.error = error

    def of_pieces(self, stream: BinaryIO | None = None) -> int:
        """Reads the span piece by piece, writes each to `stream` if there is one, and returns the CRC."""
        buffer = memoryview(bytearray(min(self._size, _PIECE)))
        for done in range(0, self._size, _PIECE):
            if not self.wanted:
                break
            piece = buffer[: self._size - done]
            self._spans.fill(piece, self._offset + done, self._what)
            self.crc = crc32c(piece, self.crc)
            if stream is not None:
                stream.writelines(piece[start : start + _WRITTEN] for start in range(0, len(piece), _WRITTEN))
        return self.crc
