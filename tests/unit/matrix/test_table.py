"""What the terminal shows: every row and column of both tables, and the cells as they finish."""

from __future__ import annotations

import io
from collections import Counter

from rich.console import Console

from matrix import table
from matrix.results import Outcome, Record


def record(cell="a/test_b.py::test_c[x]", outcome=Outcome.PASSED, reason="", seconds=0.04, **changed):
    details = changed.pop("details", {})
    named = {"environment": "cpu-tf2.21", "device": "cpu", "engine": "docker 29", "base": "python:3.13", **changed}
    empty = {"run": "r", "isolation": "", "image": "", "image_id": "", "started": "", "log": ""}
    return Record(
        cell=cell,
        outcome=outcome,
        reason=reason,
        seconds=seconds,
        versions={},
        host={},
        details=details,
        **empty,
        **named,
    )


def shown(what, width=160):
    """What a terminal without colours shows of `what`, by lines, each as the texts between its rules."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(what)
    lines = console.file.getvalue().splitlines()
    return [[text.strip() for text in line.replace("┃", "│").split("│")] for line in lines if "━" not in line]


def test_the_table_of_a_run_has_a_line_for_each_cell_and_all_that_is_known_of_it():
    measured = {"ulps": 7.0, "bound": 18, "text": "a -> b", "artifact": "saved"}
    rows = [
        record(details=measured),
        record("a/test_b.py::test_d", Outcome.FAILED, "ValueError: [bold] is no markup", 12.34, details={"ulps": 19}),
        record("a/test_b.py::test_e", Outcome.NOT_RUN, "there is no GPU", 0),
    ]
    assert shown(table.table(rows)) == [
        ["cpu-tf2.21 on docker 29, python:3.13"],
        ["outcome", "cell", "measured, or why", "s"],
        ["✓ passed", "b::c[x]", "ulps 7.0, bound 18", "0.0"],
        ["✗ failed", "b::d", "ValueError: [bold] is no markup; ulps 19", "12.3"],
        ["– not run", "b::e", "there is no GPU", "0.0"],
    ]


def test_a_long_id_is_folded_and_whole():
    cell = f"a/test_b.py::test_{'long_' * 30}end"
    folded = "".join(line[1] for line in shown(table.table([record(cell)]), 100)[2:])
    assert folded == table.short(cell)


def test_a_gpu_cell_that_ran_on_the_cpu_says_so():
    rows = [record(environment="gpu-tf2.21", base=""), record("a.py::test_f", environment="gpu-tf2.21", device="gpu")]
    lines = shown(table.table(rows))
    assert lines[0] == ["gpu-tf2.21 on docker 29"]
    assert [line[2] for line in lines[2:]] == ["on the CPU", ""]
    assert table.verdict(rows) == "1 passed on the CPU, 1 passed"


def test_the_table_of_the_matrix_counts_every_outcome_that_there_is():
    rows = [
        ("keras-h5", "native", Counter({"passed": 197, "known": 332})),
        ("keras-h5", "carryover", Counter({"passed": 529})),
        ("saver-v1", "native", Counter({"failed": 1})),
    ]
    assert shown(table.matrix_table(rows)) == [
        ["kind", "way", "✓ passed", "✗ failed", "k known"],
        ["keras-h5", "native", "197", "", "332"],
        ["keras-h5", "carryover", "529", "", ""],
        ["saver-v1", "native", "", "1", ""],
    ]


def test_cells_that_finish_are_counted_and_on_a_terminal_only_those_that_did_not_pass():
    for terminal, lines in (
        (False, ["[1/2] ✓ passed  b::c[x]  0.0 s", "[2/2] ✗ failed  b::d  0.0 s  why"]),
        (True, None),
    ):
        progress = table.Terminal("cpu-tf2.21")
        progress.console = Console(file=io.StringIO(), width=160, highlight=False, force_terminal=terminal)
        progress.planned(["c", "d"])
        progress.recorded(record())
        progress.started("a/test_b.py::test_d")
        assert (progress.status is not None) == terminal
        progress.recorded(record("a/test_b.py::test_d", Outcome.FAILED, "why"))
        progress.close()
        assert progress.status is None
        text = progress.console.file.getvalue()
        if lines:
            assert text.splitlines() == [f"cpu-tf2.21 {line}" for line in lines]
        else:
            assert "failed" in text and "passed" not in text
