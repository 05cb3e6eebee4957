"""A lock knows what it was made for."""

from __future__ import annotations

import msgspec
import pytest

from matrix import locks
from matrix.environments import Environment
from matrix.errors import BuildFailed, LockMismatch

ROW = Environment("cpu-tf2.21", "2.21.0", "tensorflow-cpu", "3.13", 3, ("iniconfig==2.0.0",), "2026-01-01T00:00:00Z")


@pytest.fixture
def lock(tmp_path):
    """A real lock of one small distribution."""
    path = tmp_path / "cpu-tf2.21.txt"
    assert locks.make_lock(path, ROW) == 1
    return path


def test_a_lock_holds_hashes_and_fits_what_it_was_made_for(lock):
    text = lock.read_text()
    assert "iniconfig==2.0.0" in text and text.count("--hash=sha256:") >= 2
    locks.check_lock(lock, ROW)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "gpu-tf2.21"},
        {"python": "3.12"},
        {"cutoff": "2026-02-01T00:00:00Z"},
        {"requirements": ("iniconfig==2.0.0", "pluggy")},
        {"requirements": ("iniconfig==2.0.1",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_table_that_was_changed_since_is_noticed(lock, change):
    with pytest.raises(LockMismatch, match="nox -s lock -- "):
        locks.check_lock(lock, msgspec.structs.replace(ROW, **change))


def test_a_missing_or_empty_lock_is_a_mismatch(tmp_path):
    path = tmp_path / "lock.txt"
    with pytest.raises(LockMismatch, match="has no lock"):
        locks.check_lock(path, ROW)
    path.write_text("")
    with pytest.raises(LockMismatch, match="was not made for"):
        locks.check_lock(path, ROW)


def test_a_lock_that_cannot_be_made_leaves_the_old_one(lock):
    before = lock.read_bytes()
    impossible = msgspec.structs.replace(ROW, requirements=("iniconfig==2.0.0", "iniconfig<2"))
    with pytest.raises(BuildFailed, match="iniconfig"):
        locks.make_lock(lock, impossible)
    assert lock.read_bytes() == before and [path.name for path in lock.parent.iterdir()] == [lock.name]


def test_the_cutoff_decides_what_there_is(tmp_path):
    """iniconfig 2.0.0 is of January 2023."""
    early = msgspec.structs.replace(ROW, requirements=("iniconfig",), cutoff="2022-06-01T00:00:00Z")
    locks.make_lock(tmp_path / "lock.txt", early)
    assert "iniconfig==1.1.1" in (tmp_path / "lock.txt").read_text()
