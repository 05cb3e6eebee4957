"""`nox -s report`: the files that it writes, and what it ends with when one is cut, missing or of another version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from matrix import cli
from matrix.errors import NotAReport, NothingToReport
from matrix.results import NO_RESULT, Begun, Outcome
from tests.page import sample

CHECKOUT = Path(__file__).resolve().parents[3]
WRITTEN = {"index.html", "report.md", "report.json", "junit.xml"}
LEARNS = "tests/environment/test_training.py::test_learns[function]"


@pytest.fixture
def checkout(tmp_path):
    """A checkout in which a small matrix has run and passed."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "matrix").mkdir()
    (tmp_path / "reports" / "matrix").mkdir(parents=True)
    for name in ("environments.toml", "tests/cells.toml", "matrix/ledger.toml"):
        shutil.copy(CHECKOUT / name, tmp_path / name)
    plan = sample.plan()
    (tmp_path / "reports/matrix/plan.json").write_bytes(msgspec.json.encode(plan))
    write(tmp_path, [sample.record(one.environment, one.cell) for one in plan.cells])
    return tmp_path


def write(checkout, records, name="matrix/results.jsonl", end="\n"):
    lines = [msgspec.json.encode(record).decode() for record in records]
    (checkout / "reports" / name).write_text("\n".join(lines) + end)


def report(checkout, *arguments):
    return cli.main(["--root", str(checkout), "report", *map(str, arguments)])


def made(checkout):
    return json.loads((checkout / "reports/report.json").read_text())


def test_all_passed_is_0_and_every_file_is_written(checkout):
    assert report(checkout) == 0
    assert {path.name for path in (checkout / "reports").iterdir() if path.is_file()} == WRITTEN
    assert made(checkout)["version"] == 1


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome.bad], ids=lambda outcome: outcome.value)
def test_one_bad_cell_is_1(checkout, outcome):
    first, *rest = [sample.record(one.environment, one.cell) for one in sample.plan().cells]
    write(checkout, [msgspec.structs.replace(first, outcome=outcome), *rest])
    assert report(checkout) == 1


def test_a_bad_cell_of_an_environment_is_1_too_and_one_that_is_gone_is_not_shown(checkout):
    write(checkout, [sample.record("cpu-tf2.4", LEARNS, Outcome.FAILED)], "results.jsonl")
    assert report(checkout) == 1
    gone = sample.record("cpu-tf2.4", "tests/environment/test_training.py::test_that_was_renamed", Outcome.FAILED)
    write(checkout, [gone], "results.jsonl")
    assert report(checkout) == 0


def test_the_committed_page_is_made_of_the_whole_matrix(checkout, capsys):
    """Of a part of it a page would be made that leaves out all that was not asked for."""
    page = checkout / "docs/compatibility.md"
    page.parent.mkdir()
    assert report(checkout, "--docs") == 0
    whole = page.read_bytes()

    plan = sample.plan()
    writing = [one for one in plan.cells if one.role == "produce"]
    for part in (
        sample.plan(selection=["kind=saved-model"]),
        msgspec.structs.replace(plan, cells=writing),  # a run that was ended before anything was read
        msgspec.structs.replace(plan, cells=[*plan.cells, msgspec.structs.replace(plan.cells[-1], cell="another")]),
    ):
        (checkout / "reports/matrix/plan.json").write_bytes(msgspec.json.encode(part))
        capsys.readouterr()
        assert report(checkout, "--docs") == NothingToReport.status
        (line,) = capsys.readouterr().err.splitlines()
        assert "the whole matrix" in line
        assert page.read_bytes() == whole


def test_environments_alone_are_a_report(checkout):
    shutil.rmtree(checkout / "reports/matrix")
    write(checkout, [sample.record("cpu-tf2.4", LEARNS)], "results.jsonl")
    assert report(checkout) == 0
    assert len(made(checkout)["cells"]) == 1


def test_a_run_that_was_cut_is_told_and_its_cell_has_no_record(checkout, capsys):
    records = [sample.record(one.environment, one.cell) for one in sample.plan().cells]
    write(checkout, records)
    path = checkout / "reports/matrix/results.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    assert report(checkout) == 1
    told = capsys.readouterr().out
    assert f"line {len(records)} of reports/matrix/results.jsonl is left out: the run was cut" in told
    assert "no record" in told and "nox -s matrix -- --only producer=" in told
    assert (checkout / "reports/report.md").read_text().count("the run was cut while it was written") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plan.json", '{"version": 2, "cells": []}'),
        ("plan.json", '{"version": 1, "cells"'),
        ("plan.json", '{"version": 1, "cells": []}'),
        ("plan.json", "[]"),
    ],
    ids=["another version", "cut", "without its fields", "something else"],
)
def test_a_plan_that_is_none_is_said_in_a_line_and_nothing_is_overwritten(checkout, capsys, name, content):
    assert report(checkout) == 0
    before = (checkout / "reports/report.json").read_bytes()
    (checkout / "reports/matrix" / name).write_text(content)
    capsys.readouterr()
    assert report(checkout) == NotAReport.status
    assert (checkout / "reports/report.json").read_bytes() == before
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line and "run nox -s matrix again" in line


@pytest.mark.parametrize("what", ["nothing", "records without a plan"])
def test_nothing_to_report_is_said_in_a_line(checkout, capsys, what):
    shutil.rmtree(checkout / "reports")
    if what != "nothing":
        (checkout / "reports/matrix").mkdir(parents=True)
        write(checkout, [sample.record("cpu-tf2.4", "a")])
    assert report(checkout) == NothingToReport.status
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (checkout / "reports/report.json").exists()


def test_against_an_older_report_says_what_is_new(checkout, capsys):
    assert report(checkout) == 0
    old = checkout / "old"
    old.mkdir()
    shutil.copy(checkout / "reports/report.json", old)
    records = [sample.record(one.environment, one.cell) for one in sample.plan().cells]
    records[5] = msgspec.structs.replace(records[5], outcome=Outcome.FAILED, reason="ValueError: new")
    write(checkout, records)
    capsys.readouterr()
    assert report(checkout, "--against", old) == 1
    (change,) = made(checkout)["changes"]
    assert (change["what"], change["before"], change["after"]) == ("new failure", "passed", "failed")
    for told in (capsys.readouterr().out, (checkout / "reports/report.md").read_text()):
        assert "1 × new failure" in told
        assert "ValueError: new" in told


def test_against_its_own_last_report_compares_before_it_writes(checkout, capsys):
    assert report(checkout) == 0
    write(checkout, [])
    assert report(checkout, "--against", checkout / "reports/report.json") == 1
    assert len(made(checkout)["changes"]) == len(sample.plan().cells)


@pytest.mark.parametrize("old", ["not there", "another version", "cut"])
def test_an_older_report_that_cannot_be_read_is_said_and_nothing_is_written(checkout, capsys, old):
    path = checkout / "old.json"
    if old != "not there":
        path.write_text('{"version": 99}' if old == "another version" else '{"version": 1, "cel')
    assert report(checkout, "--against", path) == (NothingToReport if old == "not there" else NotAReport).status
    (line,) = capsys.readouterr().err.splitlines()
    assert "old.json" in line
    assert not (checkout / "reports/report.json").exists()


def test_an_environment_that_could_not_be_made_is_bad_and_a_missing_gpu_is_not(checkout):
    write(checkout, [sample.record("gpu-tf2.4", LEARNS, Outcome.NOT_RUN, "no NVIDIA GPU here")], "results.jsonl")
    assert report(checkout) == 0
    hindered = sample.record("cpu-tf2.4", LEARNS, Outcome.NOT_RUN, "the lock does not match", how=NO_RESULT)
    write(checkout, [hindered], "results.jsonl")
    assert report(checkout) == 1
    assert "could not run" in (checkout / "reports/report.md").read_text()
    assert "<error" in (checkout / "reports/junit.xml").read_text()


TRAINS = "tests/environment/test_training.py::test_learns[eager]"


def begun(run, *cells, environment="cpu-tf2.4", started="2026-11-23T00:00:00+00:00"):
    return Begun(run, environment, started, list(cells))


def lost(checkout):
    """What the report has no record of."""
    report(checkout)
    return [(cell["environment"], cell["cell"]) for cell in made(checkout)["cells"] if cell["outcome"] == "no record"]


def test_a_cell_that_its_last_run_did_not_get_to_has_no_record_whatever_was_before(checkout):
    write(checkout, [sample.record("cpu-tf2.4", LEARNS)], "results.jsonl")
    assert lost(checkout) == [], "an older checkout says nothing of its runs"
    write(checkout, [begun("run-1", LEARNS)], "runs.jsonl")
    assert lost(checkout) == []
    write(checkout, [begun("run-1", LEARNS), begun("run-2", LEARNS, TRAINS)], "runs.jsonl")
    assert lost(checkout) == [("cpu-tf2.4", LEARNS), ("cpu-tf2.4", TRAINS)]
    assert report(checkout) == 1
    assert "nox -s 'cpu-tf2(2.4)'" in (checkout / "reports/report.md").read_text()
    later = msgspec.structs.replace(sample.record("cpu-tf2.4", LEARNS), started="2026-11-24T00:00:00+00:00", run="")
    write(checkout, [later], "results.jsonl")
    assert lost(checkout) == [("cpu-tf2.4", TRAINS)], "what was taken in from elsewhere since is a record"


def test_cells_that_were_not_selected_are_not_lost(checkout):
    write(checkout, [sample.record("cpu-tf2.4", LEARNS), sample.record("cpu-tf2.4", TRAINS)], "results.jsonl")
    write(checkout, [begun("run-0", LEARNS, TRAINS), begun("run-1", TRAINS, LEARNS)], "runs.jsonl")
    assert lost(checkout) == []
    write(checkout, [begun("run-1", LEARNS, TRAINS), begun("run-2", TRAINS)], "runs.jsonl")
    assert lost(checkout) == [("cpu-tf2.4", TRAINS)]


def test_a_run_that_was_cut_before_its_first_record_is_a_report(checkout):
    shutil.rmtree(checkout / "reports/matrix")
    write(checkout, [begun("run-1", LEARNS)], "runs.jsonl", end="\n{")
    assert lost(checkout) == [("cpu-tf2.4", LEARNS)]
    assert "reports/runs.jsonl is left out" in made(checkout)["notes"][0]


def test_environments_and_cells_that_are_gone_are_neither_shown_nor_missed(checkout):
    write(checkout, [sample.record("cpu-tf0.1", LEARNS, Outcome.FAILED)], "results.jsonl")
    gone = "tests/environment/test_training.py::test_that_was_renamed"
    write(checkout, [begun("run-2", LEARNS, environment="cpu-tf0.1"), begun("run-2", gone)], "runs.jsonl")
    assert report(checkout) == 0
    assert all(cell["role"] != "check" for cell in made(checkout)["cells"])
