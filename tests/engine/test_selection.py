"""What stands after -- reaches pytest; what is chosen runs, and no cell at all is not a success."""

from __future__ import annotations

import pytest

CELLS = """
def test_reads(): pass
def test_breaks(): assert False, "it breaks"
def test_writes(): pass
"""


@pytest.fixture
def three(planted):
    """Three cells, of which the second fails."""
    return planted.cells(CELLS)


def test_stop_at_the_first_failure_leaves_the_rest_not_run(three):
    done = three.run("-x")
    assert (done.status, three.outcomes()) == (
        1,
        {"test_reads": "passed", "test_breaks": "failed", "test_writes": "not run"},
    )
    assert "stopping after 1 failures" in three.records()["test_writes"].reason


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        (["-k", "reads or writes"], ["test_reads", "test_writes"]),
        (["tests/environment/test_cells.py::test_writes"], ["test_writes"]),
        (
            ["./tests/environment", "--deselect", "tests/environment/test_cells.py::test_breaks"],
            ["test_reads", "test_writes"],
        ),
        (["--deselect", "tests/environment/test_cells.py::test_breaks"], ["test_reads", "test_writes"]),
    ],
)
def test_only_what_is_chosen_runs(three, arguments, ran):
    done = three.run(*arguments)
    assert (done.status, three.outcomes()) == (0, dict.fromkeys(ran, "passed")), done.out + done.err


def test_a_path_stands_for_no_cell_whose_name_only_begins_so(planted):
    planted.cells("def test_reads(): pass\ndef test_reads_more(): pass\n")
    done = planted.run("tests/environment/test_cells.py::test_reads")
    assert (done.status, planted.outcomes()) == (0, {"test_reads": "passed"}), done.out + done.err


@pytest.mark.parametrize("by", ["addopts", "hook"])
def test_what_nobody_deselected_and_did_not_run_has_failed(three, by):
    if by == "addopts":
        file = three.root / "pyproject.toml"
        file.write_text(file.read_text().replace('addopts = "', 'addopts = "-k writes '))
    else:
        hook = "def pytest_collection_modifyitems(items):\n    items[:] = [i for i in items if 'writes' in i.nodeid]\n"
        (three.root / "tests/environment/conftest.py").write_text(hook)
    done = three.run()
    assert (done.status, done.err) == (1, ""), done.out + done.err
    assert three.outcomes() == {"test_reads": "failed", "test_breaks": "failed", "test_writes": "passed"}
    assert "pytest left it out unasked" in three.records()["test_breaks"].reason


@pytest.mark.parametrize("body", ["assert False", "pass", "pytest.xfail('later')"])
def test_xfail_is_not_for_cells(planted, body):
    mark = "" if "xfail" in body else "@pytest.mark.xfail(reason='later')\n"
    planted.cells(f"import pytest\n\n{mark}def test_expects_to_fail(): {body}\n")
    assert planted.run().status == 1
    record = planted.records()["test_expects_to_fail"]
    assert (record.outcome.value, record.reason.startswith("xfail is not for cells")) == ("failed", True)


def test_selecting_nothing_is_an_error_that_names_what_there_is(three):
    done = three.run("-k", "nothing_of_that_name")
    assert done.status == 10
    assert "test_breaks, test_reads, test_writes" in done.error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-k", "reads and"], "reads and"),
        (["-m", "slow or"], "slow or"),
        (["-k", "raeds"], "test_reads"),
        (["--no-such-option"], "--no-such-option"),
        (["-p", "no_such_plugin"], "no_such_plugin"),
        (["tests/environment/test_elsewhere.py"], "test_elsewhere.py"),
        (["--collect-only"], "'--collect-only'"),
        (["--help"], "pytest ran no cell with '--help'; what it said: reports/logs/"),
    ],
)
def test_wrong_arguments_are_an_error_that_says_nothing_of_the_cells(three, arguments, words):
    three.run("-k", "reads or writes")
    done = three.run(*arguments)
    assert (done.status, words in done.error) == (10, True), done.err
    assert three.outcomes() == {"test_reads": "passed", "test_writes": "passed"}


def test_what_hangs_before_anything_is_selected_is_not_blamed_on_cells_that_may_be_left_out(planted):
    planted.cells("import time\ntime.sleep(600)\n\ndef test_never(): pass\n")
    done = planted.run("-k", "other", CARRYOVER_CELL_SECONDS="2")
    assert (done.status, "CARRYOVER_CELL_SECONDS" in done.error, planted.outcomes()) == (10, True, {})


def test_crash_before_selection(planted):
    """One cell was asked for: of the others, and of what is recorded of them, that says nothing."""
    planted.cells("def test_one(): pass\ndef test_other(): pass\n")
    assert planted.run().status == 0
    (planted.root / "tests/environment/conftest.py").write_text("import os\nos.abort()\n")
    done = planted.run("-k", "one")
    assert (done.status, "SIGABRT ended the interpreter" in done.error) == (10, True), done.err
    assert planted.outcomes() == {"test_one": "passed", "test_other": "passed"}
    done = planted.run()
    assert (done.status, planted.outcomes()) == (1, {"test_one": "crashed", "test_other": "crashed"})


def test_a_module_that_skips_itself_is_not_run_with_its_reason(planted):
    planted.cells('import pytest\n\npytest.importorskip("no_such_module")\n\ndef test_never(): pass\n')
    planted.cells("def test_passes(): pass\n", module="test_other")
    assert planted.run().status == 0
    assert planted.outcomes() == {"test_never": "not run", "test_passes": "passed"}
    assert "no_such_module" in planted.records()["test_never"].reason


def test_records_are_appended_to_those_of_earlier_runs(three):
    path = three.root / "reports/results.jsonl"
    three.run("-k", "reads")
    before = path.read_bytes()
    three.run("-k", "writes")
    assert path.read_bytes().startswith(before) and set(three.outcomes()) == {"test_reads", "test_writes"}


def test_a_second_run_builds_nothing(planted_anew):
    planted_anew.cells("def test_passes(): pass\n")
    first, second = planted_anew.run(), planted_anew.run()
    assert (first.status, second.status) == (0, 0)
    words = ("building ", "making ")
    assert any(word in first.out for word in words) and not any(word in second.out for word in words)
    images = {line.partition('"image_id":"')[2].partition('"')[0] for line in _lines(planted_anew)}
    assert len(images) == 1 and images != {""}


def _lines(planted):
    return (planted.root / "reports/results.jsonl").read_text().splitlines()
