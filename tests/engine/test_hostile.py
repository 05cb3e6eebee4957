"""Cells that turn on the host which reads what they write: it follows no link of theirs, and waits for no pipe."""

from __future__ import annotations

import json

import pytest

from tests.engine.planted import ID, Planted, until, wait

CELLS = r"""
import os, signal
OUT = os.environ["CARRYOVER_OUT"]
VICTIM = {victim!r}

def write(folder):
    os.makedirs(folder)
    with open(os.path.join(folder, "post-checkout"), "w") as file:
        file.write("#!/bin/sh\n")

def test_puts_a_link_into_an_artifact(new_artifact):
    os.symlink(VICTIM + "/secret", os.path.join(new_artifact("loot"), "stolen"))

def test_is_itself_a_link(record_property, environment):
    os.makedirs(OUT + "/artifacts/linked")
    os.symlink(VICTIM, OUT + "/artifacts/linked/" + environment["id"])
    record_property("artifact", "linked/" + environment["id"])

def test_puts_a_pipe_into_an_artifact(new_artifact):
    os.mkfifo(os.path.join(new_artifact("piped"), "pipe"))

def test_leads_the_manifest_away(new_artifact):
    folder = new_artifact("led")
    os.symlink(VICTIM + "/precious", os.path.join(folder, "manifest.json"))

def test_names_another_place(record_property):
    write(OUT + "/.git/hooks")
    os.makedirs(OUT + "/artifacts", exist_ok=True)
    record_property("artifact", "../.git/hooks")

def test_names_a_hidden_place(record_property):
    write(OUT + "/artifacts/saved/.hidden")
    record_property("artifact", "saved/.hidden")

def test_has_written_nothing(record_property, environment):
    record_property("artifact", "nothing/" + environment["id"])

def test_names_another_producer(record_property):
    write(OUT + "/artifacts/saved/cpu-tf1.15")
    record_property("artifact", "saved/cpu-tf1.15")

def test_names_a_longer_producer(record_property, environment):
    write(OUT + "/artifacts/saved/" + environment["id"] + "0")
    record_property("artifact", "saved/" + environment["id"] + "0")

def test_leads_the_plan_away():
    os.remove(OUT + "/plan.json")
    os.symlink(VICTIM + "/precious", OUT + "/plan.json")
    os.kill(os.getpid(), signal.SIGKILL)

def test_puts_a_folder_in_its_place():
    os.remove(OUT + "/plan.json")
    write(OUT + "/plan.json")
    os.kill(os.getpid(), signal.SIGKILL)

def test_leads_all_artifacts_away():
    os.symlink(VICTIM, OUT + "/artifacts")
    os.kill(os.getpid(), signal.SIGKILL)

def test_writes_an_artifact(new_artifact):
    with open(os.path.join(new_artifact("saved"), "file"), "w") as file:
        file.write("good")
"""
KEPT = "what it wrote cannot be kept: "


@pytest.fixture(scope="module")
def turned(container_engine, tmp_path_factory, locks):
    """(project, the folder that is to be left alone) after a run of cells that reach for files of the host."""
    folder = tmp_path_factory.mktemp("turned")
    victim = folder / "victim"
    victim.mkdir()
    (victim / "precious").write_text("precious")
    (victim / "secret").write_text("TOP SECRET")
    planted = (
        Planted(folder / "project", container_engine).plant(locks).cells(CELLS.replace("{victim!r}", repr(str(victim))))
    )
    hooks = planted.root / ".git/hooks"
    hooks.mkdir(parents=True)
    (hooks / "mine").write_text("mine")
    done = planted.run()
    assert (done.status, done.err) == (1, ""), done.out + done.err
    return planted, victim


@pytest.mark.parametrize(
    ("cell", "outcome", "reason"),
    [
        ("puts_a_link_into_an_artifact", "failed", f"{KEPT}artifacts/loot/ID/stolen is a link"),
        ("is_itself_a_link", "failed", f"{KEPT}artifacts/linked/ID is a link"),
        ("puts_a_pipe_into_an_artifact", "failed", f"{KEPT}artifacts/piped/ID/pipe is neither a file nor a folder"),
        ("leads_the_manifest_away", "failed", f"{KEPT}artifacts/led/ID/manifest.json is a link"),
        ("names_another_place", "failed", f"{KEPT}'../.git/hooks' is no name of an artifact"),
        ("names_a_hidden_place", "failed", f"{KEPT}'saved/.hidden' is no name of an artifact"),
        ("has_written_nothing", "failed", f"{KEPT}artifacts/nothing/ID is not there"),
        ("names_another_producer", "failed", f"{KEPT}'saved/cpu-tf1.15' is not called after ID"),
        ("names_a_longer_producer", "failed", f"{KEPT}'saved/ID0' is not called after ID"),
        ("leads_the_plan_away", "crashed", "SIGKILL"),
        ("puts_a_folder_in_its_place", "crashed", "SIGKILL"),
        ("leads_all_artifacts_away", "crashed", "SIGKILL"),
        ("writes_an_artifact", "passed", ""),
    ],
)
def test_it_costs_the_cell_alone_and_says_why(turned, cell, outcome, reason):
    planted, _ = turned
    record = planted.records()[f"test_{cell}"]
    expected = reason.replace("ID", record.environment)
    assert (record.outcome.value, record.reason.startswith(expected)) == (outcome, True), record.reason


def test_no_file_of_the_host_is_written_or_read(turned):
    planted, victim = turned
    assert {path.name: path.read_text() for path in victim.iterdir()} == {
        "precious": "precious",
        "secret": "TOP SECRET",
    }
    assert [path.name for path in (planted.root / ".git/hooks").iterdir()] == ["mine"]
    kept = [path for path in planted.root.glob("artifacts/**/*") if not path.is_dir()]
    assert sorted(path.name for path in kept) == ["file", "manifest.json"] and planted.left() == []
    assert json.loads(kept[[path.name for path in kept].index("manifest.json")].read_text())["sha256"].keys() == {
        "file"
    }


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        ("os.truncate(path, 0)", "has become shorter: a cell has done that"),
        ("open(path, 'a').write(' ' * 9999 + '\\n')", "has a line that is no event"),
    ],
    ids=["shorter", "nonsense"],
)
def test_a_cell_that_writes_events_ends_at_once(planted, instead, reason):
    """The limit of time is not reached."""
    planted.cells(
        "import os, time\n\ndef test_turns():\n    path = os.environ['CARRYOVER_OUT'] + '/events.jsonl'\n"
        f"    time.sleep(0.5)\n    {instead}\n    time.sleep(100)\n\ndef test_passes(): pass\n"
    )
    done = planted.run()
    assert (done.status, done.err) == (1, "") and done.seconds < 60, done.out + done.err
    assert planted.outcomes() == {"test_turns": "failed", "test_passes": "passed"}
    assert reason in planted.records()["test_turns"].reason, planted.records()["test_turns"].reason
    assert planted.left() == []


def test_culprit_is_found(planted):
    """The cell that keeps the host from hearing that it began, by running one at a time."""
    planted.cells(
        "import os, time\n\ndef test_first(): pass\n\ndef test_second(): pass\n\n"
        "def test_turns():\n    os.truncate(os.environ['CARRYOVER_OUT'] + '/events.jsonl', 0)\n    time.sleep(1)\n\n"
        "def test_fourth(): pass\n\ndef test_last(): pass\n"
    )
    done = planted.run()
    assert (done.status, done.err) == (1, ""), done.out + done.err
    assert planted.outcomes() == {
        **dict.fromkeys(("test_first", "test_second", "test_fourth", "test_last"), "passed"),
        "test_turns": "failed",
    }


def test_setuid_file_is_out_of_reach(planted):
    """A cell that root runs can make one, in a folder that nobody else gets into, and it goes with the folder."""
    planted.cells(
        "import os, time\n\ndef test_makes_one():\n    path = os.environ['CARRYOVER_OUT'] + '/tool'\n"
        "    open(path, 'w').close()\n    os.chmod(path, 0o4755)\n    time.sleep(600)\n"
    )
    process = planted.start()
    (tool,) = until(lambda: [p for p in planted.root.glob(".carryover/runs/*/out/tool") if p.stat().st_mode & 0o4000])
    assert tool.parent.parent.stat().st_mode & 0o777 == 0o700
    process.terminate()
    wait(process)
    assert planted.left() == []


def test_artifact_loses_setuid(planted):
    planted.cells(
        "import os\n\ndef test_makes_one(new_artifact):\n    path = new_artifact('thing') + '/tool'\n"
        "    open(path, 'w').close()\n    os.chmod(path, 0o6755)\n"
    )
    assert planted.run().status == 0
    (tool,) = planted.root.glob("artifacts/thing/*/tool")
    assert tool.stat().st_mode & 0o7111 == 0


SCREEN = "\x1b]0;title\x07\x1b[2J\u202e"


def test_terminal_and_files_are_safe(planted):
    """What a cell says, what it calls its figures and how it fails is shown escaped, there and in every file."""
    (planted.root / "matrix").mkdir()
    (planted.root / "matrix/ledger.toml").write_text("entries = []\n")
    planted.cells(
        f"SCREEN = {SCREEN!r}\n\ndef test_draws(record_property):\n    record_property('text', SCREEN)\n"
        "    record_property(SCREEN, SCREEN)\n    print(SCREEN)\n    assert False, SCREEN\n"
    )
    done = planted.run("-s")
    assert done.status == 1 and "\\x1b]0;title\\x07" in done.out
    again = planted.do("repro", f"{ID}/cells::draws")
    report = planted.do("report")
    for told in (done.out, done.err, again.out, again.err, report.out, report.err):
        assert told.replace("\n", "").isprintable(), told
    files = [path for path in planted.root.glob("reports/**/*") if path.is_file()]
    assert {path.suffix for path in files} >= {".log", ".jsonl", ".html", ".md", ".xml", ".json"}
    for path in files:
        assert not set(SCREEN) & set(path.read_text()) - set("]0;title[2J"), path
