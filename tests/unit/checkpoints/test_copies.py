"""Tensors that are copied from file to file in pieces, never whole: the same bytes, the same errors."""

from __future__ import annotations

import errno
import os
import threading

import numpy as np
import pytest

from checkpoints import CheckpointError, open_checkpoint, write_saver
from checkpoints.atomic import Replacement
from checkpoints.source import Source, of_checkpoint
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
@pytest.mark.parametrize("kernel", [True, False])
def test_damage_in_a_later_piece_leaves_no_copy(tmp_path, name, kernel, monkeypatch):
    if not kernel:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
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


@pytest.mark.parametrize("name", ["copy.ckpt", "copy.safetensors"])
def test_the_first_damaged_tensor_is_named_however_far_copying_is(tmp_path, name):
    prefix = str(tmp_path / "model.ckpt")
    write_saver(prefix, dict.fromkeys("abcd", _LARGE))
    with open(prefix + ".data-00000-of-00001", "r+b") as stream:
        for place in (2, 3):
            stream.seek(place * _LARGE.nbytes - 5)
            stream.write(b"?")
    with open_checkpoint(prefix) as checkpoint:
        with pytest.raises(CheckpointError, match="tensor b: checksum mismatch"):
            write(str(tmp_path / name), of_checkpoint(checkpoint))
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["copy.ckpt", "copy.safetensors"])
def test_an_interrupted_copy_ends_at_once_and_leaves_nothing(prefix, tmp_path, name, monkeypatch):
    before, threads = sorted(os.listdir(str(tmp_path))), threading.active_count()
    copied = []

    def interrupt(source, target, size, offset):
        copied.append(size)
        if len(copied) > 1:
            raise KeyboardInterrupt
        return os.pwrite(target, os.pread(source, size, offset), 0)

    monkeypatch.setattr(os, "copy_file_range", interrupt, raising=False)
    with open_checkpoint(prefix) as checkpoint:
        numbers = Source({"a/large": checkpoint.tensors["a/large"]}, checkpoint.read, checkpoint.stored)
        with pytest.raises(KeyboardInterrupt):
            write(str(tmp_path / name), numbers)
    assert len(copied) == 2
    assert sorted(os.listdir(str(tmp_path))) == before
    assert threading.active_count() == threads


def test_what_the_disk_loses_replaces_nothing(tmp_path, monkeypatch):
    def fsync(handle):
        raise OSError(5, "Input/output error")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(CheckpointError, match="Input/output error"):
        with Replacement([str(path)], overwrite=True) as (stream,):
            stream.write(b"lost")
    assert os.listdir(str(tmp_path)) == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.EINVAL, errno.ENOSYS])
def test_where_the_kernel_does_not_copy_the_bytes_are_the_same(prefix, tmp_path, monkeypatch, refusal):
    def refuse(*arguments):
        raise OSError(refusal, "no")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    test_a_saver_checkpoint_copied_is_the_same_files(prefix, tmp_path)


def test_a_full_disk_leaves_no_copy(prefix, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(os.listdir(str(tmp_path)))
    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    with open_checkpoint(prefix) as checkpoint:
        with pytest.raises(CheckpointError, match="No space left on device"):
            write(str(tmp_path / "copy.ckpt"), of_checkpoint(checkpoint))
    assert sorted(os.listdir(str(tmp_path))) == before
