"""Ctrl-C, `kill` and `kill -9` at any moment: one line, what had finished is kept, nothing is left."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import pytest

from matrix.environments import load_environments
from tests.engine.planted import CHECKOUT, ID, OTHER, STARTED, start, until, wait

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
WORD = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
CELLS = "import time\n\ndef test_passes(): pass\n\ndef test_takes_long(): time.sleep(600)\n"
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])


def end(planted, process, number):
    """Send the signal, and check all that holds whenever it comes."""
    begun = time.monotonic()
    process.send_signal(number)
    done = wait(process, 60)
    assert (done.status, done.error.startswith(f"carryover: {WORD[number]}: ")) == (STATUS[number], True), done.err
    assert time.monotonic() - begun < 15
    assert planted.containers(process.pid) == []
    assert planted.left() == []
    until(lambda: not planted.processes(process.pid), seconds=5)  # podman's monitor ends after its container
    return done


def recorded(planted):
    """Whether there is a record on the disk."""
    path = planted.root / "reports/results.jsonl"
    return path.exists() and path.read_bytes().endswith(b"\n")


@BOTH
def test_in_a_cell(planted, number):
    planted.cells(CELLS)
    process = planted.start()
    until(lambda: recorded(planted))
    end(planted, process, number)
    assert planted.outcomes() == {"test_passes": "passed"}


@pytest.mark.parametrize("after", [0.0, 0.15, 0.3, 0.5, 0.8])
def test_while_it_starts(planted, after):
    """From the folder of the run, which is made first, over a container that is being created, to the first cell."""
    planted.cells(CELLS)
    process = planted.start()
    until(lambda: list(planted.root.glob(".carryover/runs/*")), every=0.002)
    time.sleep(after)
    end(planted, process, signal.SIGINT)
    time.sleep(0.5)  # an engine that was still at it would be done by now
    assert planted.containers(process.pid) == []
    assert planted.outcomes() in ({}, {"test_passes": "passed"})


def test_twice(planted):
    """People press Ctrl-C again when nothing seems to happen."""
    planted.cells(CELLS)
    process = planted.start()
    until(lambda: recorded(planted))
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.03)
    done = wait(process, 60)
    assert (done.status, "interrupted" in done.error) == (130, True)
    assert (planted.containers(process.pid), planted.left()) == ([], [])
    assert planted.outcomes() == {"test_passes": "passed"}


@BOTH
def test_while_it_builds(planted_anew, number):
    planted_anew.cells(CELLS)
    process = planted_anew.start()
    until(lambda: [path for path in planted_anew.root.glob("reports/logs/*.log") if path.exists()])
    time.sleep(0.3 if planted_anew.engine == "venv" else 1.2)  # in the installation
    end(planted_anew, process, number)
    assert planted_anew.building(process.pid) == []
    done = planted_anew.run("-k", "passes")
    assert (done.status, planted_anew.outcomes()) == (0, {"test_passes": "passed"}), done.out + done.err


def test_what_finished_just_before_is_kept(planted):
    """The host looks for results every few hundredths of a second; Ctrl-C between two looks loses nothing."""
    planted.cells(
        "".join(f"def test_{n}(): pass\n" for n in range(300)) + "def test_z():\n    import time; time.sleep(9)\n"
    )
    process = planted.start()
    until(lambda: recorded(planted), every=0.001)
    end(planted, process, signal.SIGINT)
    assert set(planted.outcomes().values()) == {"passed"}
    cells = list(planted.outcomes())
    assert cells == [f"test_{n}" for n in range(len(cells))], "a finished cell is missing between others"


def test_kill_9_of_the_host_leaves_nothing_running_and_the_next_run_cleans_up(planted):
    planted.cells(CELLS)
    process = planted.start()
    until(lambda: recorded(planted))
    assert planted.processes(process.pid), "the test does not see what runs"
    process.kill()
    process.communicate()
    until(lambda: not planted.containers(process.pid) and not planted.processes(process.pid), seconds=10)
    assert planted.left() != []
    assert planted.run("-k", "passes").status == 0
    assert planted.left() == []


def test_a_run_that_is_alive_is_not_cleaned_up_by_another(planted):
    planted.cells(CELLS)
    process = planted.start()
    until(lambda: recorded(planted))
    assert planted.run("-k", "passes").status == 0
    assert planted.processes(process.pid), f"a second run of {ID} ended the first"
    end(planted, process, signal.SIGINT)


@BOTH
def test_sessions_of_nox_beside_each_other(planted, number):
    """nox runs each in a process of its own, which a signal to the first process does not reach by itself."""
    planted.cells(CELLS)
    sessions = [name.partition(".")[0] for name in (ID, OTHER)]
    text = (CHECKOUT / "noxfile.py").read_text().replace("cpu-tf2", sessions[0]).replace("gpu-tf2", sessions[1])
    (planted.root / "noxfile.py").write_text(text)
    shutil.copytree(CHECKOUT / "matrix", planted.root / "matrix", ignore=shutil.ignore_patterns("__pycache__"))
    words = [sys.executable, "-m", "nox", "-j", "2", "-s", *sessions, "--", "--engine", planted.engine]
    process = start(words, cwd=planted.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    STARTED.append((planted, process))
    records = planted.root / "reports/results.jsonl"
    try:
        until(lambda: records.exists() and records.read_bytes().count(b'"passed"') == 2, seconds=90)
    except AssertionError:
        process.terminate()
        raise AssertionError(process.communicate(timeout=30)[0]) from None
    runs = [int(folder.name.rpartition("-")[2]) for folder in planted.root.glob(".carryover/runs/*") if folder.is_dir()]
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, len(runs)) == (STATUS[number], 2), out
    assert planted.left() == [] and not list(planted.root.glob(".carryover/nox-*"))
    for run in runs:
        assert planted.containers(run) == []
        until(lambda run=run: not planted.processes(run), seconds=5)


def test_what_a_killed_run_did_not_get_to_is_missed_by_the_report(planted):
    """And what nobody asked for is not."""
    (planted.root / "matrix").mkdir()
    (planted.root / "matrix/ledger.toml").write_text("entries = []\n")
    planted.cells("import time\n\ndef test_passes(): pass\n\ndef test_takes_long(): time.sleep(SECONDS)\n")
    module = planted.root / "tests/environment/test_cells.py"
    cells = module.read_text()
    module.write_text(cells.replace("SECONDS", "0"))
    assert planted.run().status == 0
    assert planted.do("report").status == 0
    module.write_text(cells.replace("SECONDS", "600"))
    process = planted.start()
    until(lambda: len(recorded_cells(planted)) == 3)
    process.kill()
    wait(process)
    done = planted.do("report")
    assert done.status == 1 and "? no record" in done.out and "1 of 2 cells are bad" in done.out, done.out
    row = load_environments(planted.root / "environments.toml")[ID]
    assert f"nox -s '{row.session}({row.release})'" in done.out
    until(lambda: not planted.processes(process.pid), seconds=30)
    assert planted.run("-k", "passes").status == 0
    assert planted.do("report").status == 1, "another run of other cells makes up for nothing"
    module.write_text(cells.replace("SECONDS", "0"))
    assert planted.run("-k", "takes_long").status == 0
    assert planted.do("report").status == 0


def recorded_cells(planted):
    """All records on the disk so far, whole or not."""
    path = planted.root / "reports/results.jsonl"
    return path.read_bytes().splitlines() if path.exists() else []
