"""What goes into an image: its name by content, its build context, and the secrets it may see. Runs nothing."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from matrix.environments import Environment
from matrix.locks import index_variables
from matrix.project import Project
from matrix.tools import exclusive, uv, whole_file


@dataclass(frozen=True)
class Base:
    """A base image: `kind` is `official` or `stand-in`, as every record says. `cuda` is what CUDA is copied out of."""

    reference: str
    id: str
    kind: str
    cuda: Base | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.reference} {self.id[:19]}" + (f", CUDA of {self.cuda}" if self.cuda else "")


def official_base(python: str) -> str:
    """The official image for CPython `python`, such as 3.13."""
    return f"docker.io/library/python:{python}-slim-bookworm"


def stand_in_base(python: str) -> str:
    """What `nox -s base-images` builds in its place. `localhost/` is never pulled."""
    return f"localhost/carryover/python:{python}-bookworm-stand-in"


def base_candidates(environment: Environment) -> list[tuple[str, str]]:
    """(kind, reference) of the images that `environment` can stand on, the best first."""
    if environment.base:
        return [("official", environment.base)]
    return [("official", official_base(environment.python)), ("stand-in", stand_in_base(environment.python))]


def stand_in_cuda(cuda: str) -> str:
    """What `nox -s base-images` builds where the images with CUDA `cuda`, such as 10.0, cannot be pulled."""
    return f"localhost/carryover/cuda:{cuda}-stand-in"


def cuda_candidates(environment: Environment) -> list[tuple[str, str]]:
    """(kind, reference) of the images that the CUDA libraries of `environment` can be copied out of, the best first."""
    named = [("official", reference) for reference in environment.cuda_images]
    return named + [("stand-in", stand_in_cuda(environment.cuda))] if named else []


def repository(environment: Environment) -> str:
    """The name of the images of `environment`, without tag."""
    return f"localhost/carryover/{environment.id}"


def common_part(project: Project, environment: Environment) -> str:
    """The part of the lock of `environment` that every CPU environment with its Python has, to the hash.

    It is installed first, in a layer of its own, so that their images share it. Environments with TensorFlow and
    those without have little in common: each asks its own kind.
    """
    own = _pins(project.lock(environment))
    for other in project.environments.values():
        same = other.python == environment.python and bool(other.tensorflow) == bool(environment.tensorflow)
        if same and other.device == "cpu" and project.lock(other).exists():
            own &= _pins(project.lock(other))
    return "".join(f"{pin}\n" for pin in sorted(own))


@cache
def _pins_of(text: str) -> frozenset[str]:
    """`name==version` with its hashes, once for each distribution of a lock."""
    return frozenset(re.findall(r"^[^\s#].*(?:\n[ \t]+.*)*", text, re.MULTILINE))


def _pins(lock: Path) -> frozenset[str]:
    return _pins_of(lock.read_text())


def tag(project: Project, environment: Environment, base: Base) -> str:
    """The image of `environment` on `base`, named after a hash of everything that goes into it."""
    digest = hashlib.sha256()
    for part in (
        *(file.read_bytes() for file in project.recipe),
        common_part(project, environment).encode(),
        project.lock(environment).read_bytes(),
        base.id.encode(),
        base.cuda.id.encode() if base.cuda else b"",
        environment.device.encode(),
    ):
        digest.update(len(part).to_bytes(8, "little") + part)
    return f"{repository(environment)}:{digest.hexdigest()[:16]}"


def write_context(project: Project, environment: Environment, folder: Path) -> None:
    """Put into `folder` what a build of `environment` reads: the recipe, uv, and its lock in two parts.

    The folder is the same for all builds of a checkout, because BuildKit keeps a copy of every folder that it is
    sent. Each file is replaced whole, and only when it changes, since other builds may be reading it.
    """
    files = {file.name: file.read_bytes() for file in project.recipe}
    files[f"{environment.id}.txt"] = project.lock(environment).read_bytes()
    files[f"{environment.id}.common.txt"] = common_part(project, environment).encode()
    for name, content in files.items():
        file = folder / name
        if not file.exists() or file.read_bytes() != content:
            with whole_file(file, folder.parent) as partial:
                partial.write_bytes(content)
    _copy_uv(folder)


def _copy_uv(folder: Path) -> None:
    source, file = Path(uv()), folder / "uv"

    def version(path: Path) -> tuple[int, int]:
        return path.stat().st_size, path.stat().st_mtime_ns

    with exclusive(folder.parent / "uv.lock"):
        if not file.exists() or version(file) != version(source):
            with whole_file(file, folder.parent) as partial:
                shutil.copy2(source, partial)


def certificates() -> Path | None:
    """The CA bundle of this network, by the variables that pip and uv read themselves."""
    for name in ("CARRYOVER_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"):
        if os.environ.get(name) and Path(os.environ[name]).is_file():
            return Path(os.environ[name])
    return None


def secrets(folder: Path, environment: Environment) -> dict[str, Path]:
    """The files to pass as BuildKit secrets, by id: the CA bundle, and the package index that this host uses with how
    patiently it is asked.

    They are taken from the variables that pip and uv read themselves. The index may hold a password: it is written to
    `folder`, readable by its owner only, and is for the caller to delete.
    """
    bundle = certificates()
    found = {}
    if bundle:  # a copy, for podman takes no path with a comma
        found["ca"] = folder / "ca"
        shutil.copyfile(bundle, found["ca"])
    index = {name: value for name, value in os.environ.items() if name in _INDEX_VARIABLES}
    for pip, ours in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_EXTRA_INDEX_URL", "UV_INDEX")):
        if pip in os.environ:
            index.setdefault(ours, os.environ[pip])
    index.update(index_variables(environment))
    if index:
        found["index"] = folder / "index"
        found["index"].touch(mode=0o600)
        found["index"].write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in index.items()))
    return found


_INDEX_VARIABLES = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INSECURE_HOST"),
    *("UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT", "UV_HTTP_RETRIES"),
)
