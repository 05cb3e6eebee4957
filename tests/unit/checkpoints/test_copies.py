"""Tensors that are copied from file to file in pieces, never whole: the same bytes, the same errors."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from checkpoints import CheckpointError, open_checkpoint, write_saver
from checkpoints.atomic import Replacement
from checkpoints.source import of_checkpoint
from checkpoints.writers import write

# More than two pieces, and no whole number of them.
_LARGE = np.random.default_rng(0).standard_normal(700001).astype("f4")


@pytest.fixture
def prefix(tmp_path):
    path = str(tmp_path / "model.ckpt")
    write_saver(
        path, {"a/empty": np.zeros((0, 3), "f8"), "a/large": _LARGE, "a/scalar": np.int64(7), "z/text": b"words"}
    )
    return path


def test_a_saver_checkpoint_copied_is_the_same_files(prefix, tmp_path):
    target = str(tmp_path / "copy.ckpt")
    with open_checkpoint(prefix) as checkpoint:
        write(target, of_checkpoint(checkpoint))
    for suffix in (".index", ".data-00000-of-00001"):
        with open(prefix + suffix, "rb") as left, open(target + suffix, "rb") as right:
            assert left.read() == right.read()


def test_safetensors_holds_the_copied_bytes(tmp_path):
    prefix, target = str(tmp_path / "model.ckpt"), str(tmp_path / "copy.safetensors")
    write_saver(prefix, {"large": _LARGE, "scalar": np.int64(7)})
    with open_checkpoint(prefix) as checkpoint:
        write(target, of_checkpoint(checkpoint))
    with open_checkpoint(target) as copy:
        assert np.array_equal(copy.read("large"), _LARGE)
        assert copy.read("scalar") == 7


@pytest.mark.parametrize("name", ["copy.ckpt", "copy.safetensors"])
def test_damage_in_a_later_piece_leaves_no_copy(tmp_path, name):
    prefix = str(tmp_path / "model.ckpt")
    write_saver(prefix, {"large": _LARGE})
    with open(prefix + ".data-00000-of-00001", "r+b") as stream:
        stream.seek(_LARGE.nbytes - 5)
        stream.write(b"?")
    before = sorted(os.listdir(str(tmp_path)))
    with open_checkpoint(prefix) as checkpoint:
        with pytest.raises(CheckpointError, match="tensor large: checksum mismatch"):
            write(str(tmp_path / name), of_checkpoint(checkpoint))
    assert sorted(os.listdir(str(tmp_path))) == before


def test_what_the_disk_loses_meanwhile_is_no_success(tmp_path, monkeypatch):
    calls = []

    def fsync(handle):
        calls.append(handle)
        if len(calls) == 1:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(CheckpointError, match="Input/output error"):
        with Replacement([str(tmp_path / "file")]) as (stream,):
            stream.write(b"lost")
            while not calls:
                time.sleep(0.01)
    assert os.listdir(str(tmp_path)) == []
