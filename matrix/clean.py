"""Frees disk: what nothing needs any more, then what was used least recently."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matrix import disk
from matrix.disk import Kept
from matrix.engine import Containers, VirtualEnvironments, choose
from matrix.errors import CarryoverError, EngineUnavailable
from matrix.private import sweep
from matrix.project import Project
from matrix.table import console
from matrix.tools import exclusive, is_held, user_cache

_DAY = 86400
_SMALL = 10**7  # bytes: a layer that is not worth a line


@dataclass(frozen=True)
class _Item:
    """Something that is kept, how to remove it (which returns why it stays, if it does), and whether it is needed."""

    kept: Kept
    remove: Callable[[], str]
    needed: bool = True


def clean(project: Project, engine_name: str | None, dry: bool) -> int:
    """Remove what is left of builds and what no lock asks for any more, and keep the rest within CARRYOVER_DISK_GB.

    The package caches go before anything that is ready to use. With `dry` it only says what would go. Base images
    stay: everything is built on them. Always 0, for what is in use may stay.
    """
    out = console()
    limit = disk.budget()
    engines = _engines(project, engine_name)
    items = [item for engine in engines for item in _of_engine(project, engine)]
    if engine_name in (None, "venv"):
        items += _virtual_environments(project)
    by_name = {(item.kept.kind, item.kept.name): item for item in items}
    gone = [item.kept for item in items if not item.needed]
    left = [item.kept for item in items if item.needed]
    gone += [] if limit is None else disk.over_budget(left, limit)
    before = disk.held(item.kept for item in items)
    for kept in gone:
        item = by_name.pop((kept.kind, kept.name))
        why = "" if dry else item.remove()
        if why:
            by_name[kept.kind, kept.name] = item
        word = f"stays, {why}" if why else ("would go" if dry else "removed")
        if kept.kind.endswith("layer of a build") and disk.held([kept]) < _SMALL:
            continue
        when = f", last used {disk.ago(kept.used)}" if kept.used else ""
        out.print(f"{word}: {kept.kind} {kept.name}, {disk.gigabytes(disk.held([kept]))}{when}", markup=False)
    if not dry:
        sweep(project.state)
        for engine in engines:
            _remove_layers(engine)
    after = disk.held(item.kept for item in by_name.values())
    budget = "CARRYOVER_DISK_GB sets a limit" if limit is None else f"CARRYOVER_DISK_GB={limit / disk.GB:g}"
    freed = f"{disk.gigabytes(before - after)} {'would be ' if dry else ''}freed"
    out.print(f"{freed}, {disk.gigabytes(after)} held ({budget})")
    return 0


def _engines(project: Project, engine_name: str | None) -> list[Containers]:
    """The engine that is named, or every container engine that works here."""
    if engine_name is not None:
        named = choose(project, engine_name, print)
        return [named] if isinstance(named, Containers) else []
    found = []
    for name in ("docker", "podman"):
        try:
            engine = Containers(project, name)
            engine.version()
            found.append(engine)
        except EngineUnavailable:
            continue
    return found


def _of_engine(project: Project, engine: Containers) -> list[_Item]:
    below = {layer.chain for base in engine.bases() for layer in engine.layers(base)}
    wanted = _wanted(project, engine)
    items = []
    for image in engine.stored():
        used = disk.last_used(image.name, image.created)
        parts = {layer.chain: layer.size for layer in engine.layers(image.name) if layer.chain not in below}
        # Another checkout may have other locks, so what was used within a day is not called unneeded.
        needed = image.name in wanted or time.time() - used < _DAY
        kept = Kept(f"{engine.name} image", image.name, parts, used)
        items.append(_Item(kept, partial(_remove_image, engine, image.name), needed))
    for cached in engine.build_cache():
        kind = f"{engine.name} {'package cache' if cached.packages else 'layer of a build'}"
        kept = Kept(kind, cached.id, {cached.id: cached.size}, 0.0)
        items.append(_Item(kept, partial(engine.remove_build_cache, cached.id), cached.packages))
    if engine.name == "podman":
        for folder in user_cache().glob("buildah-cache*"):
            kept = Kept("podman package cache", str(folder), {str(folder): disk.folder_size(folder)}, 0.0)
            items.append(_Item(kept, partial(_remove_folder, folder)))
    return items


def _wanted(project: Project, engine: Containers) -> set[str]:
    found, here = set(), engine.images()
    for row in project.environments.values():
        try:
            prepared = engine.up_to_date(row, here)
        except CarryoverError:
            continue  # no lock: nothing is built for it
        found |= {prepared.image} if prepared else set()
    return found


def _remove_image(engine: Containers, name: str) -> str:
    why = engine.remove_image(name)
    if not why:
        disk.forget(name)
    return why


def _remove_layers(engine: Containers) -> None:
    """BuildKit keeps the layers of an image that went."""
    engine.remove_dangling()
    for cached in engine.build_cache():
        if not cached.packages:
            engine.remove_build_cache(cached.id)


def _virtual_environments(project: Project) -> list[_Item]:
    folders = [folder for folder in (project.state / "venvs").glob("*") if folder.is_dir()]
    engine = VirtualEnvironments(project)
    wanted = set()
    for row in project.environments.values():
        try:
            prepared = engine.up_to_date(row)
        except CarryoverError:
            continue
        wanted |= {prepared.image} if prepared else set()
    items = []
    for folder in folders:
        kept = Kept(
            "virtual environment",
            project.shown(folder),
            {str(folder): disk.folder_size(folder)},
            disk.last_used(str(folder), folder.stat().st_mtime),
        )
        items.append(_Item(kept, partial(_remove_virtual_environment, project, folder), folder.name in wanted))
    return items


def _remove_virtual_environment(project: Project, folder: Path) -> str:
    identifier = folder.name.removesuffix(".partial").rpartition("-")[0]
    with exclusive(project.state / f"venv-{identifier}.lock", wait=False) as free:
        if not free:
            return "it is being made"
        return "a run is using it" if is_held(folder) else _remove_folder(folder)


def _remove_folder(folder: Path) -> str:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        return f"{error.strerror}: {error.filename}"
    disk.forget(str(folder))
    return ""
