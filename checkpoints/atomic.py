"""Files that appear under their names only when they are complete, all of them or none."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, BinaryIO, Sequence

from .errors import CheckpointError

if TYPE_CHECKING:
    from types import TracebackType


class Replacement:
    """Opens a hidden temporary file for each of `paths`, in its directory; renames them, in order, if all goes well.

    Raises CheckpointError before anything is written if one of the paths exists and `overwrite` is not set. When the
    body or a renaming fails, temporary files are removed and what stood under the names before is put back. Killed
    between two renamings, it leaves the last path (the one that makes the others findable) absent, never mismatched.
    What replaces something is on the disk before the old goes, so that a loss of power does not take both; what
    replaces nothing is written when the kernel sees fit, as with `cp`.
    """

    def __init__(self, paths: Sequence[str], overwrite: bool = False) -> None:
        self._paths = list(paths)
        self._overwrite = overwrite
        self._replaces = False
        self._temporary: list[str] = []
        self._streams: list[BinaryIO] = []

    def __enter__(self) -> tuple[BinaryIO, ...]:
        for path in self._paths:
            if os.path.lexists(path) and not self._overwrite:
                raise CheckpointError(f"{path}: exists already, and overwriting was not asked for")
            if os.path.isdir(path):
                raise CheckpointError(f"{path}: is a directory")
            self._replaces |= os.path.lexists(path)
        try:
            for path in self._paths:
                temporary = _hidden_name(path)
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                self._temporary.append(temporary)
                self._streams.append(os.fdopen(handle, "wb"))
        except OSError as error:
            self._discard()
            raise CheckpointError(f"{path}: cannot write here: {error.strerror or error}") from None
        return tuple(self._streams)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._discard()
            if isinstance(error, OSError):
                raise CheckpointError(f"{self._paths[0]}: {error.strerror or error}") from error
            return
        try:
            for stream in self._streams:
                stream.flush()
                if self._replaces:
                    os.fsync(stream.fileno())
                stream.close()
            self._rename()
        except OSError as problem:
            raise CheckpointError(f"{self._paths[0]}: {problem.strerror or problem}") from problem
        finally:
            self._discard()

    def _rename(self) -> None:
        backups: list[tuple[str, str]] = []
        placed: list[str] = []
        try:
            if len(self._paths) > 1:
                # The last file goes away first, so that an old one never stands beside new data.
                for path in reversed(self._paths):
                    if os.path.lexists(path):
                        backup = _hidden_name(path)
                        os.rename(path, backup)
                        backups.append((path, backup))
            for temporary, path in zip(self._temporary, self._paths):
                os.replace(temporary, path)
                placed.append(path)
        except BaseException:
            for path in reversed(placed):
                os.unlink(path)
            for path, backup in reversed(backups):
                os.rename(backup, path)
            raise
        for _, backup in backups:
            os.unlink(backup)

    def _discard(self) -> None:
        for stream in self._streams:
            try:
                stream.close()
            except OSError:
                pass  # the disk is full; the file goes away next
        for temporary in self._temporary:
            if os.path.lexists(temporary):
                os.unlink(temporary)
        self._streams, self._temporary = [], []


def _hidden_name(path: str) -> str:
    """A name beside `path` that nothing else uses and no checkpoint reader looks at."""
    directory, base = os.path.split(path)
    # Cut, so that a name at the file system's limit stays within it.
    return os.path.join(directory, f".{base[:64]}.{uuid.uuid4().hex}.tmp")
