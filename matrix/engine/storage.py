"""What docker and podman keep on the disk: images, their layers, and what is left of builds."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

OURS = "localhost/carryover/"
_BASES = (f"{OURS}python:", "docker.io/library/python:")
_EMPTY = re.compile(r"(/bin/sh -c #\(nop\) +)?(ENV|CMD|LABEL|ARG|ENTRYPOINT|EXPOSE|USER|VOLUME|STOPSIGNAL)\b")
_REMOVAL_SECONDS = 600  # gigabytes of small files, on a disk that is busy
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class Layer:
    """One layer of an image: `chain` names it together with all below it, as what is shared must be the same in."""

    chain: str
    size: int  # bytes
    made_by: str


@dataclass(frozen=True)
class Stored:
    """An image that is here: its tagged name, its size in bytes with all layers, and when it was made (Unix time)."""

    name: str
    size: int
    created: float


@dataclass(frozen=True)
class Cached:
    """Something that BuildKit keeps, by the id that `remove_build_cache` takes."""

    id: str
    size: int  # bytes
    packages: bool  # it is the package cache


class Storage:
    """The part of an engine that knows what it keeps. The rest of it gives `_ask` and `_try`."""

    name: str

    def _ask(self, *arguments: str) -> str:
        raise NotImplementedError

    def _try(self, *arguments: str, seconds: int = 0) -> subprocess.CompletedProcess[str]:
        raise NotImplementedError

    def images(self) -> dict[str, str]:
        """The id of every tagged image on this host, in one look-up."""
        raise NotImplementedError

    def folder(self) -> Path | None:
        """Where images and caches are kept; None if that is not on this host."""
        shape = "{{.DockerRootDir}}" if self.name == "docker" else "{{.Store.GraphRoot}}"
        path = Path(self._ask("info", "--format", shape))
        return path if path.is_dir() else None

    def bases(self) -> list[str]:
        """The base images that are here, official ones and stand-ins."""
        return [name for name in self.images() if name.startswith(_BASES)]

    def stored(self) -> list[Stored]:
        """The project's own images that are here, base images left out."""
        left_out = (*_BASES, f"{OURS}debian:", f"{OURS}building-")
        names = [name for name in self.images() if name.startswith(OURS) and not name.startswith(left_out)]
        if not names:
            return []
        shape = "{{.Size}} {{json .Created}}"
        lines = self._ask("image", "inspect", "--format", shape, *names).splitlines()
        found = []
        for name, line in zip(names, lines, strict=True):
            size, _, created = line.partition(" ")
            moment = re.sub(r"(\.\d{6})\d+", r"\1", json.loads(created))
            found.append(Stored(name, int(size), datetime.fromisoformat(moment).timestamp()))
        return found

    def layers(self, image: str) -> list[Layer]:
        """The layers of `image`, the lowest first."""
        ids = json.loads(self._ask("image", "inspect", "--format", "{{json .RootFS.Layers}}", image))
        shape = "{{.Size}}\t{{.CreatedBy}}"
        lines = self._ask("history", "--no-trunc", "--human=false", "--format", shape, image).splitlines()
        steps = [(_bytes(size), made_by) for size, _, made_by in (line.partition("\t") for line in reversed(lines))]
        steps = [step for step in steps if step[0] or not _EMPTY.match(step[1])]
        if len(steps) != len(ids):  # an engine that counts some of them differently: none of these has any bytes
            steps = [step for step in steps if step[0]]
            ids = ids[: len(steps)]
        return [Layer("".join(ids[: place + 1]), *step) for place, step in enumerate(steps)]

    def remove_image(self, image: str) -> str:
        """Remove `image`, unless a container uses it; returns why it could not, if it could not."""
        done = self._try("rmi", image, seconds=_REMOVAL_SECONDS)
        return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""

    def remove_dangling(self) -> None:
        """Remove the images of builds here that have no name any more."""
        self._try("image", "prune", "--force", "--filter", "label=carryover.environment", seconds=_REMOVAL_SECONDS)

    def build_cache(self) -> list[Cached]:
        """What is kept of this project's builds alone: the package cache, and layers that no image has any more.

        A layer comes before those that it stands on, which cannot be removed before it.
        """
        if self.name != "docker":
            return []  # podman builds without layers, and keeps its package cache in a folder of the user's
        answer = self._ask("system", "df", "--verbose", "--format", "{{json .BuildCache}}")
        records = {record["ID"]: record for record in json.loads(answer or "null") or []}
        depths: dict[str, int] = {}
        for name, record in records.items():
            line = [record]
            while line[-1].get("Parent") in records:
                line.append(records[line[-1]["Parent"]])
            if any("carryover" in step.get("Description", "") for step in line):
                depths[name] = len(line)
        return [
            Cached(name, _bytes(records[name]["Size"]), records[name]["CacheType"] == "exec.cachemount")
            for name in sorted(depths, key=lambda name: -depths[name])
            if records[name]["InUse"] == "false" and records[name]["Shared"] == "false"
        ]

    def remove_build_cache(self, identifier: str) -> str:
        """Remove this one of `build_cache`; returns why it could not, if it could not."""
        done = self._try(
            "builder", "prune", "--all", "--force", "--filter", f"id={identifier}", seconds=_REMOVAL_SECONDS
        )
        return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def _bytes(text: str) -> int:
    """`1.32GB`, `14 MB` or `57205` as a number of bytes."""
    match = re.fullmatch(r"([\d.e+]+)\s*([kMGT]?B)?", text.strip())
    return int(float(match[1]) * _UNITS[match[2] or "B"]) if match else 0
