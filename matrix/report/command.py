"""`nox -s report`: reads what runs have left in reports/, writes the report there, and says what is bad."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from matrix import bundle
from matrix.errors import NothingToReport
from matrix.ledger import Judged, judge_all, load_ledger
from matrix.oldest import oldest
from matrix.plan import load_checks
from matrix.project import Project
from matrix.report.changes import changes
from matrix.report.compatibility import compatibility
from matrix.report.junit import junit
from matrix.report.markdown import markdown
from matrix.report.model import Report, make_report
from matrix.report.page import page
from matrix.report.read import read_lines, read_plan, read_report, read_steps
from matrix.report.table import print_report
from matrix.results import RUNS, Begun, Record
from matrix.table import console
from matrix.tools import whole_file

FILES: dict[str, Callable[[Report], bytes]] = {
    "report.json": msgspec.json.encode,
    "report.md": lambda report: markdown(report).encode(),
    "junit.xml": junit,
    "index.html": lambda report: page(report).encode(),
}


def gather(project: Project) -> Report:
    """The report of what is in reports/ now. Raises NothingToReport or NotAReport."""
    folder = project.reports
    plan = read_plan(folder / "matrix" / "plan.json")
    matrix, torn = read_lines(folder / "matrix" / "results.jsonl", "reports/matrix/results.jsonl", Record)
    rows, torn_rows = read_lines(folder / "results.jsonl", "reports/results.jsonl", Record)
    runs, torn_runs = read_lines(folder / RUNS, f"reports/{RUNS}", Begun)
    if matrix and not plan:
        raise NothingToReport("reports/matrix/results.jsonl is there without plan.json: run nox -s matrix again")
    if not plan and not rows and not runs:
        raise NothingToReport(f"{folder} has no plan and no records: run nox -s matrix, or nox -s cpu-tf2, first")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    steps = read_steps(folder / "bench-steps.json")
    ledger = load_ledger(project.root / "matrix" / "ledger.toml")
    judged = judge_all(matrix, ledger, oldest(project) | project.environments)
    there = _there(project)
    checks = [Judged(record, record.outcome) for record in rows if there(record.environment, record.cell)]
    rest = {
        (name, cell): f"{project.environments[name].session}({project.environments[name].release})"
        for name, cell in lost(runs, rows)
        if there(name, cell)
    }
    made = make_report(plan, judged, checks, now, ledger, [*torn, *torn_rows, *torn_runs], steps, rest)
    return _with_bundles(made, folder / "bundles", [*matrix, *rows])


def _with_bundles(made: Report, folder: Path, records: Sequence[Record]) -> Report:
    """Each bad cell with the name of its bundle, where there is one of its latest record."""
    there = {path.name for path in folder.glob("*")}
    names = {(record.environment, record.cell): bundle.file_name(record) for record in records} if there else {}
    for index, cell in enumerate(made.cells):
        name = names.get((cell.environment, cell.cell), "")
        if cell.state.bad and name in there:
            made.cells[index] = msgspec.structs.replace(cell, bundle=name)
    return made


def _there(project: Project) -> Callable[[str, str], bool]:
    """Whether an environment and its cell still are: one renamed or removed since must not be shown for ever."""
    environments, tests = project.environments, {check.test for check in load_checks(project.cells_file)}
    return lambda environment, cell: environment in environments and cell.partition("[")[0] in tests


def lost(runs: Sequence[Begun], records: Sequence[Record]) -> list[tuple[str, str]]:
    """(environment, cell) of each that the last run which was to run it left without a record, and no run after it."""
    last = {(begun.environment, cell): begun for begun in runs for cell in begun.cells}
    had = {(record.environment, record.cell, record.run) for record in records}
    started = {(record.environment, record.cell): record.started for record in records}
    return [
        key for key, begun in last.items() if (*key, begun.run) not in had and started.get(key, "") <= begun.started
    ]


def write(report: Report, folder: Path) -> None:
    """Write the report's files below `folder`, each whole or not at all."""
    for name, made in FILES.items():
        with whole_file(folder / name) as half:
            half.write_bytes(made(report))


def _require_whole(made: Report) -> None:
    """Raises NothingToReport where docs/ would lose what a run of some of the matrix does not have."""
    missing = sum(cell.state.id in ("no-record", "not-run") for cell in made.cells if cell.role != "check")
    some = f"these are those of --only {' '.join(made.selection)}" if made.selection else ""
    some = some or (f"{missing} cells have none" if missing else "")
    if some or not any(cell.role == "consume" for cell in made.cells):
        why = some or "nothing has been read"
        raise NothingToReport(f"--docs is made of the records of the whole matrix, and {why}: run nox -s matrix first")


def report(project: Project, against: Path | None, show: bool, docs: bool = False, quiet: bool = False) -> int:
    """Make the report, and compare it with an older one: 0 if no cell is bad, else 1. `docs` makes docs/ of it too."""
    old = read_report(against) if against else None  # first: it may be the file that is about to be written
    new = gather(project)
    if docs:
        _require_whole(new)
    if old:
        new = msgspec.structs.replace(new, against=old.made, changes=changes(old.cells, new.cells))
    write(new, project.reports)
    out = console()
    if not quiet:
        print_report(new, out)
    out.print(f"[dim]written: {', '.join(project.shown(project.reports / name) for name in reversed(FILES))}[/]")
    if docs:
        page_of_causes = project.root / "docs" / "compatibility.md"
        page_of_causes.write_text(compatibility(new))
        out.print(f"[dim]written: {project.shown(page_of_causes)}[/]")
    if show:
        webbrowser.open((project.reports / "index.html").as_uri())
    return 1 if new.bad() else 0
