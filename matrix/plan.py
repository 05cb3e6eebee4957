"""The plan: which cells an environment must account for. Pure: from cells.toml and the artifacts that are there."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from matrix.environments import Environment
from matrix.errors import BadConfiguration


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of cells.toml: a pytest function, where it belongs, its parameters, what it consumes and needs."""

    test: str
    in_: tuple[str, ...] = msgspec.field(name="in")
    each: tuple[str, ...] = ()
    consumes: str | None = None
    needs: Literal["gpu"] | None = None


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of cells.toml."""

    cells: tuple[Check, ...]


@dataclass(frozen=True)
class Cell:
    """One check with one outcome. `id` is the pytest id, which -k and a node id on the command line understand."""

    id: str
    needs: str | None = None


def load_checks(path: Path) -> tuple[Check, ...]:
    """The checks that the TOML file at `path` declares. Raises BadConfiguration."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Declaration).cells
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadConfiguration(f"{path.name}: {error}") from error


def planned_cells(
    checks: Sequence[Check], environment: Environment, artifacts: Mapping[str, Sequence[str]]
) -> list[Cell]:
    """The cells of `environment`, in the order of cells.toml; `artifacts` are the ids that are there by kind.

    A check that consumes a kind of which nothing is there keeps one cell, so that it cannot vanish unseen: the
    environment will not collect it, and a planned cell that is not collected is a failure.
    """
    cells = []
    for check in checks:
        if not set(check.in_) <= set(environment.tags):
            continue
        parameters = [sorted(artifacts.get(check.consumes, ())) or ["nothing-there"]] if check.consumes else []
        parameters += [list(check.each)] if check.each else []
        for chosen in itertools.product(*parameters):
            cells.append(Cell(check.test + (f"[{'-'.join(chosen)}]" if chosen else ""), check.needs))
    return cells
