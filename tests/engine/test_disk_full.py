"""A full disk: one line, exit status 9, nothing half-written, and what was there is still whole."""

from __future__ import annotations

import contextlib
import os
import subprocess

import pytest

from tests.engine.planted import ID

WRITES = """
import os
def test_passes(): pass
def test_writes(new_artifact):
    with open(os.path.join(new_artifact('thing'), 'file'), 'wb') as file:
        file.write(os.urandom(SIZE))
def test_passes_too(): pass
"""


@contextlib.contextmanager
def small(folder, size="3m"):
    """A file system of its own at `folder`, which holds little."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder, leave=0):
    """Write until the file system of `folder` is full but for `leave` bytes."""
    file = folder / "filler"
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as filler:
        while filler.write(b"x" * 4096):
            pass
    os.truncate(file, max(0, file.stat().st_size - leave))


def test_no_space_for_records(planted):
    planted.cells("".join(f"def test_{number}(): pass\n" for number in range(20)))  # more than what is left of a page
    with small(planted.root / "reports") as reports:
        assert planted.run().status == 0
        before = (reports / "results.jsonl").read_bytes()
        fill(reports)
        for arguments in ([], ["-k", "test_1"]):
            done = planted.run(*arguments)
            assert (done.status, "no space left" in done.error) == (9, True), done.err
        assert (reports / "results.jsonl").read_bytes().startswith(before)
        assert planted.records()  # which checks that every line is whole
        (reports / "filler").unlink()
        assert planted.run().status == 0
        assert (reports / "results.jsonl").read_bytes().startswith(before)
    assert planted.left() == []


def test_no_space_for_the_records_of_many_cells_keeps_whole_ones(planted):
    """The disk fills up while the records are written."""
    planted.cells("".join(f"def test_{number}(): pass\n" for number in range(100)))
    with small(planted.root / "reports") as reports:
        fill(reports, leave=24 * 1024)
        done = planted.run()
        assert (done.status, "no space left" in done.error) == (9, True), done.err
        assert set(planted.outcomes().values()) == {"passed"}  # which also checks that every line is whole
    assert planted.left() == []


def test_no_space_for_an_artifact_leaves_the_old_one_whole(planted):
    planted.cells(WRITES.replace("SIZE", "1000"))
    with small(planted.root / "artifacts") as folder:
        assert planted.run().status == 0
        before = {path.name: path.read_bytes() for path in (folder / "thing" / ID).iterdir()}
        (planted.root / "tests/environment/test_cells.py").write_text(WRITES.replace("SIZE", "5_000_000"))
        done = planted.run()
        assert (done.status, "no space left" in done.error) == (9, True), done.err
        assert {path.name: path.read_bytes() for path in (folder / "thing" / ID).iterdir()} == before
        assert planted.left() == []


def test_no_space_for_what_cells_write_is_told(planted):
    """The recorder itself cannot write."""
    planted.cells(WRITES.replace("SIZE", "5_000_000"))
    with small(planted.root / ".carryover/runs", "2m"):
        done = planted.run()
        assert done.status in (1, 9), done.out + done.err
        assert planted.outcomes().get("test_passes") == "passed"
        assert planted.outcomes().get("test_writes") != "passed"
        told = done.err + planted.records()["test_writes"].reason
        assert "no space left" in told.lower(), told
    assert planted.left() == []
