"""Tables for people, and a line that moves while something takes long."""

from __future__ import annotations

import sys
import time
from typing import Iterable, Iterator, Sequence, TypeVar

from .foreign_text import printable, shorten

_NARROWEST = 12
# One name that is very long does not move what stands beside all the others.
_WIDEST = 400
_Item = TypeVar("_Item")


def align(lines: Sequence[Sequence[str]], width: int | None = None) -> str:
    """`lines` of cells as text, every column as wide as its widest cell, shortened in the middle to fit `width`.

    Without a width nothing is shortened, and a cell that is very long widens its line alone.
    """
    if not lines:
        return ""
    lines = printable_lines(lines)
    # A column of numbers has few different ones, so it is quicker to look at each of those once.
    widths = [max(map(len, set(column))) for column in zip(*lines)]
    if width is None:
        widths = [min(widest, _WIDEST) for widest in widths]
    if width is not None:
        # The widest column gives way first, until all fit or none is worth shortening.
        excess = sum(widths) + 2 * (len(widths) - 1) - width
        while excess > 0 and max(widths) > _NARROWEST:
            widest = widths.index(max(widths))
            others = max((other for place, other in enumerate(widths) if place != widest), default=0)
            less = min(excess, max(widths[widest] - max(others, _NARROWEST), 1))
            widths[widest] -= less
            excess -= less
        lines = [[shorten(cell, limit) for cell, limit in zip(line, widths)] for line in lines]
    # A listing of thousands of lines is made here, and one format for all of them is the quickest.
    form = "  ".join("%-{}s".format(limit) for limit in widths)
    return "\n".join([(form % tuple(line)).rstrip() for line in lines])


def printable_lines(lines: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """`lines` of cells as they may be shown: a tensor's name may hold anything."""
    if all("".join(line).isprintable() for line in lines):
        return lines
    return [[printable(cell) for cell in line] for line in lines]


def terminal_width() -> int | None:
    """The width of the terminal that standard output is, None if it is none (a file gets everything)."""
    if not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def human(size: int) -> str:
    """`size` bytes as people say it."""
    amount, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"


class Meter:
    """A line on a terminal's standard error that says how far something is, once a second has gone by."""

    def __init__(self, total: int, doing: str) -> None:
        self._total = total
        self._doing = doing
        self._done = 0
        self._begun = self._last = time.monotonic()
        self._shown = False

    def step(self, what: str = "") -> None:
        """One more of the total, whatever it is; the last one clears the line."""
        self._done += 1
        now = time.monotonic()
        if self._done == self._total and self._shown:
            sys.stderr.write("\r\033[K")
        elif now - self._begun > 1 and now - self._last > 0.1 and sys.stderr.isatty():
            sys.stderr.write(f"\r{self._doing}: {self._done} of {self._total}")
            sys.stderr.flush()
            self._last, self._shown = now, True


def progress(items: Iterable[_Item], total: int, doing: str) -> Iterator[_Item]:
    """`items`, with a `Meter` that counts them."""
    meter = Meter(total, doing)
    for item in items:
        meter.step()
        yield item
