"""docs/compatibility.md: which TensorFlow reads what, and why not, from the records of one run of the whole matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from matrix.report.model import Cell, Report
from matrix.report.states import STATES

_INTRODUCTION = """# Which TensorFlow can read this file?

Measured, not collected: every release wrote every kind of file that it can, and every release tried to read each, in
two ways. *Native* is what the reading release's own documentation says to do; *carryover* is the same file through
`checkpoints/`. Reading it is not enough to pass: every variable must be there bit for bit (all that are listed: a
frozen graph has none, and a SavedModel of TensorFlow 1 or of Keras 3 may list none), the outputs on golden inputs must
agree, and where there is an optimizer three further steps of training must end where the writer's own did.

The network is small (three dense layers of the subject) and was trained five steps with Adam. `nox -s matrix` makes the
records again, and `nox -s report -- --docs` this page of them.
"""


_SIGNS = {"known-silent": "≠"}  # one character a cell


def _release(environment: str) -> str:
    return environment.removeprefix("cpu-tf")


def _ranges(found: Iterable[str], order: Sequence[str]) -> str:
    """`2.0 to 2.5, 2.16`: runs of neighbours in the order of the axis."""
    places = sorted(order.index(name) for name in set(found))
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    names = [_release(name) for name in order]
    return ", ".join(names[run[0]] if len(run) == 1 else f"{names[run[0]]} to {names[run[-1]]}" for run in runs)


def _reading(report: Report) -> list[Cell]:
    return [cell for cell in report.cells if cell.role == "consume"]


def _shares(report: Report) -> list[str]:
    """One line a kind: how many of its cells pass, each way; what is unsupported is in neither."""
    lines = ["| file | native | carryover |", "|---|---|---|"]
    for kind in report.kinds:
        shown = []
        for way in ("native", "carryover"):
            cells = [c for c in _reading(report) if (c.kind, c.way) == (kind.id, way) and c.outcome != "unsupported"]
            passed = sum(cell.outcome == "passed" for cell in cells)
            shown.append(f"{passed} of {len(cells)}" if cells else "")
        lines.append(f"| {kind.title} (`{kind.id}`) | {shown[0]} | {shown[1]} |")
    return lines


def _causes(report: Report) -> list[str]:
    lines = []
    failed = [cell for cell in report.cells if cell.outcome != "passed" and cell.entry]
    causes = {cause.id: cause for cause in report.causes}
    for entry, count in Counter(cell.entry for cell in failed).most_common():
        cells = [cell for cell in failed if cell.entry == entry]
        hows = " and ".join(sorted({cell.how or "raises" for cell in cells}))
        lines += [
            f"### {entry}: {count} {'cell' if count == 1 else 'cells'}, {hows}",
            "",
            f"{causes[entry].cause} [Upstream]({causes[entry].link}).",
            "",
            f"- Files: {_files(report, cells)}.",
            f"- What it looks like: `{cells[0].reason[:160].replace('`', chr(39))}`",
            f"- Instead: {causes[entry].instead}",
            "",
        ]
    return lines


def _files(report: Report, cells: Sequence[Cell]) -> str:
    """Which files `cells` are about, who wrote them, and who reads them."""
    kinds = ", ".join(f"`{kind.id}`" for kind in report.kinds if kind.id in {cell.kind for cell in cells})
    there = _ranges((cell.environment for cell in cells), report.consumers)
    if cells[0].role == "produce":
        return f"{kinds}, not written by {there}"
    return f"{kinds}, written by {_ranges((c.producer for c in cells), report.producers)},\n  read by {there}"


def _grid(report: Report, kind: str, way: str) -> list[str]:
    cells = {(c.producer, c.environment): c for c in _reading(report) if (c.kind, c.way) == (kind, way)}
    producers = [name for name in report.producers if any(key[0] == name for key in cells)]
    if not producers:
        return []
    width = max(len(_release(name)) for name in report.producers)
    head = [_release(name) for name in report.consumers]
    lines = [f"`{kind}`, {way}: written by the row, read by the column", "", "```"]
    for place in range(max(map(len, head))):  # the releases of the columns, downwards
        lines.append(" " * (width + 1) + " ".join(name.rjust(max(map(len, head)))[place] for name in head).rstrip())
    for producer in producers:
        signs = [cells.get((producer, consumer)) for consumer in report.consumers]
        row = " ".join(_SIGNS.get(c.state.id, c.state.sign) if c else " " for c in signs)
        lines.append(f"{_release(producer).rjust(width)} {row}".rstrip())
    return [*lines, "```", ""]


def compatibility(report: Report) -> str:
    """The page, as Markdown. Only cells that read a file are in it."""
    cells = _reading(report)
    counts = Counter(cell.state.id for cell in cells)
    words = ", ".join(f"{counts[state.id]:,} {state.title}" for state in STATES if counts[state.id])
    releases = f"{len(report.producers)} releases wrote, {len(report.consumers)} read: {len(cells):,} cells"
    lines = [_INTRODUCTION, f"{releases}, {words}.", ""]
    lines += ["![The report's page](images/report-light.png)", "", "## How much of it works", ""]
    lines += ["Files that were read, of those that the release claims to read.", "", *_shares(report), ""]
    lines += ["## Why the rest does not", ""]
    lines += ["Every cause was made sure of by an experiment: the change that it says helps was made, and helped.", ""]
    lines += _causes(report)
    lines += [
        "## All of it",
        "",
        "; ".join(f"`{_SIGNS.get(s.id, s.sign)}` {s.title}" for s in STATES if counts[s.id]) + ".",
        "",
    ]
    for kind in report.kinds:
        for way in report.ways:
            lines += _grid(report, kind.id, way)
    return "\n".join(lines).rstrip() + "\n"
