"""The report for the page: by columns, each string once, so that 20,000 cells are a small file and load at once."""

from __future__ import annotations

from typing import Any

import msgspec

from matrix.report.model import Report
from matrix.report.states import STATES
from matrix.table import short

_TEXTS = (
    *("role", "environment", "cell", "kind", "producer", "way", "reason", "entry", "bundle", "session"),
    *("text", "artifact", "sha256", "log", "run", "started"),
)


class _Column:
    """Values as indices into the distinct ones."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.indices: list[int] = []
        self._known: dict[object, int] = {}

    def add(self, value: Any, key: object) -> None:
        if key not in self._known:
            self._known[key] = len(self.values)
            self.values.append(value)
        self.indices.append(self._known[key])

    def packed(self) -> dict[str, Any]:
        """A column with one value is that value alone: {"values": [v]}."""
        return {"values": self.values, **({"at": self.indices} if len(self.values) > 1 else {})}


def pack(report: Report) -> dict[str, Any]:
    """What the page's script reads: everything but the cells as it is, and the cells by columns."""
    columns = {name: _Column() for name in (*_TEXTS, "state", "figures", "seconds", "context")}
    for cell in report.cells:
        for name in _TEXTS:
            value = getattr(cell, name)
            columns[name].add(value, value)
        columns["state"].add(cell.state.id, cell.state.id)
        figures = list(cell.figures.items())
        columns["figures"].add(figures, tuple(figures))
        seconds = round(cell.seconds, 1)
        columns["seconds"].add(seconds, seconds)
        columns["context"].add(cell.context, cell.context)
    rest = {name: getattr(report, name) for name in report.__struct_fields__ if name != "cells"}
    packed = {name: column.packed() for name, column in columns.items()}
    return {
        **rest,
        "states": STATES,
        "count": len(report.cells),
        "columns": packed,
        "short": [short(cell) for cell in columns["cell"].values],
        "changes": [msgspec.structs.astuple(change) for change in report.changes],
    }
