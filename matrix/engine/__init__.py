"""The only part of the project that runs docker, podman or a virtual environment.

Every engine offers the same: `prepare` an environment (build it, or find it built), `start` a command in it,
`attach` a command in it to this terminal, `remove` what was started, and say what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from matrix.engine.containers import Containers
from matrix.engine.gpu import Gpu, gpu_here, gpus
from matrix.engine.process import Prepared, Running, Say, kill
from matrix.engine.venv import VirtualEnvironments
from matrix.environments import Environment
from matrix.errors import EngineUnavailable
from matrix.project import Project

__all__ = [
    "NAMES",
    "Containers",
    "Engine",
    "Gpu",
    "Prepared",
    "Running",
    "Say",
    "VirtualEnvironments",
    "choose",
    "gpu_here",
    "gpus",
    "kill",
]

NAMES = ("docker", "podman", "venv")


class Engine(Protocol):
    """What the rest of the host's side knows of an engine."""

    name: str
    isolation: str

    def version(self) -> str: ...
    def up_to_date(self, environment: Environment) -> Prepared | None: ...
    def found(self, environment: Environment, image: str, image_id: str, base: str) -> Prepared | None: ...
    def prepare(self, environment: Environment, log: Path, say: Say) -> Prepared: ...
    def start(self, prepared: Prepared, run: Path, words: Sequence[str], output: IO[bytes]) -> Running: ...
    def attach(self, prepared: Prepared, run: Path, words: Sequence[str]) -> int: ...
    def remove(self, name: str) -> None: ...
    def inside(self, run: Path) -> dict[str, str]: ...


def choose(project: Project, name: str | None, say: Say) -> Engine:
    """The engine called `name`; without a name the first of docker, podman and venv that works here, said aloud.

    Raises EngineUnavailable when a name is given and that engine does not work: nothing is taken in its place.
    """
    if name is not None:
        if name not in NAMES:
            raise EngineUnavailable(f"there is no engine {name!r}: there are {', '.join(NAMES)}")
        engine: Engine = VirtualEnvironments(project) if name == "venv" else Containers(project, name)
        engine.version()
        return engine
    reasons = []
    for candidate in ("docker", "podman"):
        try:
            engine = Containers(project, candidate)
            engine.version()
            return engine
        except EngineUnavailable as error:
            reasons.append(str(error).partition(":")[0])
    say(
        f"engine venv, because {' and '.join(reasons)}: the cells run on this host, with its network and files in reach"
    )
    return VirtualEnvironments(project)
