"""Records on the disk: whole, in order, whoever writes and whatever the disk does."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.results import Outcome, Record, Results, missing

CHECKOUT = Path(__file__).resolve().parents[3]


def record(cell="a.py::test", run="run-1", outcome=Outcome.PASSED, reason=""):
    return Record(
        run=run,
        cell=cell,
        environment="cpu-tf2.21",
        device="cpu",
        outcome=outcome,
        reason=reason,
        seconds=0.5,
        engine="venv",
        isolation="none",
        image="image",
        image_id="id",
        base="base",
        versions={"python": "3.13.1"},
        host={"cpus": "2"},
        started="2026-01-01T00:00:00+00:00",
        log="reports/logs/x.log",
    )


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results.jsonl")


def test_what_is_appended_is_read_in_order(results):
    written = [record(f"test_{number}", outcome=outcome) for number, outcome in enumerate(Outcome)]
    for one in written:
        results.append(one)
    assert results.read() == written


def test_records_of_one_run_are_found_among_others(results):
    for run in ("run-1", "run-2", "run-1"):
        results.append(record(run=run))
    assert len(results.read("run-1")) == 2


def test_a_file_that_is_not_there_has_no_records(results):
    assert results.read() == []


def test_after_a_torn_line_the_next_record_is_whole(results):
    """A machine that lost power may leave half a line."""
    results.append(record("first"))
    with results.path.open("ab") as file:
        file.write(b'{"run":"run-1","cell":"torn","env')
    results.append(record("after"))
    assert [one.cell for one in results.read()] == ["first", "after"]


def test_a_disk_that_takes_half_a_line_keeps_none_of_it(results):
    """The limit on the size of a file stands in for a full disk: a write is cut short, the next fails."""
    results.append(record("first"))
    before = results.path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, limit[1]))
        with pytest.raises(OSError):
            results.append(record("second"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert results.path.read_bytes() == before
    results.append(record("third"))
    assert [one.cell for one in results.read()] == ["first", "third"]


WRITER = """
import sys
from pathlib import Path
from matrix.results import Results
from tests.unit.matrix.test_results import record
for number in range(60):
    Results(Path(sys.argv[1])).append(record(f"{sys.argv[2]}-{number}", reason="x" * 5000))
"""


def test_processes_that_append_at_once_lose_and_mix_nothing(results):
    command = [sys.executable, "-c", WRITER, str(results.path)]
    writers = [subprocess.Popen([*command, name], cwd=CHECKOUT) for name in "abcd"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    cells = [one.cell for one in results.read()]
    for name in "abcd":
        assert [cell for cell in cells if cell.startswith(name)] == [f"{name}-{number}" for number in range(60)]
    assert len(results.path.read_bytes().splitlines()) == 240


def test_a_writer_that_is_killed_leaves_whole_lines_and_no_lock(results):
    command = [sys.executable, "-c", WRITER.replace("range(60)", "range(10**9)"), str(results.path), "a"]
    for _ in range(3):
        size = os.path.getsize(results.path) if results.path.exists() else 0
        writer = subprocess.Popen(command, cwd=CHECKOUT)
        while not results.path.exists() or os.path.getsize(results.path) < size + 100_000:
            assert writer.poll() is None
        writer.kill()
        writer.wait()
        results.append(record("after"))
    text = results.path.read_bytes()
    assert text.endswith(b"\n") and len(results.read()) == text.count(b"\n")


def test_a_planned_cell_without_record_is_missing():
    assert missing(["a", "b", "c"], [record("b")]) == ["a", "c"]


def test_only_what_passed_is_neither_bad_nor_unfinished():
    bad = {outcome for outcome in Outcome if outcome.bad}
    assert bad == {Outcome.FAILED, Outcome.CRASHED, Outcome.TIMED_OUT, Outcome.FIXED}
    assert len({outcome.sign for outcome in Outcome} - {Outcome.PASSED.sign}) >= 6
