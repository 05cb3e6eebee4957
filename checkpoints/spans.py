"""Reading bytes of a file into arrays, without ever reading past its end or allocating more than it holds."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from .budget import Budget
from .errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np


def open_regular(path: str, buffering: int = -1, budget: Budget | None = None) -> BinaryIO:
    """`path` opened for reading, and counted in `budget`.

    CheckpointError if it cannot be, or is a pipe or device, which might never end.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError("{}: not a regular file".format(path))
        stream: Any = open(path, "rb", buffering=buffering)
        if budget is not None:
            budget.add_file(stream.fileno())
        return cast(BinaryIO, stream)
    except (OSError, ValueError) as error:
        raise CheckpointError("{}: {}".format(path, getattr(error, "strerror", None) or error)) from None


class FileSpans:
    """A regular file, opened for reading at offsets."""

    def __init__(self, path: str, budget: Budget | None = None) -> None:
        self.path = path
        # Unbuffered: what is read goes straight into the array that wants it.
        self._stream = open_regular(path, buffering=0, budget=budget)
        self.size = os.fstat(self._stream.fileno()).st_size

    def close(self) -> None:
        """Closes the file; calling it again does nothing."""
        self._stream.close()

    def fileno(self) -> int:
        """The open file's descriptor."""
        return self._stream.fileno()

    def check(self, offset: int, size: int, what: str) -> None:
        """Raises CheckpointError unless `size` bytes stand at `offset`."""
        if offset < 0 or size < 0 or offset + size > self.size:
            place = f"{self.path}: {what}: {size} bytes at {offset}"
            raise CheckpointError(f"{place} run past the end of the file ({self.size} bytes): truncated or damaged")

    def fill(self, target: memoryview, offset: int, what: str) -> None:
        """Reads len(target) bytes at `offset` into `target`. CheckpointError, which calls them `what`, if it cannot."""
        self.check(offset, len(target), what)
        try:
            done = 0
            while done < len(target):
                count = self._read_into(target[done:], offset + done)
                if not count:
                    raise CheckpointError(f"{self.path}: {what}: the file became shorter while it was read")
                done += count
        except OSError as error:
            raise CheckpointError(f"{self.path}: {what}: {error.strerror or error}") from None

    def _read_into(self, target: memoryview, offset: int) -> int:
        # Threads that read the same file must not move its one position, where the system has another way.
        if hasattr(os, "preadv"):
            return os.preadv(self._stream.fileno(), [target], offset)
        self._stream.seek(offset)
        return int(self._stream.readinto(target))  # type: ignore[attr-defined]

    def read(self, offset: int, size: int, what: str) -> bytearray:
        """The `size` bytes at `offset`."""
        self.check(offset, size, what)
        data = bytearray(size)
        self.fill(memoryview(data), offset, what)
        return data


def byte_view(array: np.ndarray[Any, Any]) -> memoryview:
    """The bytes of a contiguous array, writable if it is; arrays without elements and scalars included."""
    import numpy as np

    flat: Any = array.reshape(-1).view(np.uint8) if array.size else b""
    return memoryview(flat)
