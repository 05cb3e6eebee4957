"""The report as JUnit's XML: only what Ant's schema and Jenkins' have in common, so that any reader takes it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from matrix.report.model import Cell, Report

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold
_ERRORS = {"crashed", "timed-out", "no-record", "hindered"}  # not an assertion that failed: something broke


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


def _suites(report: Report) -> dict[str, list[Cell]]:
    """The cells by environment: the matrix' own first, then the environments' own checks."""
    found: dict[str, list[Cell]] = {}
    for cell in report.cells:
        part = "environment" if cell.role == "check" else "matrix"
        found.setdefault(f"{part}.{cell.environment}", []).append(cell)
    return found


def _add_case(suite: ET.Element, cell: Cell) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        name=_legal(cell.name.partition("/")[2]),
        classname=_legal(suite.get("name", "")),
        time=f"{cell.seconds:.3f}",
    )
    state = cell.state
    why = _legal(f"{state.title}: {cell.reason}" if cell.reason else state.title)
    if state.bad:
        found = ET.SubElement(case, "error" if state.id in _ERRORS else "failure", message=why, type=state.title)
        found.text = _legal(f"{why}\n{cell.command}\nlog: {cell.log or 'none'}\n")
    elif state.id != "passed":
        ET.SubElement(case, "skipped", message=why)


def _add_suite(root: ET.Element, index: int, name: str, cells: Sequence[Cell], report: Report) -> None:
    states = [cell.state for cell in cells]
    started = min((cell.started for cell in cells if cell.started), default=report.made)
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_legal(name),
        package="carryover",
        id=str(index),
        timestamp=started[:19],
        hostname="localhost",
        tests=str(len(cells)),
        failures=str(sum(state.bad and state.id not in _ERRORS for state in states)),
        errors=str(sum(state.id in _ERRORS for state in states)),
        skipped=str(sum(not state.bad and state.id != "passed" for state in states)),
        time=f"{sum(cell.seconds for cell in cells):.3f}",
    )
    ET.SubElement(suite, "properties")
    for cell in cells:
        _add_case(suite, cell)
    ET.SubElement(suite, "system-out")
    ET.SubElement(suite, "system-err")


def junit(report: Report) -> bytes:
    """One suite an environment, one case a cell. What is known, unsupported or not run is skipped, never passed."""
    root = ET.Element("testsuites")
    for index, (name, cells) in enumerate(_suites(report).items()):
        _add_suite(root, index, name, cells, report)
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()
