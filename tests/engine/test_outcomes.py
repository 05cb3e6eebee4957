"""What becomes of a cell, whatever it does, is in its record; and no cell costs another one its result."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.engine.planted import ID, PYTHON, Planted

CELLS = """
import ctypes, os, signal, time
import pytest

@pytest.fixture
def broken():
    raise OSError("the set-up broke")

@pytest.fixture
def breaks_after():
    yield
    raise OSError("the tear-down broke")

def test_passes_first(): pass
def test_is_killed(): os.kill(os.getpid(), signal.SIGKILL)
def test_passes_after_a_kill(record_property): record_property("answer", 42)
def test_segfaults(): ctypes.string_at(0)
def test_leaves_with_status_0(): os._exit(0)
def test_hangs(): time.sleep(600)
def test_hangs_and_holds_on():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass
def test_fails(): assert 1 + 1 == 3, "the sum is wrong"
def test_is_skipped(): pytest.skip("there is no such file")
def test_has_no_such_feature(): pytest.skip("unsupported: no eager execution before 1.7")
def test_cannot_be_set_up(broken): pass
def test_cannot_be_torn_down(breaks_after): pass
def test_says_odd_things(record_property):
    record_property("nan", float("nan"))
    record_property("list", [1, 2])
    record_property("name", "\\udcff")
    assert False, "a name that is not UTF-8: \\udcff"
def test_passes_last(): pass
"""

PASS = {"test_passes_first", "test_passes_after_a_kill", "test_passes_last"}


def run_within_seconds(planted, *passing):
    """(end of a run, its limit of a cell): the shortest in which those that are `passing` are not timed out.

    The limit holds for the start of a container as well, which takes a second, or five where others are at work.
    """
    for limit in (2, 6, 18):
        shutil.rmtree(planted.root / "reports", ignore_errors=True)
        done = planted.run(CARRYOVER_CELL_SECONDS=str(limit))
        if not {name for name in passing if planted.outcomes().get(name) == "timed out"}:
            break
    return done, limit


@pytest.fixture(scope="module")
def mixed(engine, tmp_path_factory, locks, venvs):
    """(project, end of the run, its limit) of cells that do everything that cells should not."""
    planted = Planted(tmp_path_factory.mktemp("mixed") / "project", engine).plant(locks, venvs)
    planted.cells(CELLS, "test_cells.py::test_was_planned_and_never_written")
    planted.cells("import no_such_module\n\ndef test_of_a_broken_module(): pass\n", module="test_broken")
    timed_out = {"test_hangs", "test_hangs_and_holds_on"}
    return planted, *run_within_seconds(planted, *(set(re.findall(r"def (test_\w+)", CELLS)) - timed_out))


def test_every_planned_cell_has_one_record(mixed):
    planted, done, _ = mixed
    lines = (planted.root / "reports/results.jsonl").read_text().splitlines()
    assert len(planted.records()) == len(lines) == CELLS.count("def test_") + 2
    assert f"of {len(lines)} planned" in done.out


def test_status_says_that_some_cells_are_bad(mixed):
    _, done, _ = mixed
    assert (done.status, done.err) == (1, "")


def test_cells_that_are_well_pass_among_those_that_are_not(mixed):
    planted, *_ = mixed
    assert {name for name, outcome in planted.outcomes().items() if outcome == "passed"} == PASS


@pytest.mark.parametrize(
    ("cell", "outcome", "reason"),
    [
        ("test_is_killed", "crashed", "SIGKILL ended the interpreter"),
        ("test_segfaults", "crashed", "SIGSEGV ended the interpreter"),
        ("test_leaves_with_status_0", "crashed", "exit status 0"),
        ("test_hangs", "timed out", "not done after {limit} s (CARRYOVER_CELL_SECONDS)"),
        ("test_hangs_and_holds_on", "timed out", "not done after {limit} s (CARRYOVER_CELL_SECONDS)"),
        ("test_fails", "failed", "AssertionError: the sum is wrong"),
        ("test_is_skipped", "not run", "there is no such file"),
        ("test_has_no_such_feature", "unsupported", "no eager execution before 1.7"),
        ("test_cannot_be_set_up", "failed", "OSError: the set-up broke"),
        ("test_cannot_be_torn_down", "failed", "OSError: the tear-down broke"),
        ("test_says_odd_things", "failed", "AssertionError: a name that is not UTF-8: ?"),
        ("test_was_planned_and_never_written", "failed", "was not collected"),
        ("test_of_a_broken_module", "failed", "No module named 'no_such_module'"),
    ],
)
def test_outcome_and_reason(mixed, cell, outcome, reason):
    planted, _, limit = mixed
    record, reason = planted.records()[cell], reason.format(limit=limit)
    assert (record.outcome.value, reason in record.reason) == (outcome, True), record.reason


def test_the_limit_of_memory_is_blamed_only_where_there_is_one(mixed):
    planted, *_ = mixed
    assert ("CARRYOVER_MEMORY" in planted.records()["test_is_killed"].reason) == (planted.engine != "venv")


def test_record_says_where_and_on_what_the_cell_ran(mixed):
    planted, _, limit = mixed
    record = planted.records()["test_passes_after_a_kill"]
    assert record.cell == "tests/environment/test_cells.py::test_passes_after_a_kill"
    assert (record.environment, record.details["answer"], record.reason) == (ID, 42, "")
    assert record.engine.startswith(planted.engine)
    assert record.isolation == ("none" if planted.engine == "venv" else "container")
    assert record.image.partition(":")[0].rpartition("/")[2].startswith(ID) and record.image_id
    assert f"python:{PYTHON}" in record.base or "CPython" in record.base
    assert record.versions["python"].startswith(PYTHON)
    assert {"system", "machine", "processor", "cpus", "memory"} <= set(record.host)
    assert (planted.root / record.log).is_file() and record.seconds < limit


def test_what_a_cell_says_beyond_json_does_not_break_the_records(mixed):
    planted, *_ = mixed
    assert planted.records()["test_says_odd_things"].details == {"nan": "nan", "list": "[1, 2]", "name": "?"}


def test_nothing_is_left_of_the_run(mixed):
    planted, *_ = mixed
    assert planted.left() == []


def test_a_module_that_crashes_when_imported_is_a_crash_with_its_reason(planted):
    planted.cells("import os\nos.abort()\n\ndef test_never(): pass\n")
    assert planted.run().status == 1
    record = planted.records()["test_never"]
    assert (record.outcome.value, "SIGABRT" in record.reason) == ("crashed", True)


def test_a_module_that_hangs_when_imported_is_timed_out(planted):
    planted.cells("import time\ntime.sleep(600)\n\ndef test_never(): pass\n")
    done = planted.run(CARRYOVER_CELL_SECONDS="2")
    assert (done.status, planted.outcomes()) == (1, {"test_never": "timed out"})


def test_an_interpreter_that_does_not_end_after_the_last_cell_is_ended(planted):
    planted.cells("import atexit, time\natexit.register(time.sleep, 600)\n\ndef test_passes(): pass\n")
    done, _ = run_within_seconds(planted, "test_passes")
    assert (done.status, planted.outcomes()) == (0, {"test_passes": "passed"})


def test_odd_path(engine, tmp_path, locks):
    """A checkout may be called as it likes."""
    planted = (
        Planted(tmp_path / "a, b \"c\" 'd' e:f=g $h %i [j] é", engine).plant(locks).cells("def test_passes(): pass\n")
    )
    done = planted.run()
    assert (done.status, planted.outcomes()) == (0, {"test_passes": "passed"}), done.out + done.err
