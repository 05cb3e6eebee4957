"""Artifacts: verified against their manifest, published whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matrix import artifacts
from matrix.errors import ArtifactMismatch
from matrix.project import Project

CHECKOUT = Path(__file__).resolve().parents[3]
MANIFEST = artifacts.Manifest("saved", "cpu-tf1.15", "a.py::test_writes", {"tensorflow": "1.15.5"}, {})


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def publish(project, files, name="cpu-tf1.15"):
    folder = write(project.root / "out" / str(time.monotonic_ns()), files)
    artifacts.publish(project, folder, MANIFEST, project.artifacts / "saved" / name)
    return project.artifacts / "saved" / name


def texts(folder):
    names = [path for path in folder.rglob("*") if path.is_file() and path.name != artifacts.MANIFEST]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in names}


def test_what_is_published_is_verified_and_says_who_wrote_it(project):
    folder = publish(project, {"model.index": "i", "data/part": "p"})
    manifest = artifacts.verify(folder)
    assert set(manifest.sha256) == {"model.index", "data/part"}
    assert (manifest.environment, manifest.cell) == ("cpu-tf1.15", "a.py::test_writes")
    assert manifest.versions == {"tensorflow": "1.15.5"}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "model.index").write_text("j"), r"model\.index has SHA-256 .*, its manifest says"),
        (lambda folder: (folder / "model.index").write_text("ii"), r"model\.index has SHA-256"),
        (lambda folder: (folder / "data/part").unlink(), r"data/part is missing: make"),
        (lambda folder: (folder / "more").write_text(""), r"more is not in its manifest"),
        (lambda folder: (folder / artifacts.MANIFEST).write_text("{}"), r"manifest\.json cannot be read"),
        (lambda folder: (folder / artifacts.MANIFEST).unlink(), r"manifest\.json cannot be read"),
        (lambda folder: [path.write_text("") for path in (folder / "model.index", folder / "data/part")], "and 1 more"),
    ],
)
def test_whatever_was_changed_is_named_with_what_to_do(project, damage, words):
    folder = publish(project, {"model.index": "i", "data/part": "p"})
    damage(folder)
    with pytest.raises(ArtifactMismatch, match=words) as error:
        artifacts.verify(folder)
    assert "make it again" in str(error.value)


def test_publishing_again_replaces_every_file(project):
    publish(project, {"old": "1", "both": "1"})
    folder = publish(project, {"new": "2", "both": "2"})
    assert texts(folder) == {"new": "2", "both": "2"}
    assert [path.name for path in folder.parent.iterdir()] == ["cpu-tf1.15"]


def half_of_it(top, name, destination):
    """What copying does on a full disk."""
    destination.mkdir(parents=True)
    (destination / "both").write_text("ha")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_artifact_and_no_half_of_the_new_one(project, monkeypatch):
    folder = publish(project, {"both": "1"})
    monkeypatch.setattr(artifacts, "copy_folder", half_of_it)
    with pytest.raises(OSError) as error:
        publish(project, {"both": "2"})
    assert error.value.errno == errno.ENOSPC
    assert texts(folder) == {"both": "1"}
    assert [path.name for path in folder.parent.iterdir()] == ["cpu-tf1.15"]


def test_the_ids_that_are_there_are_told_by_kind(project):
    publish(project, {"file": "1"})
    publish(project, {"file": "1"}, "cpu-tf2.21")
    artifacts.publish(project, write(project.root / "made", {"file": "1"}), MANIFEST, project.committed / "saved")
    assert artifacts.ids(project) == {"saved": ["committed", "cpu-tf1.15", "cpu-tf2.21"]}


def test_a_snapshot_holds_what_is_there_by_kind_and_stays_as_it_was(project):
    write(project.committed / "saved", {})
    committed = write(project.root / "made", {"file": "committed"})
    artifacts.publish(project, committed, MANIFEST, project.committed / "saved")
    publish(project, {"file": "1"})
    taken = project.root / "taken"
    assert artifacts.snapshot(project, taken) == {"saved": ["committed", "cpu-tf1.15"]}
    publish(project, {"file": "2"})
    assert texts(taken / "saved/cpu-tf1.15") == {"file": "1"}
    assert texts(taken / "saved/committed") == {"file": "committed"}


@pytest.mark.parametrize("place", ["artifacts/saved/.cpu-tf1.15.77.new", "tests/fixtures/.saved.77.new"])
def test_what_a_killed_publisher_left_is_no_artifact_and_goes_with_the_next(project, place):
    folder = publish(project, {"file": "1"})
    artifacts.publish(project, write(project.root / "made", {"file": "1"}), MANIFEST, project.committed / "saved")
    left = write(project.root / place, {"file": "half", artifacts.MANIFEST: "{"})
    assert artifacts.snapshot(project, project.root / "taken") == {"saved": ["committed", "cpu-tf1.15"]}
    publish(project, {"file": "2"})
    artifacts.replace(project, folder, project.committed / "saved")
    assert not left.exists()


@pytest.mark.parametrize(
    ("put", "words"),
    [
        (lambda place: place.symlink_to("/etc/hostname"), "model.data is a link"),
        (lambda place: place.symlink_to("/etc"), "model.data is a link"),
        (os.mkfifo, "model.data is neither a file nor a folder"),
    ],
)
def test_what_is_no_file_is_not_copied_out_of_an_artifact(project, put, words):
    folder = publish(project, {"file": "1"})
    other = write(project.root / "made", {"file": "2"})
    put(other / "model.data")
    with pytest.raises(ArtifactMismatch, match=words):
        artifacts.replace(project, other, folder)
    assert texts(folder) == {"file": "1"} and [path.name for path in folder.parent.iterdir()] == [folder.name]


PUBLISHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from matrix.project import Project
from tests.unit.matrix.test_artifacts import publish
number = 0
while True:
    number += 1
    publish(Project(Path(sys.argv[1])), {f"file-{part}": str(number) * 1000 for part in range(20)})
    print(number, flush=True)
"""


def test_a_publisher_that_is_killed_leaves_a_whole_artifact_or_none(project):
    for wait in (0.0, 0.003, 0.007, 0.013, 0.02, 0.03):
        command = [sys.executable, "-c", PUBLISHER, str(project.root), str(CHECKOUT)]
        publisher = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE)
        publisher.stdout.readline()
        time.sleep(wait)
        os.kill(publisher.pid, signal.SIGKILL)
        publisher.communicate()
        there = artifacts.snapshot(project, project.root / f"taken-{wait}")
        assert there in ({"saved": ["cpu-tf1.15"]}, {})
        if there:
            assert len(set(texts(project.artifacts / "saved/cpu-tf1.15").values())) == 1
