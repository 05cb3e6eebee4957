"""A lock knows what it was made for."""

from __future__ import annotations

import msgspec
import pytest

from matrix import locks
from matrix.environments import Environment
from matrix.errors import BuildFailed, LockMismatch
from tests.index import serve

ROW = Environment("cpu-tf2.21", "2.21.0", "tensorflow-cpu", "3.13", 3, ("iniconfig==2.0.0",), "2026-01-01T00:00:00Z")


@pytest.fixture
def lock(tmp_path):
    """A real lock of one small distribution."""
    path = tmp_path / "cpu-tf2.21.txt"
    assert locks.make_lock(path, ROW) == (1, [])
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


@pytest.fixture
def index(monkeypatch, tmp_path):
    """An index of our own instead of the usual one, and a row that asks it for one package."""
    with serve() as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("UV_HTTP_TIMEOUT", "1")
        served.add("thing", "1.2.0")
        yield served


THING = msgspec.structs.replace(
    ROW,
    requirements=("thing==1.2.0",),
    cutoff="2026-01-01T00:00:00Z",
    places={"": "environments.toml:7", "python": "environments.toml:10"},
)


def locked(tmp_path):
    path = tmp_path / "lock.txt"
    locks.make_lock(path, THING)
    return path


def test_a_newer_patch_is_told_and_a_newer_release_is_not(index, tmp_path):
    lock = locked(tmp_path)
    index.add("thing", "1.3.0")
    assert locks.news(lock, THING) == []
    index.add("thing", "1.2.1")
    assert locks.news(lock, THING) == ["thing==1.2.0: there is 1.2.1"]


def test_a_yanked_release_is_told_with_its_reason(index, tmp_path):
    lock = locked(tmp_path)
    index.yanked[index.add("thing", "1.2.0")] = "it eats data"
    assert any("is yanked" in line and "it eats data" in line for line in locks.news(lock, THING))
    _, warnings = locks.make_lock(lock, THING)
    assert any("is yanked" in line and "it eats data" in line for line in warnings)


def test_a_release_that_vanished_is_told(index, tmp_path):
    lock = locked(tmp_path)
    index.files.clear()
    index.add("thing", "1.1.0")
    assert any("no version of thing==1.2.0" in line for line in locks.news(lock, THING))
    with pytest.raises(BuildFailed, match=r"environments\.toml:7: .* no version of thing==1\.2\.0"):
        locks.make_lock(lock, THING)


def test_a_python_that_the_wheels_do_not_support_is_named_with_its_line(index, tmp_path):
    index.files.clear()
    index.add("thing", "1.2.0", "cp37-cp37m-manylinux2010_x86_64")
    with pytest.raises(BuildFailed, match=r"environments\.toml:10: python = '3\.13' .* `cp37m`"):
        locked(tmp_path)


@pytest.mark.parametrize("trouble", [{"silent": True}, {"broken": 503}], ids=["timeout", "503"])
def test_an_index_that_does_not_answer_is_asked_again_then_said(index, tmp_path, trouble):
    lock = locked(tmp_path)
    before, asked = lock.read_bytes(), index.asked
    for name, value in trouble.items():
        setattr(index, name, value)
    with pytest.raises(BuildFailed, match="the package index does not answer, though asked several times"):
        locks.make_lock(lock, msgspec.structs.replace(THING, requirements=("thing", "other")))
    assert lock.read_bytes() == before
    assert "broken" not in trouble or index.asked - asked >= 4


def test_a_missing_lock_is_named_with_the_line_of_its_row(tmp_path):
    with pytest.raises(LockMismatch, match=r"^environments\.toml:7: cpu-tf2\.21 has no lock"):
        locks.check_lock(tmp_path / "lock.txt", THING)
