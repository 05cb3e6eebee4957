"""Bundles: all that it takes to run one cell again on another machine, in one file.

A bundle is a gzipped tar of regular files. The first is bundle.json: the record, what it was made of, and the size and
SHA-256 of every other file. Below files/ are the sources of the cells, the table of environments, the lock and the
artifacts that the cell read, as a checkout has them; log.txt is the end of what the failed run said.

Nothing in a bundle is believed before it is checked: names stay below the folder that it is unpacked to, there are no
links, and a lock holds nothing but pinned distributions with their hashes. How an image is built, on what and from
which index is the reader's own, and what another lock than the reader's own pins does not run while it is installed.
But the sources in it are run: in a container, without network.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from matrix import artifacts
from matrix.environments import Environment, find_environment, load_environments
from matrix.errors import ArtifactMismatch, BadBundle, CarryoverError, DiskFull
from matrix.project import Project
from matrix.results import Record
from matrix.table import short
from matrix.tools import exclusive

VERSION = 1
SUFFIX = ".tar.gz"
_HEAD, _LOG, _FILES = "bundle.json", "log.txt", "files/"
_FOLDERS = ("checkpoints", "gan", "tests")
_SINGLE = ("environments.toml", "pyproject.toml")
_LOG_BYTES = 1 << 20
_HEAD_BYTES = 16 << 20
_LOCK_LINE = re.compile(
    r"\s*(#.*|[\w.\-]+(\[[\w,\-]+\])?==[\w.+!]+( ; [^\\]+)? ?\\?|--hash=sha256:[0-9a-f]{64}( \\)?)?\s*"
)
_IMAGE_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}|")


class File(msgspec.Struct, frozen=True):
    """One file of a bundle."""

    size: int
    sha256: str


class Head(msgspec.Struct, frozen=True):
    """bundle.json. `commit` is that of the checkout it was made in, `changed` whether that had changes."""

    version: int
    made: str
    commit: str
    changed: bool
    record: Record
    files: dict[str, File]


@dataclass(frozen=True)
class Replayed(Project):
    """An unpacked bundle as a project. What is written goes to the checkout `home`, and its Dockerfile is used.

    `root`, where the cells' sources are, is the unpacked bundle, or the checkout where those are to be tried.
    """

    unpacked: Path = Path()
    home: Path = Path()
    cells_environment: str = ""

    @property
    def environments(self) -> dict[str, Environment]:
        """Every environment by id, as the bundle has them."""
        return load_environments(self.unpacked / "environments.toml")

    @property
    def artifacts(self) -> Path:
        """What the cell read."""
        return self.unpacked / "artifacts"

    @property
    def committed(self) -> Path:
        """What the cell read that is committed."""
        return self.unpacked / "tests" / "fixtures"

    @property
    def reports(self) -> Path:
        """The checkout's."""
        return self.home / "reports"

    @property
    def state(self) -> Path:
        """The checkout's."""
        return self.home / ".carryover"

    @property
    def recipe(self) -> tuple[Path, ...]:
        """The checkout's: it runs with the network and the secrets of builds, and is not for a bundle to bring."""
        return Project(self.home, self.limits).recipe

    def shown(self, path: Path) -> str:
        """`path` from the top of the checkout, where it is in it."""
        return str(path.relative_to(self.home)) if path.is_relative_to(self.home) else str(path)

    def trusts(self, environment: Environment) -> bool:
        """Whether the lock is, byte for byte, one that this checkout has anyway."""
        here = Project(self.home, self.limits).lock(environment)
        return here.is_file() and here.read_bytes() == self.lock(environment).read_bytes()

    def lock(self, environment: Environment) -> Path:
        """The bundle's; of environments other than the cell's, which decide what images share, the checkout's."""
        below = self.unpacked if environment.id == self.cells_environment else self.home
        return below / "docker" / "locks" / f"{environment.id}.txt"


def file_name(record: Record) -> str:
    """What the bundle of `record` is called."""
    return re.sub(r"[^\w.-]+", "-", f"{record.environment}-{short(record.cell)}").strip("-")[:120] + SUFFIX


def write(project: Project, record: Record, destination: Path) -> Head:
    """Put everything that it takes to run the cell of `record` again into `destination`, whole or not at all.

    Raises ArtifactMismatch when what the cell read is not there any more.
    """
    found = dict(_sources(project, record))
    log = (project.root / record.log).read_bytes()[-_LOG_BYTES:] if (project.root / record.log).is_file() else b""
    contents = {_FILES + name: path.read_bytes() for name, path in found.items()} | {_LOG: log}
    files = {name: File(len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()}
    commit, changed = _commit(project)
    head = Head(VERSION, datetime.now(UTC).isoformat(timespec="seconds"), commit, changed, record, files)
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(f".{destination.name}.{os.getpid()}")
    try:
        with tarfile.open(partial, "w:gz", format=tarfile.PAX_FORMAT) as tar:
            for name, data in {_HEAD: msgspec.json.format(msgspec.json.encode(head), indent=1), **contents}.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)
    return head


def _sources(project: Project, record: Record) -> Iterator[tuple[str, Path]]:
    """(name from the top of a checkout, path) of every file that belongs into a bundle, and no other."""
    single = [project.root / name for name in _SINGLE]
    for path in (*single, *project.recipe, project.lock(project.environment(record.environment))):
        yield path.relative_to(project.root).as_posix(), path
    folders = [project.root / folder for folder in _FOLDERS]
    for name, then in record.inputs.items():
        folder = artifacts.folder_of(project, name)
        artifacts.verify(folder)
        if artifacts.identity(folder) != then:
            raise ArtifactMismatch(f"{name} is not what the cell read: a bundle of it would show something else")
        folders.append(folder)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(project.root)
            left_out = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
            if path.is_file() and not path.is_symlink() and not left_out:
                yield inside.as_posix(), path


def _commit(project: Project) -> tuple[str, bool]:
    """The commit of the checkout, or nothing, and whether there are changes since."""
    try:
        said = [
            subprocess.run(["git", "-C", project.root, *words], capture_output=True, text=True, check=True).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return "", False
    return said[0].strip(), bool(said[1].strip())


def unpack(home: Project, path: Path) -> tuple[Head, Path]:
    """What the bundle at `path` says of itself, and the folder below .carryover/bundles that holds its files.

    Raises BadBundle, with what is wrong with it, and DiskFull before a disk is full.
    """
    try:
        with gzip.open(path) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            head, first = _head(tar, path)
            folder = home.state / "bundles" / hashlib.sha256(first).hexdigest()[:16]
            with exclusive(home.state / "bundles.lock"):
                if not _is_whole(folder, head):
                    shutil.rmtree(folder, ignore_errors=True)
                    _unpack(tar, head, folder, path)
                try:
                    _check_row(home, folder / "files", head, path)
                except CarryoverError:
                    shutil.rmtree(folder)
                    raise
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadBundle(f"{path} is damaged, or no bundle ({error}): get it again") from None
    except FileNotFoundError:
        raise BadBundle(f"there is no bundle {path}") from None
    return head, folder / "files"


def _head(tar: tarfile.TarFile, path: Path) -> tuple[Head, bytes]:
    member = tar.next()
    content = tar.extractfile(member) if member and member.name == _HEAD and member.size <= _HEAD_BYTES else None
    if content is None:
        raise BadBundle(f"{path} is no bundle: its first file is not {_HEAD}")
    text = content.read()
    try:
        version = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get("version", msgspec.Raw(b"?"))
        if bytes(version) != str(VERSION).encode():
            raise BadBundle(
                f"{path} is of version {bytes(version).decode(errors='replace')[:20]}, this checkout reads {VERSION}: "
                "use the checkout that it was made with"
            )
        head = msgspec.json.decode(text, type=Head)
    except msgspec.DecodeError as error:
        raise BadBundle(f"{path} is damaged: {_HEAD}: {error}") from None
    _check(head, path)
    return head, text


def _check(head: Head, path: Path) -> None:
    """Nothing that the head names may lead out of the folder, or be taken for something else by a command."""
    record = head.record
    names = [*head.files, record.environment, record.image, *record.inputs]
    for name in names:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
            raise BadBundle(f"{path} is not to be trusted: {name!r} leads out of the folder that it is unpacked to")
    if not _IMAGE_ID.fullmatch(record.image_id) or not re.fullmatch(r"tests/[^\0]+::[^\0]+", record.cell):
        raise BadBundle(f"{path} is not to be trusted: its record names no cell, or no image")


def _is_whole(folder: Path, head: Head) -> bool:
    try:
        there = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in head.files}
    except OSError:
        return False
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return found == set(head.files) and all(there[name] == file.sha256 for name, file in head.files.items())


def _unpack(tar: tarfile.TarFile, head: Head, folder: Path, path: Path) -> None:
    """Write the files of `tar`, each of which must be what `head` says, and all of which must be there."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    total = sum(file.size for file in head.files.values())
    if total > shutil.disk_usage(partial).free:
        raise DiskFull(f"{path} needs {total / 2**20:.0f} MiB to be unpacked below {folder.parent}: free some")
    left = dict(head.files)
    try:
        while member := tar.next():
            wanted = left.pop(member.name, None)
            content = tar.extractfile(member) if wanted and member.isreg() and member.size == wanted.size else None
            if content is None or wanted is None:
                raise BadBundle(f"{path} is damaged, or not to be trusted: {member.name!r} is not what it lists")
            (partial / member.name).parent.mkdir(parents=True, exist_ok=True)
            if _copy(content, partial / member.name) != wanted.sha256:
                raise BadBundle(f"{path} is damaged: {member.name} has another SHA-256 than it lists: get it again")
        if left:
            raise BadBundle(f"{path} is damaged: {min(left)} is missing: get it again")
        _check_lock(partial / "files", head, path)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy(content: IO[bytes], destination: Path) -> str:
    digest = hashlib.sha256()
    with destination.open("xb") as file:
        while data := content.read(1 << 20):
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def _check_lock(files: Path, head: Head, path: Path) -> None:
    lock = files / "docker" / "locks" / f"{head.record.environment}.txt"
    if not lock.is_file():
        raise BadBundle(f"{path} is damaged: it has no lock of {head.record.environment}")
    for number, line in enumerate(lock.read_text(errors="replace").splitlines(), 1):
        if not _LOCK_LINE.fullmatch(line):
            raise BadBundle(f"{path} is not to be trusted: line {number} of its lock pins no distribution: {line!r}")


def _check_row(home: Project, unpacked: Path, head: Head, path: Path) -> None:
    """Whatever else decides what is run when an image is built must be as this checkout's own row has it.

    Where it has no such row, the bundle's may name nothing of the kind. Raises BadBundle.
    """
    name = head.record.environment
    theirs = find_environment(load_environments(unpacked / "environments.toml"), name)
    ours = home.environments.get(name)
    for key, label in (("index", "index"), ("base", "base"), ("cuda", "cuda"), ("cuda_images", "images of cuda")):
        said, here = getattr(theirs, key), getattr(ours, key) if ours else type(getattr(theirs, key))()
        if said != here:
            raise BadBundle(
                f"{path} is not to be trusted: its {label} of {name} is {said!r}, this checkout's {here!r}; what an "
                "image is built of is not for a bundle to say: replay it in a checkout of "
                f"{head.commit[:12] or 'its own'}"
            )


def differences(home: Project, head: Head) -> list[str]:
    """The sources, from the top of a checkout, that the checkout has otherwise than the bundle, or not at all."""
    names = [name for name in head.files if name.startswith(_FILES) and not name.startswith(f"{_FILES}artifacts/")]
    found = []
    for name in names:
        here = home.root / name.removeprefix(_FILES)
        if not here.is_file() or hashlib.sha256(here.read_bytes()).hexdigest() != head.files[name].sha256:
            found.append(name.removeprefix(_FILES))
    return found
