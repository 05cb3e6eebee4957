"""The report as Markdown for a workflow's summary: never 1 MiB or more, failures first, what is left out is said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from matrix.report.changes import Change
from matrix.report.model import Cell, Report
from matrix.report.states import BY_ID, RANK, State
from matrix.report.table import by_kind_and_way, headline, label

LIMIT = 2**20 - 1  # bytes that a workflow's summary may have
_SHARE = {"changes": 0.3, "failures": 0.6}  # of the limit: the parts that grow with what is wrong
_REASON = 300


def _text(text: str, most: int = _REASON) -> str:
    """`text` on one line, cut where it is long, with nothing in it that Markdown or HTML would take for its own."""
    line = " ".join(text.split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#@!$])", r"\\\1", line)


def _code(text: str) -> str:
    """`text` as code: its own backticks and what ends a table's cell are replaced."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "\\|") + "`"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(*names: str) -> list[str]:
    return [_row(*names), _row(*["---"] * len(names))]


def _limited(lines: Iterator[str], most: int, left: str, total: int) -> list[str]:
    """As many `lines` as fit into `most` bytes, then how many of `total` are left out."""
    kept: list[str] = []
    size = 0
    for line in lines:
        size += len(line.encode()) + 1
        if size > most:
            kept += ["", f"**{total - len(kept):,} more {left} are left out here: reports/report.json has them all.**"]
            break
        kept.append(line)
    return kept


def _failures(report: Report) -> list[str]:
    bad = report.bad()
    if not bad:
        return []
    lines = (
        _row(f"{cell.state.sign} {cell.state.title}", _code(cell.name), _text(cell.reason), _code(cell.command))
        for cell in bad
    )
    return [
        "",
        f"## What is bad ({len(bad):,})",
        "",
        *_head("outcome", "cell", "reason", "again"),
        *_limited(lines, int(LIMIT * _SHARE["failures"]), "bad cells", len(bad)),
    ]


def _named(state: str) -> str:
    return BY_ID[state].title if state in BY_ID else "not there"


def _change(change: Change) -> str:
    was = f"{_named(change.before)} → {_named(change.after)}"
    return _row(change.what, _code(change.name), was, _text(change.reason))


def _changes(report: Report) -> list[str]:
    if not report.against:
        return []
    counts = Counter(change.what for change in report.changes)
    summed = ", ".join(f"{count:,} × {what}" for what, count in counts.items()) or "nothing"
    lines = (_change(change) for change in report.changes)
    table = _limited(lines, int(LIMIT * _SHARE["changes"]), "changes", len(report.changes))
    head = _head("what", "cell", "outcome", "reason now") if report.changes else []
    return ["", f"## Changed since the report of {_text(report.against)}", "", summed, "", *head, *table]


def _summary(report: Report) -> list[str]:
    ways = report.ways
    counts = by_kind_and_way(report)
    if not counts:
        return []
    lines = ["", "## Formats and ways of reading them", "", *_head("written", *ways)]
    for kind in report.kinds:
        lines.append(_row(_text(kind.title), *(_counted(counts[kind.id, way]) for way in ways)))
    return lines


def _counted(counts: Counter[str]) -> str:
    shown = [f"{BY_ID[name].sign} {counts[name]:,}" for name in reversed(RANK) if counts[name]]
    return _text(", ".join(shown)) or " "


def _causes(report: Report) -> list[str]:
    if not report.causes:
        return []
    counts = Counter(cell.entry for cell in report.cells)
    lines = ["", "## Known causes", "", *_head("cells", "cause", "what to do instead", "upstream")]
    for cause in sorted(report.causes, key=lambda cause: -counts[cause.id]):
        link = f"<{cause.link}>" if re.fullmatch(r"https?://[^\s<>|]+", cause.link) else _text(cause.link)
        lines.append(_row(f"{counts[cause.id]:,}", _text(cause.cause, 1000), _text(cause.instead, 1000), link))
    return lines


def _grid(cells: Sequence[Cell], consumers: Sequence[str]) -> Iterator[str]:
    """A row a producer, a sign a consumer: the worst where several cells are in one place."""
    worst: dict[tuple[str, str], State] = {}
    for cell in cells:
        place = (cell.producer, cell.environment)
        if place not in worst or RANK[cell.state.id] < RANK[worst[place].id]:
            worst[place] = cell.state
    yield from _head("written ↓ read →", *(label(name) for name in consumers))
    for producer in dict.fromkeys(cell.producer for cell in cells):
        states = [worst.get((producer, consumer)) for consumer in consumers]
        yield _row(f"**{label(producer)}**", *(_text(state.sign) if state else " " for state in states))


def _grids(report: Report) -> Iterator[list[str]]:
    """A part for each kind and way, folded."""
    of: dict[tuple[str, str], list[Cell]] = {}
    for cell in report.cells:
        if cell.role == "consume":
            of.setdefault((cell.kind, cell.way), []).append(cell)
    titles = {kind.id: kind.title for kind in report.kinds}
    for (kind, way), cells in of.items():
        readers = {cell.environment for cell in cells}
        consumers = [name for name in report.consumers if name in readers]
        summary = f"<details><summary>{_text(titles.get(kind, kind))}, {_text(way)}</summary>"
        yield ["", summary, "", *_grid(cells, consumers), "", "</details>"]


def markdown(report: Report) -> str:
    """The whole report; less than 1 MiB of UTF-8 whatever is in it."""
    lines = ["# Carryover", "", f"**{_text(headline(report))}**", ""]
    lines.append(
        "  ".join(f"{_text(BY_ID[name].sign)} {BY_ID[name].title}: {n:,}." for name, n in report.counts().items())
    )
    if report.selection:
        lines += ["", f"Selected: {_text(', '.join(report.selection), 2000)}. The rest was not planned."]
    lines += [f"\n> {_text(note)}" for note in report.notes[:20]]
    lines += [*_changes(report), *_failures(report)]
    parts = [_summary(report), _causes(report), *_grids(report)]
    size = len("\n".join(lines).encode())
    for done, part in enumerate(parts):
        size += len("\n".join(part).encode()) + 1
        if size > LIMIT - 200:
            lines += ["", f"**{len(parts) - done} tables more are left out here: reports/index.html has them all.**"]
            break
        lines += part
    return "\n".join(lines) + "\n"
