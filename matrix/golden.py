"""Runs the graph of somebody's checkpoint in an environment of the matrix, and brings back the golden arrays.

What runs there is `python -m checkpoints golden`, under the same limits as a cell: without network, on read-only
copies (links, where the disk allows) of the graph's files.
"""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from matrix import process_log
from matrix.engine import Engine, Say, choose
from matrix.environments import Environment
from matrix.errors import GoldenFailed
from matrix.project import Project
from matrix.run import end
from matrix.run_folder import log_of, run_folder
from matrix.tools import undisturbed


def _make(
    project: Project,
    environment: Environment,
    engine: Engine,
    graph: Path,
    to: Path,
    arguments: Sequence[str],
    layers: Path | None,
    say: Say,
) -> None:
    """Run the graph at `graph` (a prefix with a .meta, a SavedModel's folder, a frozen .pb) and write `to` (.npz).

    `arguments` go to `checkpoints golden`. Raises GoldenFailed with the line that says why, or what engines raise.
    """
    with run_folder(project, environment, engine) as folder:
        (folder / "out").mkdir()
        _bring(graph, folder / "in")
        inside = engine.inside(folder)
        words = [
            "python",
            "-m",
            "checkpoints",
            "golden",
            f"{inside['in']}/{graph.name}",
            "--to",
            f"{inside['out']}/golden.npz",
        ]
        if layers:
            shutil.copy(layers, folder / "in" / "layers.json")
            words += ["--layers", f"{inside['in']}/layers.json"]
        log = log_of(project, folder.name)
        prepared = engine.prepare(environment, log, say)
        say(f"running {graph} in {prepared.image}")
        running = None
        with process_log.appended(log) as output:
            try:
                with undisturbed():  # so that what was started is known, and ended
                    running = engine.start(prepared, folder, [*words, *arguments], output)
                status = running.process.wait(project.limits.cell_seconds)
            except subprocess.TimeoutExpired:
                limit = f"{project.limits.cell_seconds} s (CARRYOVER_CELL_SECONDS)"
                raise GoldenFailed(f"{graph}: {environment.id} was not done after {limit}") from None
            finally:
                if running:
                    end(engine, running)
        made = folder / "out" / "golden.npz"
        if status or made.is_symlink() or not made.is_file():
            reason = _reason(log, status).replace(f"{inside['in']}/{graph.name}", str(graph))
            raise GoldenFailed(f"{reason} (in {environment.id}; log: {project.shown(log)})")
        shutil.copyfile(made, to)  # without its mode


def make_golden(project: Project, options: argparse.Namespace) -> int:
    """`python -m matrix golden`: in the oldest release for the CPU that there is for a `.meta`, else in the newest."""
    rows = [row for row in project.environments.values() if row.session in ("cpu-tf1", "cpu-tf2")]
    row = rows[0] if os.path.isfile(options.graph + ".meta") else rows[-1]
    environment = project.environment(options.environment) if options.environment else row
    arguments = [
        word for kind in ("output", "feed") for value in getattr(options, kind) for word in (f"--{kind}", value)
    ]
    engine = choose(project, options.engine, print)
    graph, to = Path(os.path.abspath(options.graph)), Path(options.to)
    _make(project, environment, engine, graph, to, arguments, options.layers, print)
    print(f"{to}: made by {environment.id}")
    return 0


def _bring(graph: Path, folder: Path) -> None:
    """Link, or else copy, the files of `graph` into `folder`."""
    folder.mkdir()
    if graph.is_dir():
        shutil.copytree(graph, folder / graph.name, copy_function=_link)
        return
    files = [graph] if graph.is_file() else [Path(path) for path in glob.glob(glob.escape(str(graph)) + ".*")]
    if not files:
        raise GoldenFailed(f"{graph}: no such file, folder or checkpoint")
    for path in files:
        _link(path, folder / path.name)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another disk, or a file of somebody else
        shutil.copyfile(source, target)


def _reason(log: Path, status: int) -> str:
    lines = [line.strip() for line in process_log.last_part(log).splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"exit status {status}"])[-1][:400]
