"""The axis: environments.toml read into `Environment` values, and looked up by name."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from matrix.errors import BadConfiguration, UnknownEnvironment

_ID = re.compile(r"(cpu|gpu)-tf(\d+\.\d+)")
_PYTHON = re.compile(r"3\.\d+")


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of environments.toml, as it stands there."""

    tensorflow: str
    package: str
    python: str
    keras: int
    with_: tuple[str, ...] = msgspec.field(name="with", default=())
    tags: tuple[str, ...] = ()


class Axis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of environments.toml."""

    cutoff: str
    common: tuple[str, ...]
    environments: dict[str, Row]


class Environment(msgspec.Struct, frozen=True):
    """A TensorFlow release on a Python and a device: one image, one lock, one column of the report."""

    id: str
    tensorflow: str
    package: str
    python: str
    keras: int
    requirements: tuple[str, ...]
    cutoff: str
    further_tags: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """`cpu` or `gpu`."""
        return self.id.partition("-")[0]

    @property
    def release(self) -> str:
        """The release as sessions name it: `2.21`."""
        return self.id.partition("-tf")[2]

    @property
    def generation(self) -> str:
        """`tf1` or `tf2`."""
        return f"tf{self.release.partition('.')[0]}"

    @property
    def session(self) -> str:
        """The nox session that this environment is a row of: `cpu-tf2`."""
        return f"{self.device}-{self.generation}"

    @property
    def tags(self) -> tuple[str, ...]:
        """What `nox -t` and cells.toml select environments by."""
        return (self.generation, self.device, f"keras{self.keras}", *self.further_tags)


def load_environments(path: Path) -> dict[str, Environment]:
    """Every environment of the TOML file at `path`, by id, in the file's order.

    Raises BadConfiguration when the file is missing, is not TOML, or has a table that is not an environment.
    """
    try:
        axis = msgspec.convert(tomllib.loads(path.read_text()), Axis)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadConfiguration(f"{path.name}: {error}") from error
    environments = {}
    for name, row in axis.environments.items():
        match = _ID.fullmatch(name)
        if not match or not row.tensorflow.startswith(f"{match[2]}."):
            raise BadConfiguration(
                f"{path.name}: the id of [environments.{name!r}] must be DEVICE-tfRELEASE (cpu-tf2.21, gpu-tf1.15) "
                f"and name the release of tensorflow = {row.tensorflow!r}"
            )
        if not _PYTHON.fullmatch(row.python):
            raise BadConfiguration(f"{path.name}: python = {row.python!r} of {name} must be a release such as 3.13")
        requirements = (f"{row.package}=={row.tensorflow}", *row.with_, *axis.common)
        environments[name] = Environment(
            name, row.tensorflow, row.package, row.python, row.keras, requirements, axis.cutoff, row.tags
        )
    return environments


def find_environment(environments: dict[str, Environment], name: str) -> Environment:
    """The environment called `name`. Raises UnknownEnvironment with the nearest names."""
    try:
        return environments[name]
    except KeyError:
        raise UnknownEnvironment(
            f"there is no environment {name!r} in environments.toml: {nearest(name, environments)}"
        ) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean A or B?`, or all that there is when nothing is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.75)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
