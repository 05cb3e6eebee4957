"""Cells that turn on the host which reads what they write: it follows no link of theirs, and waits for no pipe."""

from __future__ import annotations

import json

import pytest

from tests.engine.planted import Planted

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

def test_is_itself_a_link(record_property):
    os.makedirs(OUT + "/artifacts/linked")
    os.symlink(VICTIM, OUT + "/artifacts/linked/whole")
    record_property("artifact", "linked/whole")

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

def test_has_written_nothing(record_property):
    record_property("artifact", "saved/nothing")

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
        ("is_itself_a_link", "failed", f"{KEPT}artifacts/linked/whole is a link"),
        ("puts_a_pipe_into_an_artifact", "failed", f"{KEPT}artifacts/piped/ID/pipe is neither a file nor a folder"),
        ("leads_the_manifest_away", "failed", f"{KEPT}artifacts/led/ID/manifest.json is a link"),
        ("names_another_place", "failed", f"{KEPT}'../.git/hooks' is no name of an artifact"),
        ("names_a_hidden_place", "failed", f"{KEPT}'saved/.hidden' is no name of an artifact"),
        ("has_written_nothing", "failed", f"{KEPT}artifacts/saved/nothing is not there"),
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
    ("instead", "said"),
    [
        ("os.mkfifo(path)", "is neither a file nor a folder: a cell has done that"),
        ("os.symlink('/dev/zero', path)", "is a link: a cell has done that"),
        ("os.mkdir(path)", "is a folder: a cell has done that"),
        ("open(path, 'w').write(' ' * 9999 + '\\n')", "has a line that is no event"),
        ("open(path, 'w').write('{\"event\": 1}\\n')", "has become shorter"),
    ],
    ids=["pipe", "link", "folder", "nonsense", "shorter"],
)
def test_what_stands_where_events_are_read_ends_the_cell_at_once(planted, instead, said):
    """A host that waited for a pipe could not even be interrupted; the limit of time is not reached."""
    planted.cells(
        "import os, time\n\ndef test_turns():\n    path = os.environ['CARRYOVER_OUT'] + '/events.jsonl'\n"
        f"    time.sleep(0.5)\n    os.remove(path)\n    {instead}\n    time.sleep(100)\n\ndef test_passes(): pass\n"
    )
    done = planted.run()
    assert (done.status, done.err) == (1, "") and done.seconds < 60, done.out + done.err
    assert planted.outcomes() == {"test_turns": "failed", "test_passes": "passed"}
    assert said in planted.records()["test_turns"].reason, planted.records()["test_turns"].reason
    assert planted.left() == []
