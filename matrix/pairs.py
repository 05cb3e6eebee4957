"""The compatibility matrix as a plan: who writes which kinds of files, who reads them in which ways. Pure.

The kinds stand in tests/pairs/kinds.toml, the environments in environments.toml, and nothing about either here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from matrix.environments import Environment, nearest
from matrix.errors import BadConfiguration, NothingSelected

TEST = "tests/pairs/test_pairs.py"
WAYS = ("native", "carryover")
VERSION = 1


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of kinds.toml."""

    id: str
    title: str
    file: str
    written_by: tuple[str, ...] = ()
    reads: str = ""
    ways: tuple[str, ...] = WAYS

    @property
    def written(self) -> str:
        """The kind of the files that are read."""
        return self.reads or self.id

    @property
    def artifact(self) -> str:
        """The kind of artifact that the files are published as."""
        return f"matrix-{self.written}"


class PlannedCell(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cell of the matrix: `environment` writes `kind`, or reads what `producer` wrote of it, in `way`."""

    environment: str
    cell: str
    role: str
    kind: str
    producer: str = ""
    way: str = ""


class MatrixPlan(msgspec.Struct, frozen=True):
    """plan.json: everything that a report expects a record of."""

    version: int
    made: str
    selection: tuple[str, ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    kinds: tuple[dict[str, str], ...]
    ways: tuple[str, ...]
    cells: tuple[PlannedCell, ...]


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of kinds.toml."""

    kinds: tuple[Kind, ...]


class Selection(msgspec.Struct, frozen=True):
    """What of the matrix to run: environment ids, kind ids and ways, each in the order of its axis."""

    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    kinds: tuple[str, ...]
    ways: tuple[str, ...]


def load_kinds(path: Path) -> tuple[Kind, ...]:
    """The kinds that the TOML file at `path` declares. Raises BadConfiguration."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Declaration).kinds
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadConfiguration(f"{path.name}: {error}") from error


def select(
    words: Sequence[str],
    producers: Mapping[str, Environment],
    consumers: Mapping[str, Environment],
    kinds: Sequence[Kind],
) -> Selection:
    """What `words` such as `producer=1.15,2.4`, `consumer=keras3`, `kind=keras-h5` and `way=native` leave.

    Environments go by id, release or tag. A bare word is a kind, a way, or environments on both sides. Keras 2 in the
    releases of Keras 3 takes part only where its id or its tag `legacy` names it. Raises
    NothingSelected with the nearest names for a word that names nothing, and for an empty one.
    """
    axes: dict[str, dict[str, set[str]]] = {
        "producer": _names(producers),
        "consumer": _names(consumers),
        "kind": {kind.id: {kind.id} for kind in kinds},
        "way": {way: {way} for way in WAYS},
    }
    chosen: dict[str, set[str]] = {}
    for word in words:
        axis, equals, names = word.rpartition("=")
        if equals and axis not in axes:
            raise NothingSelected(f"--only {word!r}: there is no {axis!r}; there are producer=, consumer=, kind=, way=")
        if not names.strip(","):
            raise NothingSelected(f"--only {word!r} names nothing: leave it out for everything")
        for name in filter(None, names.split(",")):
            found = [a for a in ([axis] if equals else axes) if name in axes[a]]
            if not found:
                known = sorted({name for a in ([axis] if equals else axes) for name in axes[a]})
                raise NothingSelected(f"--only {word!r} names nothing of the matrix: {nearest(name, known)}")
            for a in found:
                chosen.setdefault(a, set()).update(axes[a][name])
    releases = {row.id for row in {**producers, **consumers}.values() if not row.session.endswith("-legacy")}
    usual = {"producer": releases, "consumer": releases, "kind": {kind.id for kind in kinds}, "way": set(WAYS)}
    order = {"producer": producers, "consumer": consumers, "kind": [kind.id for kind in kinds], "way": WAYS}
    left = {a: [x for x in order[a] if x in chosen.get(a, usual[a])] for a in axes}
    return Selection(*(tuple(left[a]) for a in ("producer", "consumer", "kind", "way")))


def _names(environments: Mapping[str, Environment]) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for environment in environments.values():
        for name in environment.names:
            names.setdefault(name, set()).add(environment.id)
    return names


def writes(kind: str) -> str:
    """The id of the cell that writes the files of `kind`."""
    return f"{TEST}::test_writes[{kind}]"


def writing_cells(
    selection: Selection, environments: Mapping[str, Environment], kinds: Sequence[Kind]
) -> list[PlannedCell]:
    """What the producers write: each kind that is read, once, in the order of the axis."""
    read = {kind.written for kind in kinds if kind.id in selection.kinds}
    return [
        PlannedCell(name, writes(kind.id), "produce", kind.id)
        for name in selection.producers
        if name in environments
        for kind in kinds
        if kind.id in read and set(kind.written_by) <= set(environments[name].tags)
    ]


def reading_cells(
    selection: Selection, kinds: Sequence[Kind], written: Mapping[str, Iterable[str]]
) -> list[PlannedCell]:
    """What the consumers read: every file of `written` (producers by kind), in every way."""
    return [
        PlannedCell(
            consumer,
            f"{TEST}::test_loads[{kind.id}-{producer}-{way}]",
            "consume",
            kind.id,
            producer,
            way,
        )
        for consumer in selection.consumers
        for kind in kinds
        if kind.id in selection.kinds
        for producer in selection.producers
        if producer in set(written.get(kind.written, ()))
        for way in kind.ways
        if way in selection.ways
    ]


def told_to_recorder(cells: Iterable[PlannedCell], kinds: Sequence[Kind]) -> dict[str, object]:
    """What tests/recorder.py makes the parameters of `cells` from."""
    by_id = {kind.id: kind for kind in kinds}
    told: dict[str, list[object]] = {"kinds": [], "pairs": []}
    for cell in cells:
        kind = by_id[cell.kind]
        if cell.role == "produce":
            told["kinds"].append(cell.kind)
            continue
        told["pairs"].append(
            {
                "id": f"{cell.kind}-{cell.producer}-{cell.way}",
                "kind": cell.kind,
                "producer": cell.producer,
                "way": cell.way,
                "file": kind.file,
                "artifact": kind.artifact,
            }
        )
    return dict(told)
