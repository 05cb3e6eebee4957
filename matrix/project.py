"""Where things are in a checkout, and the settings that come from CARRYOVER_ variables."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from matrix.environments import Environment, find_environment, load_environments
from matrix.errors import BadConfiguration


@dataclass(frozen=True)
class Limits:
    """What one container may take: memory as the engines write it, seconds for a cell, a build and an answer."""

    memory: str = "8g"
    cell_seconds: int = 600
    build_seconds: int = 3600
    answer_seconds: int = 20  # for a daemon, to a question that takes milliseconds
    artifact_bytes: int = 16 * 10**9  # of one that a cell writes
    bundle_bytes: int = 512 << 20  # of the files of a bundle, or of what another job has left


def _whole_number(name: str, default: int, unit: str = "seconds") -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or not text.isascii() or not 0 < int(text) < 10**9:
        raise BadConfiguration(f"{name}={text!r}: a whole number of {unit} is needed, such as {default}")
    return int(text)


def limits_from_environ() -> Limits:
    """Limits as CARRYOVER_MEMORY, CARRYOVER_CELL_, BUILD_ and ANSWER_SECONDS, ARTIFACT_GB and BUNDLE_MB say."""
    memory = os.environ.get("CARRYOVER_MEMORY", Limits.memory)
    if not (memory[:-1].isdigit() and memory[-1:] in "kmg" and int(memory[:-1]) > 0):
        raise BadConfiguration(
            f"CARRYOVER_MEMORY={memory!r}: a number and k, m or g is needed, such as {Limits.memory}"
        )
    return Limits(
        memory,
        _whole_number("CARRYOVER_CELL_SECONDS", Limits.cell_seconds),
        _whole_number("CARRYOVER_BUILD_SECONDS", Limits.build_seconds),
        _whole_number("CARRYOVER_ANSWER_SECONDS", Limits.answer_seconds),
        _whole_number("CARRYOVER_ARTIFACT_GB", Limits.artifact_bytes // 10**9, "gigabytes") * 10**9,
        _whole_number("CARRYOVER_BUNDLE_MB", Limits.bundle_bytes >> 20, "MiB") << 20,
    )


# msgspec learns a type when it first meets it. Two threads that make it learn the same one at once can end the process
# with SIGSEGV, and `doctor` has a thread a check.
_reading = threading.Lock()


@lru_cache(maxsize=4)
def _environments(file: Path, state: object) -> dict[str, Environment]:
    return load_environments(file)


@dataclass(frozen=True)
class Project:
    """A checkout: `root` is its top folder. Everything that is written goes to the three folders named here."""

    root: Path
    limits: Limits = field(default_factory=limits_from_environ)
    cells: str = field(default="cells.toml", kw_only=True)

    @property
    def environments(self) -> dict[str, Environment]:
        """Every environment by id."""
        file = self.root / "environments.toml"
        state = file.stat() if file.exists() else None
        with _reading:
            return dict(_environments(file, state and (state.st_mtime_ns, state.st_size, state.st_ino)))

    def environment(self, name: str) -> Environment:
        """The environment called `name`; raises UnknownEnvironment with the nearest names."""
        return find_environment(self.environments, name)

    @property
    def cells_file(self) -> Path:
        """The declaration of every cell."""
        return self.root / "tests" / self.cells

    @property
    def reports(self) -> Path:
        """For the user: results.jsonl, logs/."""
        return self.root / "reports"

    @property
    def artifacts(self) -> Path:
        """What producers here have written: KIND/PRODUCER/."""
        return self.root / "artifacts"

    @property
    def committed(self) -> Path:
        """The artifacts that come with the sources: KIND/."""
        return self.root / "tests" / "fixtures"

    @property
    def oldest(self) -> Path:
        """What releases without an environment of their own wrote, committed: KIND/PRODUCER/."""
        return self.root / "tests" / "pairs" / "oldest"

    @property
    def state(self) -> Path:
        """Runs under way, virtual environments, locks between processes. May be deleted at any time."""
        return self.root / ".carryover"

    @property
    def recipe(self) -> tuple[Path, ...]:
        """What all images are built with."""
        return tuple(self.root / "docker" / name for name in ("Dockerfile", "install"))

    def shown(self, path: Path) -> str:
        """`path` for people: from the top of the checkout where it is in it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def lock(self, environment: Environment) -> Path:
        """The lock of `environment`."""
        return self.root / "docker" / "locks" / f"{environment.id}.txt"
