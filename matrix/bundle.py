"""Bundles: one cell to run again on another machine, in one file.

A bundle is a gzipped tar of regular files. The first is bundle.json: the record, what the cell was run with, and the
size and SHA-256 of every other file, in their order. Below files/ are the sources of the cells and the artifacts that
the cell read, as a checkout has them; log.txt is the end of the failed run's log.

It brings nothing that an image is built of. That is the reader's own checkout's, which must have the same environment
and the same lock. `bundle_reader` reads one.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec

from matrix import artifacts
from matrix.environments import Environment
from matrix.errors import ArtifactMismatch, BadBundle
from matrix.locks import check_lock
from matrix.project import Project
from matrix.results import Record
from matrix.table import short
from matrix.tar_reader import is_plain_name
from matrix.tools import whole_file

VERSION = 2
SUFFIX = ".tar.gz"
HEAD, LOG, FILES = "bundle.json", "log.txt", "files/"
MOST_FILES = 20_000
HEAD_BYTES = 4 << 20
_RECORD_BYTES = 1 << 16
_LOG_BYTES = 1 << 20
_FOLDERS = ("checkpoints", "gan", "tests", "artifacts")
_SINGLE = "pyproject.toml"

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}|")
_CELL = re.compile(r"tests/.+::.+")


class File(msgspec.Struct, frozen=True):
    """One file of a bundle."""

    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Digest


class Told(msgspec.Struct, frozen=True):
    """What a run of the cell has to know that its record does not say: whether it needs a GPU, and what of the matrix.

    `kinds` and `pairs` are as `pairs.told_to_recorder` gives them.
    """

    needs: Literal["gpu"] | None = None
    kinds: list[str] = []
    pairs: list[dict[str, str]] = []


class Head(msgspec.Struct, frozen=True):
    """bundle.json. `commit` is that of the checkout it was made in ("" for none), `changed` whether that had changes.

    `environment` and `lock` are digests of what the image was made for and of.
    """

    version: int
    made: Annotated[str, msgspec.Meta(max_length=40)]
    commit: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?\Z")]
    changed: bool
    record: Record
    told: Told
    environment: Digest
    lock: Digest
    files: Annotated[dict[str, File], msgspec.Meta(max_length=MOST_FILES)]


def file_name(record: Record) -> str:
    """What the bundle of `record` is called."""
    return re.sub(r"[^\w.-]+", "-", f"{record.environment}-{short(record.cell)}").strip("-")[:120] + SUFFIX


def environment_digest(environment: Environment) -> str:
    """Of all that environments.toml says of `environment`, wherever in the file it stands."""
    said = msgspec.structs.replace(environment, places={})
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def lock_digest(project: Project, environment: Environment) -> str:
    """Of the lock of `environment`. Raises LockMismatch where there is none for it."""
    check_lock(project.lock(environment), environment)
    return _digest(project.lock(environment))


def write(project: Project, record: Record, told: Told, destination: Path) -> Head:
    """Put everything that it takes to run the cell of `record` again into `destination`, whole or not at all.

    Raises ArtifactMismatch when what the cell read is not there any more, LockMismatch when its environment has no
    lock, BadBundle when nobody could read it.
    """
    environment = project.environment(record.environment)
    sources = {FILES + name: path for name, path in _sources(project, record)}
    files = {name: File(path.stat().st_size, _digest(path)) for name, path in sources.items()}
    log = _end_of_log(project, record)
    files[LOG] = File(len(log), hashlib.sha256(log).hexdigest())
    commit, changed = _commit(project)
    details = {name: value for name, value in record.details.items() if name != "text"}
    head = Head(
        version=VERSION,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        record=msgspec.structs.replace(record, details=details),
        told=told,
        environment=environment_digest(environment),
        lock=lock_digest(project, environment),
        files=files,
        commit=commit,
        changed=changed,
    )
    text = msgspec.json.format(msgspec.json.encode(head), indent=1)
    check(head, f"a bundle of {record.cell}", project.limits.bundle_bytes)
    if len(text) > HEAD_BYTES:
        raise BadBundle(f"a bundle of {record.cell} would list more files than {HEAD_BYTES >> 20} MiB hold")
    destination.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(destination) as partial, tarfile.open(partial, "w:gz", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, HEAD, text)
        for name, file in files.items():
            data = log if name == LOG else sources[name].read_bytes()
            if hashlib.sha256(data).hexdigest() != file.sha256:
                raise ArtifactMismatch(f"{sources[name]} changed while the bundle was written: write it again")
            _add(tar, name, data)
    return head


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    try:
        tar.addfile(member, io.BytesIO(data))
    except ValueError as error:  # a name that does not fit into a header
        raise BadBundle(f"{name} cannot be in a bundle: {error}") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _end_of_log(project: Project, record: Record) -> bytes:
    """By its name alone: the record may come from elsewhere, and is not to name any other file."""
    path = project.reports / "logs" / Path(record.log).name
    return path.read_bytes()[-_LOG_BYTES:] if path.is_file() else b""


def _sources(project: Project, record: Record) -> Iterator[tuple[str, Path]]:
    """(name from the top of a checkout, path) of every file that belongs into a bundle, and no other."""
    yield _SINGLE, project.root / _SINGLE
    folders = [project.root / folder for folder in _FOLDERS if folder != "artifacts"]
    kept = []
    for name, then in record.inputs.items():
        folder = artifacts.folder_of(project, name)
        artifacts.verify(folder)
        if artifacts.identity(folder) != then:
            raise ArtifactMismatch(f"{name} is not what the cell read: a bundle of it would show something else")
        kept.append(folder)
    paths = {path for folder in folders for path in folder.rglob("*") if not _is_by_the_way(path, project.root)}
    paths |= {path for folder in kept for path in folder.rglob("*")}
    for path in sorted(paths):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(project.root).as_posix(), path


def _is_by_the_way(path: Path, root: Path) -> bool:
    """Whether it is hidden, or was compiled."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(root).parts)


def _commit(project: Project) -> tuple[str, bool]:
    """The commit of the checkout, or nothing, and whether there are changes since."""
    try:
        commit, status = [
            subprocess.run(["git", "-C", project.root, *words], capture_output=True, text=True, check=True).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return "", False
    return commit.strip(), bool(status.strip())


def check(head: Head, shown: str, budget: int) -> None:
    """Raise BadBundle, about the bundle `shown`, unless `head` is one that can be replayed within `budget` bytes."""
    record = head.record
    for name in head.files:
        _check_name(name, shown)
    folders = {str(folder) for name in head.files for folder in PurePosixPath(name).parents}
    both = folders & set(head.files)
    if both:
        raise BadBundle(f"{shown} is refused: {min(both)!r} is a file and a folder of it")
    total = sum(file.size for file in head.files.values())
    if total > budget:
        raise BadBundle(
            f"{shown} is refused: it holds {total / 2**20:.0f} MiB, and {budget >> 20} are allowed "
            "(CARRYOVER_BUNDLE_MB): set more if you trust it"
        )
    named = [name for name, digest in record.inputs.items() if not artifacts.NAME.fullmatch(name) or len(digest) != 64]
    if named or not _IMAGE_ID.fullmatch(record.image_id) or not _CELL.fullmatch(record.cell):
        raise BadBundle(f"{shown} is refused: its record names no cell, no image or no artifact")
    if len(msgspec.json.encode(record)) > _RECORD_BYTES:
        raise BadBundle(f"{shown} is refused: its record has more than {_RECORD_BYTES >> 10} KiB")


def _check_name(name: str, shown: str) -> None:
    """A name is one that `write` gives, of a place below the folder that it is unpacked to."""
    parts = name.split("/")
    ours = name in (LOG, FILES + _SINGLE) or (f"{parts[0]}/" == FILES and len(parts) > 2 and parts[1] in _FOLDERS)
    if not ours or not is_plain_name(name):
        raise BadBundle(f"{shown} is refused: it lists {name[:100]!a}, which is no file of a bundle")


def differences(home: Project, head: Head) -> list[str]:
    """The sources, from the top of a checkout, that the checkout has otherwise than the bundle, or not at all."""
    names = [name for name in head.files if name.startswith(FILES) and not name.startswith(f"{FILES}artifacts/")]
    found = []
    for name in names:
        here = home.root / name.removeprefix(FILES)
        if not here.is_file() or _digest(here) != head.files[name].sha256:
            found.append(name.removeprefix(FILES))
    return found
