"""What a user sees in the terminal: cells as they finish, and the table and the verdict at the end."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from matrix.ledger import Judged
from matrix.results import Outcome, Record
from matrix.run import Progress

_COLOURS = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.CRASHED: "bold red",
    Outcome.TIMED_OUT: "bold red",
    Outcome.FIXED: "bold magenta",
    Outcome.KNOWN: "yellow",
    Outcome.UNSUPPORTED: "yellow",
    Outcome.NOT_RUN: "yellow",
}


def console() -> Console:
    """The console that everything is told on; no colours where it is no terminal or NO_COLOR is set."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def short(cell: str) -> str:
    """A cell's id without folders and `test_`, such as `load::loaded_models…[committed]`: -k takes any part of it."""
    file, _, function = cell.rpartition("/")[2].partition("::")
    return f"{file.removeprefix('test_').removesuffix('.py')}::{function.removeprefix('test_')}"


def repro_command(record: Record) -> str:
    """The command that runs this cell again, to paste into a shell."""
    return f"nox -s repro -- {shlex.quote(f'{record.environment}/{short(record.cell)}')}"


def bad_lines(judged: Judged) -> str:
    """What is said of a bad cell of the matrix: its outcome, the command that runs it again, and the reason."""
    outcome, record = judged.outcome, judged.record
    return f"{outcome.sign} {outcome.value}: {repro_command(record)}\n    {record.reason}"


def outcome_text(record: Record) -> str:
    """Sign and outcome in their colour."""
    return f"[{_COLOURS[record.outcome]}]{record.outcome.sign} {record.outcome.value}[/]"


class Terminal(Progress):
    """Progress on a terminal: a line a finished cell, and the running one in a status line while it runs."""

    def __init__(self, environment: str) -> None:
        self.console = console()
        self.environment = environment
        self.total = self.done = 0
        self.status: Status | None = None

    def say(self, text: str) -> None:
        """One line about what is going on."""
        self._stop()
        self.console.print(f"{self.environment}: {escape(text)}")
        self._show(text.partition(" (")[0])

    def planned(self, cells: Sequence[str]) -> None:
        """The cells that are about to run."""
        self.total = len(cells)
        self._show("starting")

    def started(self, cell: str) -> None:
        """A cell begins."""
        self._show(short(cell))

    def recorded(self, record: Record) -> None:
        """A cell has its record."""
        self._stop()
        self.done += 1
        if self.console.is_terminal and record.outcome is Outcome.PASSED:
            return  # the table at the end has it
        reason = f"  {escape(record.reason)}" if record.reason else ""
        text = f"{self.environment} [{self.done}/{self.total}] {outcome_text(record)}  {escape(short(record.cell))}"
        self.console.print(f"{text}  [dim]{record.seconds:.1f} s[/]{reason}")

    def _show(self, text: str) -> None:
        if self.console.is_terminal:
            self._stop()
            self.status = self.console.status(f"{self.environment} [{self.done}/{self.total}] {escape(text)}")
            self.status.start()

    def _stop(self) -> None:
        if self.status:
            self.status.stop()
            self.status = None

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._stop()


def table(records: Sequence[Record]) -> Table:
    """The records of one run as a table: outcome, cell, what was measured, seconds."""
    first = records[0]
    title = f"{first.environment} on {first.engine}" + (f", {first.base}" if first.base else "")
    shown = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    shown.add_column("outcome", no_wrap=True)
    shown.add_column("cell", overflow="fold")
    shown.add_column("measured, or why")
    shown.add_column("s", justify="right")
    for record in records:
        seen = ", ".join(
            f"{name} {value}" for name, value in record.details.items() if name not in ("text", "artifact")
        )
        where = "on the CPU" if on_the_wrong_device(record) else ""
        text = "; ".join(part for part in (record.reason, seen, where) if part)
        shown.add_row(outcome_text(record), escape(short(record.cell)), escape(text), f"{record.seconds:.1f}")
    return shown


def counted(judged: Sequence[Judged]) -> str:
    """`480 passed, 12 known`: every outcome that there is, counted."""
    counts = Counter(one.outcome for one in judged)
    return ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if outcome in counts) or "no cell ran"


def matrix_table(rows: Sequence[tuple[str, str, Counter[str]]]) -> Table:
    """How many cells of each kind and way ended how."""
    shown = Table(show_edge=False, pad_edge=False)
    outcomes = [outcome for outcome in Outcome if any(counts[outcome.value] for _, _, counts in rows)]
    shown.add_column("kind")
    shown.add_column("way")
    for outcome in outcomes:
        shown.add_column(f"{outcome.sign} {outcome.value}", justify="right", style=_COLOURS[outcome])
    for kind, way, counts in rows:
        shown.add_row(kind, way, *(str(counts[outcome.value] or "") for outcome in outcomes))
    return shown


def texts(records: Sequence[Record]) -> list[str]:
    """What cells have to show beyond a figure, such as what was loaded into what; the same text once."""
    shown: dict[str, str] = {}
    for record in records:
        if "text" in record.details:
            shown.setdefault(str(record.details["text"]), short(record.cell))
    return [f"{cell}\n{textwrap.indent(text, '  ')}" for text, cell in shown.items()]


def on_the_wrong_device(record: Record) -> bool:
    """Whether a cell of a GPU environment ran, but on the CPU: that says nothing about the GPU."""
    return record.environment.startswith("gpu") and record.device == "cpu" and record.outcome is not Outcome.NOT_RUN


def verdict(records: Sequence[Record]) -> str:
    """`12 passed, 1 failed`: every outcome that there is, counted."""
    counts = Counter(
        record.outcome.value + (" on the CPU" if on_the_wrong_device(record) else "") for record in records
    )
    order = [outcome.value for outcome in Outcome]
    named = sorted(counts, key=lambda name: order.index(name.removesuffix(" on the CPU")))
    return ", ".join(f"{counts[name]} {name}" for name in named) or "no cell ran"
