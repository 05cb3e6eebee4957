"""The axis: environments.toml read into `Environment` values, and looked up by name."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from matrix.errors import BadConfiguration, UnknownEnvironment

_ID = re.compile(r"(cpu|gpu)-(?:tf(\d+\.\d+)(?:-([a-z]+))?|keras3-([a-z]+))")
_PYTHON = re.compile(r"3\.(\d+)")
_OLDEST_PYTHON = 7
_BEFORE_PYTHON_3_0 = 2011  # the year of 3.X is this and X, from 3.9 on
_RELEASE = re.compile(r"\d+\.\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?")


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of environments.toml, as it stands there."""

    python: str
    keras: int
    tensorflow: str = ""
    package: str = ""
    with_: tuple[str, ...] = msgspec.field(name="with", default=())
    tags: tuple[str, ...] = ()
    env: dict[str, str] = {}
    index: str = ""
    cuda: str = ""
    base: str = ""


class Cuda(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source of CUDA libraries: wheels to lock with the row, or images to copy from, tried in this order."""

    wheels: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


class Environment(msgspec.Struct, frozen=True):
    """A TensorFlow release on a Python and a device: one image, one lock, one column of the report.

    `places` says where the row and its keys stand: {"": "environments.toml:12", "python": "environments.toml:15"}.
    """

    id: str
    tensorflow: str
    package: str
    python: str
    keras: int
    requirements: tuple[str, ...]
    cutoff: str
    further_tags: tuple[str, ...] = ()
    env: dict[str, str] = {}
    index: str = ""
    cuda: str = ""
    cuda_images: tuple[str, ...] = ()
    base: str = ""
    places: dict[str, str] = {}

    @property
    def device(self) -> str:
        """`cpu` or `gpu`."""
        return self.id.partition("-")[0]

    @property
    def release(self) -> str:
        """The row as sessions name it: `2.21`, `1.15-nvidia`, `jax`."""
        name = self.id.partition("-")[2].removeprefix("tf").removeprefix("keras3-")
        return name.removesuffix("-legacy")

    @property
    def names(self) -> tuple[str, ...]:
        """What selects it among all releases; of Keras 2 in a release of Keras 3 only what names it and no other."""
        alone = self.session.endswith("-legacy")
        return (self.id, *self.further_tags) if alone else (self.id, self.release, *self.tags)

    @property
    def generation(self) -> str:
        """`tf1`, `tf2`, or `keras` where there is no TensorFlow."""
        return f"tf{self.tensorflow.partition('.')[0]}" if self.tensorflow else "keras"

    @property
    def session(self) -> str:
        """The nox session that this environment is a row of: `cpu-tf2`, `cpu-legacy`, `cpu-keras`."""
        return f"{self.device}-{'legacy' if self.id.endswith('-legacy') else self.generation}"

    @property
    def tags(self) -> tuple[str, ...]:
        """What `nox -t` and cells.toml select environments by; `eager` are all but TensorFlow 1."""
        framework = ("tensorflow",) if self.tensorflow else ()
        eager = () if self.generation == "tf1" else ("eager",)
        return (self.generation, self.device, f"keras{self.keras}", *framework, *eager, *self.further_tags)


def load_environments(path: Path) -> dict[str, Environment]:
    """Every environment of the TOML file at `path`, by id, in the file's order.

    Raises BadConfiguration, with the line, when the file is missing, no TOML, or has a table that is no environment.
    """
    try:
        text = path.read_text()
        axis = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        line = re.search(r"at line (\d+)", str(error))
        raise BadConfiguration(f"{path.name}:{line[1] if line else 1}: {error}") from error
    rows = axis.pop("environments", {})
    try:
        head = msgspec.convert(axis, _Head)
    except msgspec.ValidationError as error:
        named = re.search(r"`\$?\.?(\w+)`", str(error))
        raise BadConfiguration(f"{path.name}:{_line(text, '', named[1] if named else '')}: {error}") from error
    if _time(head.cutoff) is None:
        raise BadConfiguration(
            f"{path.name}:{_line(text, '', 'cutoff')}: cutoff = {head.cutoff!r} must be a day or a time such as "
            "2026-11-15T00:00:00Z"
        )
    if not isinstance(rows, dict):
        raise BadConfiguration(f"{path.name}:{_line(text, '', 'environments')}: environments must be tables")
    return {name: _environment(name, row, head, _Place(path.name, text, name)) for name, row in rows.items()}


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What environments.toml says of all environments."""

    cutoff: str
    common: tuple[str, ...]
    cuda: dict[str, Cuda] = {}


class _Place:
    """Where the keys of the table of the environment `name` stand."""

    def __init__(self, file: str, text: str, name: str) -> None:
        self.file, self.text, self.name = file, text, name

    def __call__(self, key: str = "") -> str:
        return f"{self.file}:{_line(self.text, self.name, key)}"


def _environment(name: str, table: Any, head: _Head, place: _Place) -> Environment:
    try:
        row = msgspec.convert(table, Row)
    except msgspec.ValidationError as error:
        key = re.search(r"unknown field `(\w+)`|at `\$\.(\w+)", str(error))
        raise BadConfiguration(f"{place(next(filter(None, key.groups())) if key else '')}: {name}: {error}") from error
    match = _ID.fullmatch(name)
    if not match or not (match[4] or row.tensorflow.startswith(f"{match[2]}.")):
        raise BadConfiguration(
            f"{place()}: the id of [environments.{name!r}] must be DEVICE-tfRELEASE (cpu-tf2.21, gpu-tf1.15), which "
            f"names the release of tensorflow = {row.tensorflow!r}, or that and a variant (cpu-tf2.16-legacy), or "
            "DEVICE-keras3-BACKEND"
        )
    if row.tensorflow and not _RELEASE.fullmatch(row.tensorflow):
        where = place("tensorflow")
        raise BadConfiguration(f"{where}: tensorflow = {row.tensorflow!r} of {name} must be a release such as 2.21.0")
    _check_python(name, row, head, place)
    if bool(row.package or row.base) != bool(row.tensorflow):
        raise BadConfiguration(f"{place('package')}: {name} needs a package that ships tensorflow = {row.tensorflow!r}")
    if row.cuda and row.cuda not in head.cuda:
        raise BadConfiguration(f"{place('cuda')}: cuda = {row.cuda!r} of {name}: {nearest(row.cuda, head.cuda)}")
    cuda = head.cuda[row.cuda] if row.cuda else Cuda()
    own = (f"{row.package}=={row.tensorflow}",) if row.package else ()
    return Environment(
        id=name,
        tensorflow=row.tensorflow,
        package=row.package,
        python=row.python,
        keras=row.keras,
        requirements=(*own, *row.with_, *cuda.wheels, *head.common),
        cutoff=head.cutoff,
        further_tags=row.tags,
        env=row.env,
        index=row.index,
        cuda=row.cuda,
        cuda_images=cuda.images,
        base=row.base,
        places={"": place(), "python": place("python")},
    )


def _time(cutoff: str) -> datetime | None:
    try:
        return datetime.fromisoformat(cutoff)
    except ValueError:
        return None


def _check_python(name: str, row: Row, head: _Head, place: _Place) -> None:
    """Cells are written for 3.7; since 3.9 one release came a year (PEP 602); a lock is no newer than the cutoff."""
    match, time = _PYTHON.fullmatch(row.python), _time(head.cutoff)
    newest = time.year - _BEFORE_PYTHON_3_0 if time else 0
    if not match or not _OLDEST_PYTHON <= int(match[1]) <= newest:
        raise BadConfiguration(
            f"{place('python')}: python = {row.python!r} of {name} must be a release such as 3.13 "
            f"(3.{_OLDEST_PYTHON} to 3.{newest})"
        )


def _line(text: str, table: str, key: str) -> int:
    """The line of `key` in the table of the environment `table` (of the file's head without one), or of its header."""
    header = re.compile(rf"""\s*\[\s*environments\s*\.\s*["']?{re.escape(table)}["']?\s*\]""") if table else None
    inside, found = header is None, 1
    for number, line in enumerate(text.splitlines(), 1):
        if header is not None and header.match(line):
            inside, found = True, number
        elif inside and line.lstrip().startswith("["):
            if re.match(rf"\s*\[\s*{re.escape(key)}\b", line) and key:
                return number
            inside = header is None
        elif inside and key and re.match(rf"\s*{re.escape(key)}\s*=", line):
            return number
    return found


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
