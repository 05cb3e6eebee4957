"""What a cell has left in a folder of its own, taken without being led elsewhere.

A cell is code of others, and the host has rights that a container has not. So no link is followed, no pipe is waited
for, and what is neither a file nor a folder is refused; also where a process goes on changing things meanwhile.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matrix.errors import ArtifactMismatch

_DEPTH = 50


class NotPlain(Exception):
    """It is not the file or folder that it should be; the text goes on after its name."""


@contextmanager
def opened(path: str | Path, folder: int | None = None) -> Iterator[tuple[int, bool]]:
    """A descriptor to read the file or folder at `path`, below the open `folder`, and whether it is a folder.

    Raises FileNotFoundError, and NotPlain for anything else that stands there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        link = os.path.islink(path) if folder is None else _is_link(str(path), folder)
        raise NotPlain("is a link" if link else f"cannot be read ({error.strerror})") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise NotPlain("is neither a file nor a folder")
        yield descriptor, stat.S_ISDIR(mode)
    finally:
        os.close(descriptor)


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


def copy_folder(top: Path, name: str, destination: Path) -> None:
    """Copy the folder `name`, which may have several parts, of `top` to `destination`, which is made.

    Raises ArtifactMismatch when any part of the way, or anything in it, is neither a file nor a folder.
    """
    with opened(top) as (descriptor, _):
        _below(descriptor, name.split("/"), destination, name)


def _below(folder: int, parts: list[str], destination: Path, shown: str) -> None:
    try:
        with opened(parts[0], folder) as (descriptor, is_folder):
            if not is_folder:
                raise NotPlain("is no folder")
            if parts[1:]:
                _below(descriptor, parts[1:], destination, shown)
            else:
                _copy(descriptor, destination, shown, 0)
    except FileNotFoundError as error:
        if error.filename != parts[0]:
            raise
        raise ArtifactMismatch(f"{shown} is not there") from None
    except NotPlain as error:
        raise ArtifactMismatch(f"{shown} {error}") from None


def _copy(folder: int, destination: Path, shown: str, depth: int) -> None:
    if depth > _DEPTH:
        raise ArtifactMismatch(f"{shown} has folders more than {_DEPTH} deep")
    destination.mkdir(parents=depth == 0)
    for name in sorted(os.listdir(folder)):
        inside = f"{shown}/{name}"
        if not name.isprintable():
            raise ArtifactMismatch(f"{inside!a} has a name that cannot be shown")
        try:
            with opened(name, folder) as (descriptor, is_folder):
                if is_folder:
                    _copy(descriptor, destination / name, inside, depth + 1)
                else:
                    with open(descriptor, "rb", closefd=False) as source, (destination / name).open("xb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
        except NotPlain as error:
            raise ArtifactMismatch(f"{inside} {error}: an artifact has files and folders only") from None


def clear(path: Path) -> None:
    """Remove what stands at `path`, whatever it is: a link, not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
