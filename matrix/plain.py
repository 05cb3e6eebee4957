"""What a cell has left in a folder of its own, taken without being led elsewhere.

A cell is code of others, and the host has rights that a container has not. So no link is followed, no pipe is waited
for, and what is neither a file nor a folder is refused; also where a process goes on changing things meanwhile.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from matrix.errors import ArtifactMismatch

_DEPTH = 50
_PATH = 1000  # characters, from the folder that the cell may write
MOST_FILES = 20_000


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


@dataclass
class Room:
    """What may be copied still: so many bytes, which a file without contents has too, and so many files."""

    bytes: int
    files: int = MOST_FILES

    def take(self, size: int, shown: str) -> None:
        """Raise ArtifactMismatch where the file `shown` of `size` bytes is too much."""
        self.files -= 1
        if size > self.bytes:
            raise ArtifactMismatch(
                f"{shown} has {size / 10**9:.1f} GB, and there is room for {self.bytes / 10**9:.1f} "
                "(CARRYOVER_ARTIFACT_GB, and the disk)"
            )
        if self.files < 0:
            raise ArtifactMismatch(f"{shown} is one file or folder more than {MOST_FILES:,}")
        self.bytes -= size


def copy_folder(top: Path, name: str, destination: Path, most: int | None = None) -> None:
    """Copy the folder `name`, which may have several parts, of `top` to `destination`, which is made.

    Raises ArtifactMismatch when any part of the way, or anything in it, is neither a file nor a folder, and when there
    are more than `most` bytes in it or than fit on the disk.
    """
    free = shutil.disk_usage(destination.parent if destination.parent.exists() else top).free
    with opened(top) as (descriptor, _):
        _below(descriptor, name.split("/"), destination, name, None if most is None else Room(min(free, most)))


def _below(folder: int, parts: list[str], destination: Path, shown: str, room: Room | None) -> None:
    try:
        with opened(parts[0], folder) as (descriptor, is_folder):
            if not is_folder:
                raise NotPlain("is no folder")
            if parts[1:]:
                _below(descriptor, parts[1:], destination, shown, room)
            else:
                _copy(descriptor, destination, shown, 0, room)
    except FileNotFoundError as error:
        if error.filename != parts[0]:
            raise
        raise ArtifactMismatch(f"{shown} is not there") from None
    except NotPlain as error:
        raise ArtifactMismatch(f"{shown} {error}") from None


def _copy(folder: int, destination: Path, shown: str, depth: int, room: Room | None) -> None:
    if depth > _DEPTH:
        raise ArtifactMismatch(f"{shown} has folders more than {_DEPTH} deep")
    destination.mkdir(parents=depth == 0)
    for name in sorted(os.listdir(folder)):
        inside = f"{shown}/{name}"
        if not name.isprintable():
            raise ArtifactMismatch(f"{inside!a} has a name that cannot be shown")
        if len(inside) > _PATH:
            raise ArtifactMismatch(f"{inside[:100]}… has a path of more than {_PATH} characters")
        try:
            with opened(name, folder) as (descriptor, is_folder):
                size = 0 if is_folder else os.fstat(descriptor).st_size
                if room:
                    room.take(size, inside)
                if is_folder:
                    _copy(descriptor, destination / name, inside, depth + 1, room)
                else:
                    _copy_file(descriptor, size, destination / name)
        except FileNotFoundError as error:
            if error.filename != name:
                raise
            raise ArtifactMismatch(f"{inside} went while it was copied") from None
        except NotPlain as error:
            raise ArtifactMismatch(f"{inside} {error}: an artifact has files and folders only") from None


def _copy_file(descriptor: int, size: int, destination: Path) -> None:
    """Not more than `size` bytes, however much is added meanwhile."""
    with open(descriptor, "rb", closefd=False) as source, destination.open("xb") as file:
        while size and (data := source.read(min(1 << 20, size))):
            file.write(data)
            size -= len(data)


def clear(path: Path) -> None:
    """Remove what stands at `path`, whatever it is: a link, not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    """Remove the folder `path` as far as that can be, however deep it is, and whatever modes its folders have.

    Each folder in it is moved to the top before it is emptied, so that no path is too long. shutil.rmtree goes down by
    calling itself, and gives up at some 1000 folders.
    """
    try:
        top = _open_folder(path.name, os.open(path.parent, os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return
    try:
        before: set[str] = set()
        while (names := set(os.listdir(top))) - before:  # what stays cannot be removed
            for name in names:
                with suppress(OSError):
                    _remove_entry(name, top)
            before = names
        with suppress(OSError):
            path.rmdir()
    finally:
        os.close(top)


def _open_folder(name: str, parent: int) -> int:
    """A descriptor of the folder `name` below `parent`, which is closed: its owner may list and change it now."""
    try:
        place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    finally:
        os.close(parent)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)  # not by its name, under which something else may stand meanwhile
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY)
    finally:
        os.close(place)


def _remove_entry(name: str, top: int) -> None:
    """Remove the file `name` below `top`; or the folder, once the folders in it were moved to `top`."""
    if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
        os.unlink(name, dir_fd=top)
        return
    folder = _open_folder(name, os.dup(top))
    try:
        for inner in os.listdir(folder):
            with suppress(OSError):
                if stat.S_ISDIR(os.lstat(inner, dir_fd=folder).st_mode):
                    os.close(_open_folder(inner, os.dup(folder)))  # which must be writable to be moved
                    os.rename(inner, f".{uuid.uuid4().hex}", src_dir_fd=folder, dst_dir_fd=top)
                else:
                    os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)
