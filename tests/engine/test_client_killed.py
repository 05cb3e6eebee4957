"""Somebody ends `docker run` itself: its container goes nevertheless, and no limit of memory is blamed."""

from __future__ import annotations

import os
import signal
import stat

import pytest

from matrix.engine import Containers
from matrix.errors import EngineUnavailable
from matrix.project import Project
from tests.engine.planted import Planted, until, wait

# It holds Python's lock, so that nothing in the container can notice that the host's side went.
CELLS = """
import ctypes

def test_holds_on(): ctypes.PyDLL(None).sleep(60)
def test_passes(): pass
"""


def clients(planted, pid):
    """The process ids of `docker run` of the run that process `pid` made."""
    return [
        int(line.split(" ")[0])
        for line in os.popen("ps -ww -eo pid,args").read().strip().splitlines()
        for line in [line.strip()]
        if f"{planted.engine} run --name" in line and f"-{pid} " in line
    ]


def test_a_client_that_is_killed_leaves_no_container_and_costs_its_cell(container_engine, tmp_path, locks):
    planted = Planted(tmp_path / "project", container_engine).plant(locks).cells(CELLS)
    process = planted.start()
    until(
        lambda: [
            1 for file in planted.root.glob(".carryover/runs/*/out/events.jsonl") if b"started" in file.read_bytes()
        ]
    )
    (client,) = clients(planted, process.pid)
    os.kill(client, signal.SIGKILL)
    done = wait(process)
    assert (done.status, planted.outcomes()) == (1, {"test_holds_on": "crashed", "test_passes": "passed"}), done.err
    reason = planted.records()["test_holds_on"].reason
    assert f"SIGKILL ended `{container_engine} run`" in reason and "MEMORY" not in reason, reason
    assert planted.containers(process.pid) == [] and planted.left() == []


def fake(folder, script):
    """An engine called docker that does what `script` says."""
    file = folder / "docker"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_a_container_that_cannot_be_removed_is_told_with_the_command_that_may(tmp_path, monkeypatch):
    fake(tmp_path, "echo 'Error response from daemon: driver failed to remove root filesystem' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(
        EngineUnavailable, match=r"driver failed .*The container carryover-1 may be left: docker rm -f c"
    ):
        Containers(Project(tmp_path), "docker").remove("carryover-1")


def test_a_container_that_is_gone_needs_no_removal(tmp_path, monkeypatch):
    """It may have been just being created when docker was first asked, so it is asked again, and not for ever."""
    asked = tmp_path / "asked"
    fake(tmp_path, f"echo $* >>{asked}; echo 'Error: No such container: carryover-1' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    Containers(Project(tmp_path), "docker").remove("carryover-1")
    assert asked.read_text().splitlines() == ["rm --force carryover-1"] * 3
