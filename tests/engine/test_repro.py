"""One cell again: in the image it ran in, with what it read, watched, debugged, or from a shell."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time

import pytest

from tests.engine.numbers import ODD, plant, repeated, write_number
from tests.engine.planted import CHECKOUT, ID, Planted, start, until, wait
from tests.engine.terminals import OnTerminal


@pytest.fixture(scope="module")
def failed(engine, tmp_path_factory, locks, venvs):
    """A project whose cell `is_even` has failed, on each engine; no test changes it."""
    planted = plant(Planted(tmp_path_factory.mktemp("failed") / "project", engine).plant(locks, venvs))
    assert planted.run().status == 1
    return planted


def on_terminal(planted, *arguments):
    return OnTerminal(planted.command("repro", *arguments), CHECKOUT)


def test_a_failure_prints_the_command_that_repeats_it(failed_once):
    done = failed_once.run()
    assert re.findall(r"^again: (.*)$", done.out, re.MULTILINE) == [f"nox -s repro -- {shlex.quote(ODD)}"]


def test_fails_again_in_the_same_image_with_the_same_artifact_and_nothing_else_runs(failed):
    before = failed.records()["test_is_even[committed]"]
    done = failed.do("repro", ODD)
    now = repeated(failed)[-1]
    assert (done.status, done.err) == (1, "")
    assert "fails again, in the same way: AssertionError: 7 is odd" in done.out
    assert "the number is 7 and TensorFlow may say 0" in done.out, "the cell's own words, TensorFlow's not silenced"
    assert "def test_is_even(artifact):" in done.out and "collected 1 item" in done.out
    assert (now.image_id, now.inputs, now.reason) == (before.image_id, before.inputs, before.reason)
    assert now.inputs and "image" not in now.details and now.details["repeats"] == before.run
    assert failed.records()["test_is_even[committed]"] == before, "what the run recorded stays"
    assert failed.left() == []


def test_the_whole_pytest_id_names_a_cell_too(failed_once):
    done = failed_once.do("repro", f"{ID}/tests/environment/test_cells.py::test_is_small[committed]")
    assert (done.status, "passes, as it did" in done.out) == (0, True), done.out + done.err


def test_a_cell_that_no_longer_fails_says_so_and_succeeds(failed_once):
    module = failed_once.root / "tests/environment/test_cells.py"
    module.write_text(module.read_text().replace("found % 2 == 0", "found % 2 == 1"))
    done = failed_once.do("repro", ODD)
    assert (done.status, "does not fail here (then: failed: AssertionError: 7 is odd" in done.out) == (0, True), (
        done.out
    )


def test_a_cell_that_fails_otherwise_says_both(failed_once):
    module = failed_once.root / "tests/environment/test_cells.py"
    module.write_text(module.read_text().replace('"%d is odd" % found', '"it is another error"'))
    done = failed_once.do("repro", ODD)
    said = "fails otherwise: AssertionError: it is another error (then: failed: AssertionError: 7 is odd"
    assert (done.status, said in done.out) == (1, True), done.out


def test_an_artifact_that_changed_is_said_and_nothing_runs(failed_once):
    write_number(failed_once, 9)
    done = failed_once.do("repro", ODD)
    assert done.status == 11 and "numbers/committed is not what the cell read (manifest " in done.error
    assert "git checkout" in done.error and repeated(failed_once) == []


def test_an_artifact_that_is_gone_is_said(failed_once):
    (failed_once.root / "tests/fixtures/numbers/manifest.json").unlink()
    done = failed_once.do("repro", ODD)
    assert (done.status, "numbers/committed, which the cell read, is gone from" in done.error) == (11, True)


def test_an_unknown_cell_is_one_line_with_the_nearest(failed_once):
    for name, status, said in (
        (f"{ID}/cells::is_evn[committed]", 14, f"did you mean '{ODD}'"),
        (f"{ID}/is_even", 14, f"did you mean '{ODD}'?"),
        ("is_even", 14, f"did you mean '{ODD}'?"),
        (f"{ID}9/cells::is_even[committed]", 3, "there is no environment"),
    ):
        done = failed_once.do("repro", name)
        assert (done.status, said in done.error) == (status, True), done.err


def test_a_planned_cell_that_has_not_run_says_what_runs_it(failed_once):
    failed_once.cells("def test_new(): pass\n", module="test_later")
    done = failed_once.do("repro", f"{ID}/later::new")
    release = ID.partition("-tf")[2]
    assert done.status == 14 and f'`nox -s "cpu-tf{release[0]}({release})"` runs it' in done.error


def test_without_a_terminal_there_is_no_shell(failed_once):
    done = failed_once.do("repro", ODD, "--shell")
    assert (done.status, "--shell needs a terminal" in done.error) == (2, True)


@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_on_another_engine_the_record_says_so(failed):
    done = Planted(failed.root, "venv").do("repro", ODD)
    assert (done.status, "fails again, in the same way" in done.out) == (1, True), done.out + done.err
    assert "rebuilt: the cell ran on docker" in repeated(failed)[-1].details["image"]


@pytest.mark.parametrize("engine", ["docker"], indirect=True)  # test_bundle.py has it on all
def test_in_an_image_that_is_gone_it_is_rebuilt_and_marked(planted_anew):
    plant(planted_anew)
    assert planted_anew.run().status == 1
    before = planted_anew.records()["test_is_even[committed]"]
    subprocess.run(["docker", "rmi", "--force", before.image_id], capture_output=True, check=True)
    done = planted_anew.do("repro", ODD)
    (now,) = repeated(planted_anew)
    assert (done.status, "fails again, in the same way" in done.out) == (1, True), done.out + done.err
    assert now.details["image"].startswith(f"rebuilt: {before.image_id[:19]} is not here; the same Dockerfile")
    assert now.details["image"] in done.out


def test_the_debugger_stops_where_it_fails(failed):
    with on_terminal(failed, ODD, "--pdb") as terminal:
        terminal.until("(Pdb) ")
        terminal.type("p found * 6\n")
        terminal.until("42")
        terminal.until("(Pdb) ")
        terminal.until_pressed("\x03", "--KeyboardInterrupt--")  # Ctrl-C is the debugger's
        terminal.until("(Pdb) ")
        terminal.type("q\n")
        terminal.until("fails again, in the same way: AssertionError: 7 is odd")
        assert terminal.end() == 1
    assert repeated(failed)[-1].outcome.value == "failed"
    assert (failed.left(), failed.containers(terminal.pid)) == ([], [])


def test_the_shell_has_everything_in_place_and_shows_the_command(failed):
    with on_terminal(failed, ODD, "--shell") as terminal:
        banner = terminal.until(f"({ID}) ")
        (command,) = re.findall(r"^ +(python -m tests.recorder .*?)\r?$", banner, re.MULTILINE)
        terminal.type(command + "; echo status $?\n")
        terminal.until("AssertionError: 7 is odd")
        terminal.until("status 1")
        if failed.engine != "venv":
            terminal.type("touch pyproject.toml\n")
            terminal.until("Read-only file system")
        terminal.type("\x1b[A\x1b[A\n")  # the command again, from the history
        terminal.until("AssertionError: 7 is odd")
        terminal.type("exit\n")
        assert terminal.end() == 0
    assert (failed.left(), failed.containers(terminal.pid)) == ([], [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_shell_that_is_ended_leaves_nothing(failed, number):
    with on_terminal(failed, ODD, "--shell") as terminal:
        terminal.until(f"({ID}) ")
        terminal.type("sleep 600 & echo begun $((40 + 2))\n")
        terminal.until("begun 42")
        os.kill(terminal.pid, number)
        assert terminal.end() == 143
    assert (failed.left(), failed.containers(terminal.pid)) == ([], [])
    until(lambda: not failed.processes(terminal.pid), seconds=5)


def test_ctrl_c_leaves_nothing(planted):
    planted.cells("import time\n\ndef test_takes_long():\n    print('it has begun')\n    time.sleep(0)\n")
    assert planted.run().status == 0
    module = planted.root / "tests/environment/test_cells.py"
    module.write_text(module.read_text().replace("sleep(0)", "sleep(600)"))
    process = start(
        planted.command("repro", f"{ID}/cells::takes_long"),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = until(lambda: [p for p in planted.root.glob(f"reports/logs/*-{process.pid}.log") if "begun" in p.read_text()])
    process.send_signal(signal.SIGINT)
    done = wait(process)
    assert (done.status, "it has begun" in done.out, bool(log)) == (130, True, True), done.err
    assert (planted.left(), planted.containers(process.pid)) == ([], [])
    time.sleep(0.2)
    assert repeated(planted) == []


WRITER = """
import os

def test_writes(new_artifact):
    with open(os.path.join(new_artifact("letters"), "a"), "w") as file:
        file.write(str(os.getpid()))
"""


def test_a_producer_that_runs_again_does_not_replace_what_it_wrote(failed_once):
    failed_once.cells(WRITER, module="test_writer")
    failed_once.run("-k", "writes")
    manifest = failed_once.root / f"artifacts/letters/{ID}/manifest.json"
    before = manifest.read_bytes(), manifest.stat().st_mtime_ns
    done = failed_once.do("repro", f"{ID}/writer::writes")
    assert (done.status, "passes, as it did" in done.out) == (0, True), done.out + done.err
    assert (manifest.read_bytes(), manifest.stat().st_mtime_ns) == before
