"""Files that appear under their names only when they are complete and can be read back, all of them or none.

What is not complete yet has a hidden name beside the place where it will be. A lock on a file of that name says that
it is still being written; what a killed process left has no lock, and is removed by whoever writes there next.
"""

from __future__ import annotations

import os
import re
import uuid
from typing import TYPE_CHECKING, BinaryIO, Callable, Generic, Sequence, Tuple, TypeVar

from .errors import CheckpointError

if TYPE_CHECKING:
    from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{32}\.tmp(\..*)?", re.DOTALL)
# So that a hidden name stays within what file systems allow, whatever name it stands for.
_LONGEST = 64
_Entered = TypeVar("_Entered")


def is_temporary(name: str) -> bool:
    """Whether a file of this name is, or was, being written."""
    return bool(_TEMPORARY.fullmatch(name))


class _Placement(Generic[_Entered]):
    """Hidden names for `paths`, which become theirs, in order, when the body has ended well and `check` is content.

    Raises CheckpointError before anything is written if one of the paths exists and `overwrite` is not set. When the
    body, `check` or a renaming fails, hidden files are removed and what stood under the names before is put back.
    Killed between two renamings, it leaves the last path (the one that makes the others findable) absent, never
    mismatched.
    """

    def __init__(
        self,
        paths: Sequence[str],
        overwrite: bool = False,
        check: Callable[[Sequence[str]], None] = lambda temporary: None,
    ) -> None:
        self._paths = list(paths)
        self._overwrite = overwrite
        self._check = check
        self._replaces = False
        self._claim: BinaryIO | None = None
        self._claimed = ""
        self._temporary: list[str] = []

    def _prepare(self) -> None:
        for path in self._paths:
            if os.path.lexists(path) and not self._overwrite:
                raise CheckpointError(f"{path}: exists already, and overwriting was not asked for")
            if os.path.isdir(path):
                raise CheckpointError(f"{path}: is a directory")
            self._replaces |= os.path.lexists(path)
        directory, base = os.path.split(self._paths[0])
        try:
            _sweep(directory)
            while self._claim is None:
                self._claimed = os.path.join(directory, f".{base[:_LONGEST]}.{uuid.uuid4().hex}.tmp")
                self._claim = _lock(self._claimed, os.O_CREAT | os.O_EXCL)
        except OSError as error:
            raise CheckpointError(f"{self._paths[0]}: cannot write here: {error.strerror or error}") from None
        self._temporary = [self._claimed + suffix for suffix in _suffixes(self._paths)]

    def _enter(self) -> _Entered:
        raise NotImplementedError

    def __enter__(self) -> _Entered:
        self._prepare()
        try:
            return self._enter()
        except OSError as error:
            self._discard()
            raise CheckpointError(f"{self._paths[0]}: cannot write here: {error.strerror or error}") from None

    def _finish(self) -> None:
        """Completes what was written under the hidden names."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, OSError):
                raise error
            if error is None:
                self._finish()
                self._read_back()
                self._rename()
        except OSError as problem:
            raise CheckpointError(f"{self._paths[0]}: {problem.strerror or problem}") from problem
        finally:
            self._discard()

    def _read_back(self) -> None:
        try:
            self._check(self._temporary)
        except CheckpointError as error:
            said = str(error).replace(self._claimed, os.path.splitext(self._paths[0])[0])
            raise CheckpointError(f"{self._paths[0]}: does not read back as it was written: {said}") from None

    def _rename(self) -> None:
        backups: list[tuple[str, str]] = []
        placed: list[str] = []
        try:
            if len(self._paths) > 1:
                # The last file goes away first, so that an old one never stands beside new data.
                for path in reversed(self._paths):
                    if os.path.lexists(path):
                        directory, base = os.path.split(path)
                        backup = os.path.join(directory, f".{base[:_LONGEST]}.{uuid.uuid4().hex}.old")
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
        for temporary in [*self._temporary, self._claimed]:
            if temporary and os.path.lexists(temporary):
                os.unlink(temporary)
        if self._claim is not None:
            self._claim.close()
        self._temporary, self._claim, self._claimed = [], None, ""


class Replacement(_Placement[Tuple[BinaryIO, ...]]):
    """Files that the body writes: it gets a stream for each.

    What replaces something is on the disk before the old goes, so that a loss of power does not take both; what
    replaces nothing is written when the kernel sees fit, as with `cp`.
    """

    _streams: tuple[BinaryIO, ...] = ()

    def _enter(self) -> tuple[BinaryIO, ...]:
        for temporary in self._temporary:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            self._streams += (os.fdopen(handle, "wb"),)
        return self._streams

    def _finish(self) -> None:
        for stream in self._streams:
            stream.flush()
            if self._replaces:
                os.fsync(stream.fileno())
            stream.close()

    def _discard(self) -> None:
        for stream in self._streams:
            try:
                stream.close()
            except OSError:
                pass  # the disk is full; the file goes away next
        super()._discard()


class Placement(_Placement[Tuple[str, ...]]):
    """Files that somebody else writes: the body gets a name for each, which ends as the path does."""

    def _enter(self) -> tuple[str, ...]:
        return tuple(self._temporary)


def _suffixes(paths: Sequence[str]) -> list[str]:
    """What the hidden names end in: as much of each path's name as readers and writers go by."""
    bases = [os.path.basename(path) for path in paths]
    if len(bases) == 1:
        _, dot, suffix = bases[0][1:].partition(".")
        return [(dot + suffix)[-_LONGEST:] or ".new"]
    shared = 0
    while len({base[: shared + 1] for base in bases}) == 1:
        shared += 1
    shared = len(bases[0][:shared].rstrip("."))
    return [base[shared:] for base in bases]


def _lock(path: str, flags: int) -> BinaryIO | None:
    """The file at `path`, locked; None where another process has it. OSError if it cannot be opened or locked."""
    stream = os.fdopen(os.open(path, os.O_RDWR | flags, 0o666), "r+b")
    try:
        if fcntl is not None:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(stream.fileno()).st_nlink:
            return stream
    except BlockingIOError:
        pass
    except OSError:
        if flags:
            # A file system without locks: what is written there is taken for nobody's by nobody.
            return stream
        stream.close()
        raise
    stream.close()
    return None


def _sweep(directory: str) -> None:
    """Removes what killed processes left half-written in `directory`."""
    try:
        names = [name for name in os.listdir(directory or ".") if is_temporary(name)]
    except OSError:
        return  # it may be one to write to and not to read
    for claim in [name for name in names if name.endswith(".tmp") and fcntl is not None]:
        try:
            stream = _lock(os.path.join(directory, claim), 0)
            if stream is not None:
                for name in [*(name for name in names if name.startswith(claim + ".")), claim]:
                    os.unlink(os.path.join(directory, name))
                stream.close()
        except OSError:
            continue  # of somebody else, or gone already
