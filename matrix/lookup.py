"""From a cell's name to what is recorded of it. A name is `ENVIRONMENT/short` or `ENVIRONMENT/the whole pytest id`."""

from __future__ import annotations

import difflib

import msgspec

from matrix import artifacts
from matrix.errors import UnknownCell
from matrix.plan import load_checks, planned_cells
from matrix.project import Project
from matrix.results import Record, Results
from matrix.table import short

FILES = ("results.jsonl", "matrix/results.jsonl")  # below reports/: of the rows, of the matrix
_SHAPE = "ENVIRONMENT/NAME, such as 'cpu-tf2.21/training::learns[eager]'"


class _PlannedCell(msgspec.Struct):
    environment: str
    cell: str


class _Plan(msgspec.Struct):
    cells: tuple[_PlannedCell, ...] = ()


def find(project: Project, name: str) -> Record:
    """The latest record of the cell called `name`; the latest that says which image it ran in, where there is one.

    Raises UnknownEnvironment, or UnknownCell with the nearest names.
    """
    environment, slash, cell = name.partition("/")
    if not slash or "::" not in cell:
        raise UnknownCell(f"{name!r} is not the name of a cell ({_SHAPE}){_near(name, _all_names(project))}")
    records = [r for path in FILES for r in Results(project.reports / path).read() if r.environment == environment]
    if not records:
        project.environment(environment)
    meant = [record for record in records if cell in (record.cell, short(record.cell))]
    if not meant:
        raise UnknownCell(_unknown(project, environment, cell, records))
    ids = sorted({record.cell for record in meant})
    if len(ids) > 1:
        whole = " or ".join(f"{environment}/{one}" for one in ids)
        raise UnknownCell(f"{name!r} is short for more than one cell: say {whole}")
    return [record for record in meant if record.image_id][-1] if any(r.image_id for r in meant) else meant[-1]


def _unknown(project: Project, environment: str, cell: str, records: list[Record]) -> str:
    planned = _planned(project, environment)
    runner = planned.get(cell) or {short(one): session for one, session in planned.items()}.get(cell)
    if runner:
        return f"{environment}/{cell} is planned and has no record here: `{runner}` runs it"
    names = sorted({short(one) for one in [*planned, *(record.cell for record in records)]})
    return f"there is no cell {f'{environment}/{cell}'!r}{_near(cell, names, f'{environment}/')}"


def _planned(project: Project, environment: str) -> dict[str, str]:
    """The ids of the cells of `environment` by cells.toml and the last plan of the matrix, each with what runs it."""
    found = {}
    row = project.environments.get(environment)
    if row:
        cells = planned_cells(load_checks(project.cells_file), row, artifacts.ids(project))
        found = {cell.id: f'nox -s "{row.session}({row.release})"' for cell in cells}
    try:
        plan = msgspec.json.decode((project.reports / "matrix/plan.json").read_bytes(), type=_Plan)
    except (OSError, msgspec.DecodeError):
        return found
    return found | {one.cell: "nox -s matrix" for one in plan.cells if one.environment == environment}


def _all_names(project: Project) -> list[str]:
    records = [record for path in FILES for record in Results(project.reports / path).read()]
    return sorted({f"{record.environment}/{short(record.cell)}" for record in records})


def _near(name: str, known: list[str], prefix: str = "") -> str:
    """`: did you mean A or B?`; names that hold what was said come before those that are only written like it."""
    wanted = (short(name) if "::" in name else name.rpartition("/")[2]).lower()
    holding = [one for one in known if wanted in one.lower()]
    near = holding[:3] or difflib.get_close_matches(name, known[:5000], n=3, cutoff=0.4)
    return f": did you mean {' or '.join(repr(prefix + one) for one in near)}?" if near else ""
