"""Parts: what one job of a workflow leaves for the others, as `.github/pack` writes it and another machine reads it.

A part is a `part-STAGE-ENVIRONMENT.TRY.tar.gz` with the reports/ and artifacts/ of one job's checkout. What is in it is
taken as far as it is that environment's own.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from matrix import artifacts, tar_reader
from matrix.errors import ArtifactMismatch
from matrix.project import Project
from matrix.run_folder import own_folder
from matrix.tar_reader import NotATar
from matrix.untrusted import printable

_MOST_FILES = 20_000
_NAME = re.compile(r"part-(?:write|read|check)-(.+)\.(\d{1,4})\.tar\.gz")


class Part(NamedTuple):
    """An unpacked part: the environment and the try of its job, the folder with its files, and its artifacts."""

    environment: str
    number: int
    folder: Path
    artifacts: list[Path]


def find(folder: Path) -> list[Path]:
    """The parts below `folder`, those of a job's last try last."""
    return sorted((p for p in folder.rglob("part-*") if _NAME.fullmatch(p.name)), key=lambda p: (_number(p), p))


def _number(path: Path) -> int:
    name = _NAME.fullmatch(path.name)
    return int(name[2]) if name else 0


@contextmanager
def unpacked(project: Project, path: Path) -> Iterator[Part | None]:
    """The part at `path`, for the length of the block; None, which is said, for one that is damaged."""
    with own_folder(project.state / "parts", "part-") as folder:
        name = _NAME.fullmatch(path.name)
        assert name
        try:
            _unpack(path, folder, project.limits.bundle_bytes)
            own = [f for f in _written(folder) if artifacts.is_by(f"{f.parent.name}/{f.name}", name[1])]
            for written in own:
                artifacts.verify(written)
        except (NotATar, OSError, ArtifactMismatch) as error:
            print(printable(f"{path.name} is damaged and left out ({error}): run its job again"))
            part = None
        else:
            part = Part(name[1], int(name[2]), folder, own)
        yield part


def _written(folder: Path) -> list[Path]:
    found = [manifest.parent for manifest in folder.glob(f"artifacts/*/*/{artifacts.MANIFEST}")]
    return sorted(path for path in found if artifacts.NAME.fullmatch(f"{path.parent.name}/{path.name}"))


def _unpack(path: Path, folder: Path, budget: int) -> None:
    """Raises NotATar for a part that holds more than `budget` bytes, or anything but files and folders."""
    total = count = 0
    with tar_reader.opened(path) as tar:
        while header := tar.header():
            name = header.name.rstrip("/")
            if not tar_reader.is_plain_name(name) or name.partition("/")[0] not in ("reports", "artifacts"):
                raise NotATar(f"{name[:100]!a} is no file of a part")
            total, count = total + max(0, header.size), count + 1
            if total > budget or count > _MOST_FILES:
                raise NotATar(f"more than {_MOST_FILES:,} files, or {budget >> 20} MiB (CARRYOVER_BUNDLE_MB)")
            if header.type == tarfile.DIRTYPE and header.size == 0:
                continue
            if header.type != tarfile.REGTYPE or header.size < 0:
                raise NotATar(f"{name!r} is neither a file nor a folder")
            tar.copy(header.size, folder / name)


def take_artifacts(project: Project, folder: Path) -> None:
    """Put the artifacts of all parts below `folder` into this checkout; not the records, which are the report's."""
    for path in find(folder):
        with unpacked(project, path) as part:
            for written in part.artifacts if part else ():
                artifacts.replace(project, written, project.artifacts / written.parent.name / written.name)
