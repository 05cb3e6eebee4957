"""A package index that has bad days while an environment is built: one clear line, and nothing half-made."""

from __future__ import annotations

import hashlib

import pytest

from tests.engine.planted import ID
from tests.index import serve, wheel


@pytest.fixture
def index(planted_anew):
    """An index with one thing on it, and a lock that pins it."""
    with serve() as served:
        file = served.add("thing", "1.2.0")
        lock = planted_anew.root / f"docker/locks/{ID}.txt"
        digest = hashlib.sha256(served.files[file]).hexdigest()
        pins = [lock.read_text().splitlines()[0], f"thing==1.2.0 --hash=sha256:{digest}", f"# {planted_anew.root}"]
        lock.write_text("\n".join(pins) + "\n")
        planted_anew.cells("def test_passes(): pass\n")
        yield served


def build(planted, index):
    """The one line that a run ends with, and that nothing is left under a good name."""
    done = planted.run(UV_DEFAULT_INDEX=index.url, UV_HTTP_TIMEOUT="1", UV_CACHE_DIR=str(planted.root / "cache"))
    assert done.status == 6, done.out + done.err
    assert planted.left() == []
    assert planted.records()["test_passes"].outcome.value == "not run"
    return done.error


def test_a_release_that_vanished(planted_anew, index):
    index.files.clear()
    line = build(planted_anew, index)
    assert "is not on the package index any more" in line and f"nox -s lock -- {ID}" in line and "thing" in line


def test_a_file_that_vanished(planted_anew, index):
    index.gone |= set(index.files)
    line = build(planted_anew, index)
    assert "is not on the package index any more" in line and "thing-1.2.0" in line


def test_a_file_that_is_another_than_the_lock_says(planted_anew, index):
    (file,) = index.files
    _, index.files[file] = wheel("thing", "1.2.0", text=b"changed = True")
    assert "ash mismatch" in build(planted_anew, index)


def test_an_index_that_answers_with_errors_is_asked_again(planted_anew, index):
    index.broken = 503
    line = build(planted_anew, index)
    assert "does not answer, though asked several times" in line and index.asked >= 4


def test_an_index_that_does_not_answer(planted_anew, index):
    index.silent = True
    assert "does not answer, though asked several times" in build(planted_anew, index)
