"""The ledger: every known incompatibility as data, and what it makes of a record. Strict both ways.

A cell that fails in the ledger's way is KNOWN. One that fails in another way stays FAILED, and one that passes though
it is listed is FIXED; both stop the run.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from matrix.environments import Environment
from matrix.errors import BadConfiguration
from matrix.results import Outcome, Record

WRITE = "write"


class Where(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Cells that fail alike: files of `kinds`, read in one of `ways` or, with the way `write`, written.

    `producers` and `consumers` are version specifiers of releases (PEP 440: `>=2.3,<2.16`), each with the Keras of its
    own: what Keras 2 does in a release of Keras 3 (the rows with the tag `legacy`) is not what these are about.
    """

    kinds: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    ways: Annotated[tuple[Literal["native", "carryover", "write"], ...], msgspec.Meta(min_length=1)] = ("native",)
    producers: str = ""
    consumers: str = ""

    @cached_property
    def releases(self) -> tuple[SpecifierSet, SpecifierSet]:
        """Producers and consumers as sets. Raises InvalidSpecifier."""
        return SpecifierSet(self.producers), SpecifierSet(self.consumers)

    def has(self, kind: str, way: str, producer: Environment, consumer: Environment) -> bool:
        """Whether the cell is one of these."""
        producers, consumers = self.releases
        known = kind in self.kinds and way in self.ways and "legacy" not in {*producer.tags, *consumer.tags}
        return known and producer.tensorflow in producers and consumer.tensorflow in consumers


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One known incompatibility: the cells it is about, how they fail, why, and what to do instead.

    `reason` is a regular expression found in the record's reason; one that is found in an empty one says nothing.
    """

    id: str
    where: Annotated[tuple[Where, ...], msgspec.Meta(min_length=1)]
    how: Literal["raises", "silently wrong", "crashed"]
    reason: str
    cause: str
    link: str
    instead: str

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.reason)

    def check(self) -> None:
        """Raises BadConfiguration when a pattern is none, or one that any failure has."""
        try:
            _ = [where.releases for where in self.where]
            anything = self._pattern.search("") is not None
        except (re.error, InvalidSpecifier) as error:
            raise BadConfiguration(f"ledger.toml: entry {self.id!r}: {error}") from error
        if anything:
            raise BadConfiguration(f"ledger.toml: entry {self.id!r}: reason {self.reason!r} is found in any failure")

    def is_about(self, kind: str, way: str, producer: Environment, consumer: Environment) -> bool:
        """Whether the cell is one of those that this entry says fail."""
        return any(where.has(kind, way, producer, consumer) for where in self.where)

    def explains(self, record: Record) -> bool:
        """Whether `record` failed in this entry's way."""
        how = "crashed" if record.outcome is Outcome.CRASHED else record.details.get("how", "raises")
        return how == self.how and self._pattern.search(record.reason) is not None


class Judged(msgspec.Struct, frozen=True):
    """A record with the outcome that the ledger makes of it, and the id of the entry that does."""

    record: Record
    outcome: Outcome
    entry: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    entries: tuple[Entry, ...]


def load_ledger(path: Path) -> tuple[Entry, ...]:
    """The entries of the TOML file at `path`. Raises BadConfiguration."""
    try:
        entries = msgspec.convert(tomllib.loads(path.read_text()), _File).entries
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadConfiguration(f"{path.name}: {error}") from error
    for entry in entries:
        entry.check()
    ids = [entry.id for entry in entries]
    doubled = sorted({name for name in ids if ids.count(name) > 1})
    if doubled:
        raise BadConfiguration(f"{path.name}: several entries are called {', '.join(doubled)}")
    return entries


def judge(record: Record, entries: Sequence[Entry], environments: Mapping[str, Environment]) -> Judged:
    """`record` under the ledger. A cell that writes a file has the way `write`, and is its own producer."""
    details = record.details
    producer = environments.get(str(details.get("producer", record.environment)))
    consumer = environments.get(record.environment)
    if producer is None or consumer is None:
        return Judged(record, record.outcome)
    kind, way = str(details.get("kind")), str(details.get("way", WRITE))
    about = [entry for entry in entries if entry.is_about(kind, way, producer, consumer)]
    if record.outcome is Outcome.PASSED and about:
        return Judged(record, Outcome.FIXED, about[0].id)
    if record.outcome in (Outcome.FAILED, Outcome.CRASHED):
        for entry in about:
            if entry.explains(record):
                return Judged(record, Outcome.KNOWN, entry.id)
    return Judged(record, record.outcome)


def judge_all(
    records: Iterable[Record], entries: Sequence[Entry], environments: Mapping[str, Environment]
) -> list[Judged]:
    """Every record under the ledger, in order."""
    return [judge(record, entries, environments) for record in records]
