"""Artifacts: files that one environment wrote for others to read, each folder with a manifest of what is in it.

    artifacts/KIND/NAME/manifest.json     written here, by a cell that passed
    tests/fixtures/KIND/manifest.json     committed with the sources, called `committed`
    tests/pairs/oldest/KIND/NAME/…        committed too, written by releases that have no environment

A run reads a snapshot of its own, so that another run may publish at the same time.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

import msgspec

from matrix.errors import ArtifactMismatch
from matrix.plain import copy_folder
from matrix.project import Project
from matrix.tools import exclusive
from matrix.untrusted import decode_json

COMMITTED = "committed"
NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.+-]*/[A-Za-z0-9_][A-Za-z0-9_.+-]*")  # KIND/NAME
MANIFEST = "manifest.json"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who wrote an artifact: the environment, the cell, the versions loaded there, and the SHA-256 of every file."""

    kind: str
    environment: str
    cell: str
    versions: dict[str, str]
    sha256: dict[str, str]


def is_by(name: str, environment: str) -> bool:
    """Whether the artifact KIND/NAME is called after its producer, as it is or as made of another artifact."""
    producer = name.partition("/")[2]
    return producer == environment or producer.startswith(f"{environment}-of-")


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(folder: Path) -> str:
    """The SHA-256 of the manifest of the artifact in `folder`, which stands for all that is in it."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def verify(folder: Path) -> Manifest:
    """The manifest of the artifact in `folder`, after comparing it with every file. Raises ArtifactMismatch."""
    remedy = "make it again with the session that wrote it, or delete the folder"
    try:
        manifest = decode_json((folder / MANIFEST).read_bytes(), Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise ArtifactMismatch(f"{folder}/{MANIFEST} cannot be read ({error}): {remedy}") from error
    found = _digests(folder)
    wrong = sorted(name for name in {*found, *manifest.sha256} if found.get(name) != manifest.sha256.get(name))
    if wrong:
        name = wrong[0]
        state = "is missing" if name not in found else "is not in its manifest"
        if name in found and name in manifest.sha256:
            state = f"has SHA-256 {found[name][:12]}…, its manifest says {manifest.sha256[name][:12]}…"
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ArtifactMismatch(f"{folder / name} {state}{more}: {remedy}")
    return manifest


def _copy(folder: Path, destination: Path) -> None:
    """Copy a folder, which holds files and folders only. Raises ArtifactMismatch."""
    copy_folder(folder.parent, folder.name, destination)


def _folders(project: Project) -> list[tuple[str, str, Path]]:
    """(kind, id, folder) of everything that is there."""
    there = [(path.parent.name, COMMITTED, path.parent) for path in project.committed.glob(f"*/{MANIFEST}")]
    for root in (project.artifacts, project.oldest):
        there += [(p.parent.parent.name, p.parent.name, p.parent) for p in root.glob(f"*/*/{MANIFEST}")]
    return sorted(entry for entry in there if not entry[2].name.startswith("."))  # a hidden one is not done yet


def folder_of(project: Project, name: str) -> Path:
    """Where the artifact KIND/ID is, or would be."""
    kind, _, producer = name.partition("/")
    if producer == COMMITTED:
        return project.committed / kind
    old = project.oldest / kind / producer
    return old if old.is_dir() else project.artifacts / kind / producer


def ids(project: Project) -> dict[str, list[str]]:
    """The ids of all artifacts that are there, by kind. Nothing is verified."""
    found: dict[str, list[str]] = {}
    for kind, name, _ in _folders(project):
        found.setdefault(kind, []).append(name)
    return found


def snapshot(project: Project, destination: Path, only: Collection[str] | None = None) -> dict[str, list[str]]:
    """Verify every artifact, or `only` those KIND/ID, and put it at `destination`/KIND/ID; returns the ids by kind.

    Raises ArtifactMismatch.
    """
    found: dict[str, list[str]] = {}
    with exclusive(project.state / "artifacts.lock"):
        for kind, name, folder in _folders(project):
            if only is not None and f"{kind}/{name}" not in only:
                continue
            verify(folder)
            _copy(folder, destination / kind / name)
            found.setdefault(kind, []).append(name)
    return found


def publish(project: Project, folder: Path, manifest: Manifest, destination: Path) -> None:
    """Move the files of `folder` to `destination` with `manifest`, its SHA-256s filled in, replacing what was there.

    A process that dies on the way leaves the old artifact, or none; never a part of one under the final name.
    """
    if (folder / MANIFEST).is_dir():
        raise ArtifactMismatch(f"{MANIFEST} is a folder in what was written: that is the manifest's place")
    complete = msgspec.structs.replace(manifest, sha256=_digests(folder))
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(complete), indent=2) + b"\n")
    replace(project, folder, destination)


def replace(project: Project, folder: Path, destination: Path) -> None:
    """Put a copy of `folder` in the place of `destination`, whole or not at all."""
    with exclusive(project.state / "artifacts.lock"):
        destination.parent.mkdir(parents=True, exist_ok=True)
        # A process that was killed while it held this lock left its copy.
        for dead in destination.parent.glob(f".{destination.name}.*"):
            shutil.rmtree(dead, ignore_errors=True)
        aside = destination.with_name(f".{destination.name}.{os.getpid()}")
        new = aside.with_name(aside.name + ".new")
        try:
            _copy(folder, new)
            if destination.exists():
                destination.rename(aside)
            new.rename(destination)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(aside, ignore_errors=True)
