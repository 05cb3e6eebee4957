"""One environment's part of the compatibility matrix: all that it writes, or all that it reads, in one container."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from matrix import pairs
from matrix.engine import Engine
from matrix.environments import Environment
from matrix.errors import CarryoverError
from matrix.pairs import PlannedCell
from matrix.plan import Cell
from matrix.results import NO_RESULT, Outcome, Record
from matrix.run import Progress, Run, lay_out, run_cells
from matrix.run_folder import log_of, run_folder
from matrix.sweep import RESULTS, Store, about

_ROLES = {"write": "produce", "read": "consume"}


def run_part(
    store: Store, engine: Engine, environment: Environment, stage: str, since: str, progress: Progress | None = None
) -> Sequence[Record]:
    """Run what `environment` has to do of the plan, telling `progress`, and return the records.

    Raises a CarryoverError when no cell could be run; the cells are then recorded as not run, with the reason.
    """
    role = _ROLES[stage]
    own = [cell for cell in store.plan().cells if (cell.environment, cell.role) == (environment.id, role)]
    with run_folder(store.project, environment, engine) as folder:
        log = log_of(store.project, folder.name)
        told = progress or Progress()
        run = Run(store.project, environment, engine, told, folder.name, folder, log, engine.version())
        run.records_file = RESULTS
        try:
            run.prepared = engine.prepare(environment, run.log, run.progress.say)
            _cells(store, run, store.to_do(own, run.prepared.image_id, since))
        except CarryoverError as error:
            with suppress(OSError):  # a full disk: the error itself says so
                for cell in run.cells or [Cell(cell.cell) for cell in own]:
                    run.record(cell.id, Outcome.NOT_RUN, str(error), details={"how": NO_RESULT})
            raise
        return run.records


def _cells(store: Store, run: Run, to_do: Sequence[PlannedCell]) -> None:
    if not to_do:
        return
    run.cells = [Cell(cell.cell) for cell in to_do]
    for cell in to_do:
        run.about[cell.cell] = {"code": store.code(cell), **about(cell)}
    there = lay_out(run, {store.input_of(cell)[0] for cell in to_do if cell.role == "consume"})
    run.told = pairs.told_to_recorder(to_do, store.kinds)
    run_cells(run, there, [pairs.TEST])
