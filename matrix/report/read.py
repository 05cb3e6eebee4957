"""Reads what a report is made from: the plan, the records, an older report, the steps per second."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from matrix import pairs
from matrix.errors import NotAReport, NothingToReport
from matrix.pairs import MatrixPlan
from matrix.report.model import VERSION, Report, Steps
from matrix.results import Begun, Record
from matrix.untrusted import decode_json

T = TypeVar("T", MatrixPlan, Report)
Line = TypeVar("Line", Record, Begun)


def read_plan(path: Path) -> MatrixPlan | None:
    """The plan at `path`, None where there is none. Raises NotAReport."""
    return _versioned(path, MatrixPlan, pairs.VERSION, "run nox -s matrix again") if path.exists() else None


def read_report(path: Path) -> Report:
    """The report.json at `path`, or in that folder. Raises NothingToReport or NotAReport."""
    file = path / "report.json" if path.is_dir() else path
    if not file.is_file():
        raise NothingToReport(f"{file} is not there: --against takes a report.json, or the folder that has one")
    report = _versioned(file, Report, VERSION, "compare with a report that this version has written")
    for cell in report.cells:
        try:
            cell.state  # noqa: B018
        except KeyError:
            raise NotAReport(f"{file}: {cell.name} has an outcome that there is not: {cell.outcome!r}") from None
    return report


def _versioned(path: Path, kind: type[T], expected: int, instead: str) -> T:
    data = path.read_bytes()
    try:
        version = decode_json(data, dict[str, Any]).get("version")
    except msgspec.DecodeError as error:
        raise NotAReport(f"{path} is cut or not of this project ({error}): {instead}") from error
    if version != expected:
        raise NotAReport(f"{path} has version {version!r}, this is for version {expected}: {instead}")
    try:
        return decode_json(data, kind)
    except msgspec.DecodeError as error:
        raise NotAReport(f"{path}: {error}: {instead}") from error


def read_lines(path: Path, shown: str, kind: type[Line]) -> tuple[list[Line], list[str]]:
    """The records at `path` in order, and a note on each line that is none: a run that was cut leaves half a line."""
    with contextlib.suppress(FileNotFoundError):
        lines = path.read_bytes().split(b"\n")
        records: list[Line] = []
        notes = []
        for number, line in enumerate(lines, 1):
            try:
                records += [decode_json(line, kind)] if line.strip() else []
            except msgspec.DecodeError as error:
                last = number == len(lines)
                why = "the run was cut while it was written" if last else f"no record ({error})"
                notes.append(f"line {number} of {shown} is left out: {why}")
        return records, notes
    return [], []


def read_steps(path: Path) -> Steps | None:
    """Steps per second by mode and release, where the bench has measured them. Raises NotAReport."""
    with contextlib.suppress(FileNotFoundError):
        try:
            return msgspec.json.decode(path.read_bytes(), type=Steps)
        except msgspec.DecodeError as error:
            raise NotAReport(
                f'{path} is cut or of another version ({error}): run nox -s "bench(steps)" again'
            ) from error
    return None
