"""The report in the terminal: formats and ways with their counts, what changed, and what is bad with its command."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from matrix.report.model import Report
from matrix.report.states import BY_ID, RANK

_COLOURS = {"known": "yellow", "known-silent": "yellow", "passed": "green", "unsupported": "dim", "not-run": "dim"}
_LONG = 200  # characters of a reason
_MOST = 20  # rows of what is bad or changed: the page has them all


def label(environment: str) -> str:
    """An environment on an axis: `2.15`, `gpu 2.15`, or `keras3-jax`."""
    device, _, release = environment.partition("-tf")
    if not release:
        return environment.removeprefix("cpu-")
    return release if device == "cpu" else f"{device} {release}"


def headline(report: Report) -> str:
    """The verdict in one sentence."""
    bad = len(report.bad())
    if not report.cells:
        return "nothing was planned"
    return f"{bad:,} of {len(report.cells):,} cells are bad" if bad else f"None of {len(report.cells):,} cells is bad"


def by_kind_and_way(report: Report) -> dict[tuple[str, str], Counter[str]]:
    """{(kind, way): how many cells that read are in each state}, of every kind and way, planned or not."""
    if not report.kinds:
        return {}
    counts: dict[tuple[str, str], Counter[str]] = {
        (kind.id, way): Counter() for kind in report.kinds for way in report.ways
    }
    for cell in report.cells:
        if cell.role == "consume":
            counts.setdefault((cell.kind, cell.way), Counter())[cell.state.id] += 1
    return counts


def _signs(counts: Counter[str]) -> str:
    """`✓ 520  ✗ 3`, the best first, in colours."""
    return "  ".join(
        f"[{_COLOURS.get(state, 'bold red')}]{BY_ID[state].sign} {counts[state]:,}[/]"
        for state in reversed(RANK)
        if counts[state]
    )


def _kinds(report: Report) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("written")
    for way in report.ways:
        table.add_column(way)
    counts = by_kind_and_way(report)
    for kind in report.kinds:
        table.add_row(escape(kind.title), *(_signs(counts[kind.id, way]) for way in report.ways))
    return table


def _environments(report: Report) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("environment")
    table.add_column("cells")
    counts: dict[str, Counter[str]] = {}
    for cell in report.cells:
        if cell.role == "check":
            counts.setdefault(cell.environment, Counter())[cell.state.id] += 1
    for environment, counted in counts.items():
        table.add_row(escape(environment), _signs(counted))
    return table


def _causes(report: Report) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("cells", justify="right")
    table.add_column("cause")
    table.add_column("what to do instead")
    counts = Counter(cell.entry for cell in report.cells)
    for cause in sorted(report.causes, key=lambda cause: -counts[cause.id]):
        table.add_row(f"{counts[cause.id]:,}", escape(cause.cause), escape(cause.instead))
    return table


def _print_changes(report: Report, out: Console) -> None:
    counts = Counter(change.what for change in report.changes)
    summed = ", ".join(f"{count:,} × {what}" for what, count in counts.items()) or "nothing"
    out.print(f"changed since the report of {escape(report.against)}: {summed}")
    for change in report.changes[:_MOST]:
        before, after = (BY_ID[state].title if state else "not there" for state in (change.before, change.after))
        reason = f"  {escape(change.reason)}" if change.reason else ""
        out.print(f"  {change.what}: {escape(change.name)}: {before} → {after}{reason}")
    _print_rest(len(report.changes), out)
    out.print()


def _print_rest(count: int, out: Console) -> None:
    if count > _MOST:
        out.print(f"  [dim]and {count - _MOST:,} more: reports/index.html has them all[/]")


def _print_bad(report: Report, out: Console) -> None:
    bad = report.bad()
    for cell in bad[:_MOST]:
        reason = f"  {escape(cell.reason[:_LONG])}{'…' if cell.reason[_LONG:] else ''}" if cell.reason else ""
        out.print(f"[bold red]{cell.state.sign} {cell.state.title}[/]  {escape(cell.name)}{reason}")
        out.print(f"    {escape(cell.command)}", style="dim")
    _print_rest(len(bad), out)


def _print_table(title: str, table: Table, out: Console) -> None:
    out.print(f"[bold]{title}[/]")
    out.print(table, soft_wrap=False)
    out.print()


def print_report(report: Report, out: Console) -> None:
    """Tables first, then what changed, then what is bad, the worst of it first, and the verdict at the end."""
    roles = {cell.role for cell in report.cells}
    if "consume" in roles:
        _print_table("Cells that read, by format and way", _kinds(report), out)
    if "check" in roles:
        _print_table("The environments' own cells", _environments(report), out)
    if report.causes:
        _print_table("Known causes", _causes(report), out)
    for note in report.notes:
        out.print(f"[yellow]note:[/] {escape(note)}")
    if report.against:
        _print_changes(report, out)
    bad = report.bad()
    if bad:
        _print_bad(report, out)
    counted = ", ".join(f"{count:,} {BY_ID[state].title}" for state, count in report.counts().items())
    out.print(f"[bold {'red' if bad else 'green'}]{escape(headline(report))}[/]: {counted}")
