"""Reads a gzipped tar that anybody may have written, header by header.

A header that is not of the plain format is the reader's to refuse: `tarfile` would read what those for long names and
other extensions announce, however much that is, before it gives anything back.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 16


class NotATar(Exception):
    """It is damaged, or no gzipped tar; the text goes on after `is damaged: `."""


class TarReader:
    """The contents of an open gzip file of one member, as far as they are asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=31)

    def read(self, size: int) -> bytes:
        """The next `size` bytes. Raises NotATar where there are fewer."""
        content = b""
        while len(content) < size:
            data = self._inflate.unconsumed_tail or self._file.read(_PIECE)
            try:
                piece = self._inflate.decompress(data, size - len(content))
            except zlib.error as error:
                raise NotATar(str(error)) from None
            if not piece and (not data or self._inflate.eof):
                raise NotATar("it ends too early")
            content += piece
        return content

    def header(self) -> tarfile.TarInfo | None:
        """The next header as it stands there, None at the end. Raises NotATar."""
        block = self.read(_BLOCK)
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape") if block.strip(b"\0") else None
        except tarfile.TarError as error:
            raise NotATar(str(error)) from None

    def content(self, size: int) -> bytes:
        """The file of `size` bytes after a header. Raises NotATar."""
        data = self.read(size)
        self.read(-size % _BLOCK)
        return data

    def copy(self, size: int, destination: Path) -> str:
        """Write the file of `size` bytes after a header to `destination`, which is new; returns its SHA-256.

        Raises NotATar.
        """
        digest = hashlib.sha256()
        destination.parent.mkdir(parents=True, exist_ok=True)
        with destination.open("xb") as copy:
            for start in range(0, size, _PIECE):
                data = self.read(min(_PIECE, size - start))
                digest.update(data)
                copy.write(data)
        self.read(-size % _BLOCK)
        return digest.hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[TarReader]:
    """The file at `path`, to read. Raises NotATar where none is: a pipe that nobody writes to would be waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotATar("it is no file")
    with open(descriptor, "rb") as file:
        yield TarReader(file)


def is_plain_name(name: str) -> bool:
    """Whether `name` is that of a place below the folder it is unpacked to, and can be shown and made anywhere."""
    plain = name.isprintable() and "\\" not in name and len(name.encode()) <= 255
    return plain and not {"", ".", ".."} & set(name.split("/"))
