"""What goes into an image: its name by content, its build context, and the secrets it may see. Runs nothing."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from matrix.environments import Environment
from matrix.project import Project
from matrix.tools import uv


@dataclass(frozen=True)
class Base:
    """A base image: `kind` is `official` or `stand-in`, as every record says."""

    reference: str
    id: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} {self.reference} {self.id[:19]}"


def official_base(python: str) -> str:
    """The official image for CPython `python`, such as 3.13."""
    return f"docker.io/library/python:{python}-slim-bookworm"


def stand_in_base(python: str) -> str:
    """What `nox -s base-images` builds in its place. `localhost/` is never pulled."""
    return f"localhost/carryover/python:{python}-bookworm-stand-in"


def repository(environment: Environment) -> str:
    """The name of the images of `environment`, without tag."""
    return f"localhost/carryover/{environment.id}"


def tag(project: Project, environment: Environment, base: Base) -> str:
    """The image of `environment` on `base`, named after a hash of everything that goes into it."""
    digest = hashlib.sha256()
    for part in (
        project.dockerfile.read_bytes(),
        project.lock(environment).read_bytes(),
        base.id.encode(),
        environment.device.encode(),
    ):
        digest.update(len(part).to_bytes(8, "little") + part)
    return f"{repository(environment)}:{digest.hexdigest()[:16]}"


def write_context(project: Project, environment: Environment, folder: Path) -> None:
    """Put the build context of `environment` into `folder`: the Dockerfile, the lock and uv."""
    shutil.copy(project.dockerfile, folder / "Dockerfile")
    shutil.copy(project.lock(environment), folder / "lock.txt")
    try:
        os.link(uv(), folder / "uv")
    except OSError:  # another file system
        shutil.copy(uv(), folder / "uv")


def secrets(folder: Path) -> dict[str, Path]:
    """The files to pass as BuildKit secrets, by id: the CA bundle and the package index that this host uses.

    They are taken from the variables that pip and uv read themselves. The index may hold a password: it is written to
    `folder`, readable by its owner only, and is for the caller to delete.
    """
    found = {}
    for name in ("CARRYOVER_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"):
        if os.environ.get(name) and Path(os.environ[name]).is_file():
            found["ca"] = Path(os.environ[name])
            break
    index = {name: value for name, value in os.environ.items() if name in _INDEX_VARIABLES}
    for pip, ours in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_EXTRA_INDEX_URL", "UV_INDEX")):
        if pip in os.environ:
            index.setdefault(ours, os.environ[pip])
    if index:
        found["index"] = folder / "index"
        found["index"].touch(mode=0o600)
        found["index"].write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in index.items()))
    return found


_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INSECURE_HOST")
