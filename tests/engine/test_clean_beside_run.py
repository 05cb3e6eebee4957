"""Disk is freed while something runs: what it stands on stays."""

from __future__ import annotations

from tests.engine.planted import Planted, until, wait

CELLS = """
import os, time

def test_waits():
    while not os.path.exists("clean"): time.sleep(0.05)

def test_still_has_its_packages():
    import importlib.metadata
    assert importlib.metadata.version("iniconfig")
"""


def test_a_virtual_environment_that_a_run_uses_is_not_removed(working, tmp_path, locks):
    planted = Planted(tmp_path / "project", working("venv")).plant(locks).cells(CELLS)
    process = planted.start()
    until(lambda: list(planted.root.glob(".carryover/runs/*/out/events.jsonl")), seconds=60)
    cleaned = planted.do("clean", CARRYOVER_DISK_GB="0", XDG_CACHE_HOME=str(tmp_path / "cache"))
    (planted.root / "clean").touch()
    done = wait(process)
    assert (cleaned.status, "a run is using it" in " ".join(cleaned.out.split())) == (0, True), (
        cleaned.out + cleaned.err
    )
    assert (done.status, set(planted.outcomes().values())) == (0, {"passed"}), done.out + done.err
    cleaned = planted.do("clean", CARRYOVER_DISK_GB="0", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert cleaned.status == 0 and not list(planted.root.glob(".carryover/venvs/*")), cleaned.out
