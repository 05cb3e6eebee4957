"""Room on the disk: what an image needs, what is kept, and what goes first."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from matrix.environments import Environment
from matrix.errors import BadConfiguration, DiskFull
from matrix.project import Project
from matrix.tools import exclusive, user_cache

GB = 10**9
_SPARE = GB // 2  # for logs, records and the engine itself
_UNKNOWN = {"cpu": 2 * GB, "gpu": 8 * GB}  # an image that nobody has measured


@dataclass(frozen=True)
class Kept:
    """Something that may be removed: an image, a virtual environment or a cache, and when it was last used.

    `parts` are bytes by name: what several have in common is on the disk once, and is freed with the last of them.
    """

    kind: str
    name: str
    parts: Mapping[str, int]
    used: float  # Unix time


def held(kept: Iterable[Kept]) -> int:
    """Bytes that all of `kept` take together."""
    return sum({name: size for item in kept for name, size in item.parts.items()}.values())


def sizes(project: Project) -> dict[str, int]:
    """Bytes of the image of each environment above its base, as they were measured once: docker/sizes.toml."""
    file = project.root / "docker" / "sizes.toml"
    try:
        table = tomllib.loads(file.read_text())["megabytes"] if file.exists() else {}
        return {name: int(size) * 10**6 for name, size in table.items()}
    except (tomllib.TOMLDecodeError, KeyError, ValueError, AttributeError) as error:
        raise BadConfiguration(f"{file.name}: {error!r}: a table of [megabytes] by environment is needed") from None


def needed(project: Project, environment: Environment) -> int:
    """Bytes that a build of `environment` takes: what is installed, once in the package cache and once in the image."""
    return 2 * sizes(project).get(environment.id, _UNKNOWN[environment.device])


def free(folder: Path) -> int:
    """Bytes that may be written to the file system of `folder`, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require(need: int, what: str, folder: Path | None) -> None:
    """Raise DiskFull unless the file system of `folder` holds `need` bytes more. None is a disk of another host."""
    if folder is None:
        return
    there = free(folder)
    if there < need + _SPARE:
        raise DiskFull(
            f"{what} needs about {gigabytes(need)} on the disk of {folder}, and {gigabytes(there)} are free: "
            "`nox -s clean` frees what is not needed, CARRYOVER_DISK_GB=… what was used least recently as well"
        )


@contextlib.contextmanager
def room(need: int, what: str, folder: Path | None, claims: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keep `need` bytes of the disk of `folder` free of other builds while the block makes `what`.

    `claims` is the folder where builds say what they need. One that does not fit beside those under way waits for
    them. Raises DiskFull if it does not fit without any.
    """
    if folder is None:
        yield
        return
    own = claims / f"{what}-{os.getpid()}"
    told = False
    with exclusive(own):
        try:
            while not _claimed(own, need, what, folder):
                if not told:
                    say(f"{gigabytes(need)} do not fit on the disk beside the builds under way: waiting for them")
                told = True
                time.sleep(0.2)
            yield
        finally:
            own.unlink(missing_ok=True)


def _claimed(own: Path, need: int, what: str, folder: Path) -> bool:
    with exclusive(own.parent / "lock"):
        others = 0
        for claim in own.parent.iterdir():
            if claim.name in ("lock", own.name):
                continue
            with exclusive(claim, wait=False) as free_to_take:
                if free_to_take:  # who held it is dead
                    claim.unlink(missing_ok=True)
                else:
                    others += int(claim.read_text() or 0)  # empty while it waits
        if not others:
            require(need, what, folder)
        elif free(folder) < others + need + _SPARE:
            return False
        own.write_text(str(need))
        return True


def gigabytes(count: float) -> str:
    """`1.3 GB`."""
    return f"{count / GB:.1f} GB"


def budget() -> int | None:
    """CARRYOVER_DISK_GB in bytes, or None where it is not set. Raises BadConfiguration."""
    text = os.environ.get("CARRYOVER_DISK_GB", "")
    try:
        size = float(text or -1)
    except ValueError:
        size = -1.0
    if text and not 0 <= size < 10**6:
        raise BadConfiguration(f"CARRYOVER_DISK_GB={text!r}: a number of gigabytes is needed, such as 40")
    return int(size * GB) if text else None


def _mark(name: str) -> Path:
    folder = user_cache() / "used"
    folder.mkdir(exist_ok=True)
    return folder / hashlib.sha256(name.encode()).hexdigest()[:24]


def touch(name: str) -> None:
    """Remember that the image or virtual environment `name` is used now: an engine remembers when it was made only."""
    _mark(name).write_text(name)


def last_used(name: str, made: float) -> float:
    """When `name` was last used, or `made` if it never was."""
    mark = _mark(name)
    return max(made, mark.stat().st_mtime) if mark.exists() else made


def forget(name: str) -> None:
    """It is gone."""
    _mark(name).unlink(missing_ok=True)


def over_budget(kept: Iterable[Kept], size: int) -> list[Kept]:
    """What has to go, least recently used first, until what is left holds at most `size` bytes."""
    left = sorted(kept, key=lambda item: item.used)
    gone = []
    while left and held(left) > size:
        gone.append(left.pop(0))
    return gone


def folder_size(folder: Path) -> int:
    """Bytes that the files of `folder` take on the disk, each once however many names it has."""
    seen, total = set(), 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                state = os.lstat(os.path.join(where, name))
            except FileNotFoundError:  # somebody else's run has removed it meanwhile
                continue
            if (state.st_dev, state.st_ino) not in seen:
                seen.add((state.st_dev, state.st_ino))
                total += state.st_blocks * 512
    return total


def ago(moment: float) -> str:
    """`3 h ago`."""
    seconds = max(0, time.time() - moment)
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"
