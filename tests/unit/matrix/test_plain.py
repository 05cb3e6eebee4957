"""Removing and copying what a cell left, whatever it is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from matrix.errors import ArtifactMismatch
from matrix.plain import copy_folder, remove_tree


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    return path


def descend(path, depth, name="d"):
    """Make folders in folders, deeper than a path can say."""
    code = f"import os, sys; os.chdir(sys.argv[1])\nfor _ in range({depth}): os.mkdir({name!r}); os.chdir({name!r})\n"
    subprocess.run([sys.executable, "-c", code + "open('file', 'w').close()", str(path)], check=True)


@pytest.mark.parametrize(("depth", "name"), [(3000, "d"), (60, "n" * 255)], ids=["folders", "long names"])
def test_deep_folders_go(folder, depth, name, monkeypatch):
    descend(folder, depth, name)
    monkeypatch.setenv("PATH", "")  # no other program is needed
    remove_tree(folder)
    assert not folder.exists()


def test_locked_folders_go(folder):
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/b/file").touch()
    for name in ("a/b/c", "a/b", "a"):
        (folder / name).chmod(0)
    folder.chmod(0o500)
    remove_tree(folder)
    assert not folder.exists()


def test_links_are_not_followed(folder, tmp_path):
    kept = tmp_path / "kept"
    (kept / "inner").mkdir(parents=True)
    (kept / "file").touch()
    kept.chmod(0o750)
    (folder / "sub").mkdir()
    for place in (folder / "link", folder / "sub/link"):
        place.symlink_to(kept)
    os.mkfifo(folder / "sub/pipe")
    remove_tree(folder)
    assert not folder.exists()
    assert sorted(os.listdir(kept)) == ["file", "inner"] and kept.stat().st_mode & 0o777 == 0o750
    folder.symlink_to(kept)
    remove_tree(folder)
    assert (kept / "file").exists()


def test_nothing_there(tmp_path):
    remove_tree(tmp_path / "nothing")


def test_copy_within_limits(folder, tmp_path):
    (folder / "x").mkdir()
    (folder / "x/file").write_bytes(b"12345")
    copy_folder(folder, "x", tmp_path / "copy", 5)
    assert (tmp_path / "copy/file").read_bytes() == b"12345"
    with pytest.raises(ArtifactMismatch, match="CARRYOVER_ARTIFACT_GB"):
        copy_folder(folder, "x", tmp_path / "again", 4)
