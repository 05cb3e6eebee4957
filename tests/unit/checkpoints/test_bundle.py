"""TensorBundle: every type, slices, shards, both byte orders; and damage, which is named and never returned as data."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from checkpoints import CheckpointError, open_checkpoint
from checkpoints.table import TableWriter
from checkpoints.wire import field, fixed32

from .support import comparable, corpus, data, expected, needs_corpus


@pytest.mark.parametrize("base", ["types", "part", "shard", "adam"])
def test_reads_what_tensorflow_reads(base):
    wanted = expected(base)
    with open_checkpoint(data(base)) as checkpoint:
        assert list(checkpoint.tensors) == sorted(wanted)
        for name, value in wanted.items():
            read = comparable(checkpoint.read(name))
            assert read.shape == value.shape == checkpoint.tensors[name].shape
            assert read.tobytes() == value.tobytes()


def test_types_that_numpy_lacks_keep_their_name_and_bits():
    with open_checkpoint(data("types")) as checkpoint:
        assert checkpoint.tensors["d/bfloat16"].dtype == "bfloat16"
        assert checkpoint.read("d/bfloat16").dtype.names == ("bfloat16",)
        assert checkpoint.read("q/qint8" if "q/qint8" in checkpoint.tensors else "d/qint8").dtype.names == ("qint8",)


def test_listing_reads_no_tensor(tmp_path):
    shutil.copy(data("adam.index"), str(tmp_path / "only.index"))
    with open_checkpoint(tmp_path / "only") as checkpoint:
        assert checkpoint.tensors["generator/fc1/kernel"].shape == (4, 3)
        with pytest.raises(CheckpointError, match=r"only\.data-00000-of-00001: missing"):
            checkpoint.read("generator/fc1/kernel")


def test_slices_are_listed_as_one_tensor_with_their_count():
    with open_checkpoint(data("part")) as checkpoint:
        info = checkpoint.tensors["rows/w"]
        assert (info.shape, info.nbytes, info.slices) == ((10, 4), 160, 3)


def copy_bundle(base, folder):
    for name in os.listdir(data("")):
        if name.startswith((base + ".index", base + ".data")):
            shutil.copy(data(name), str(folder / name))
    return str(folder / base)


def flip(path, position):
    with open(path, "r+b") as stream:
        stream.seek(position)
        byte = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([byte ^ 4]))


@pytest.mark.parametrize("base, name", [("adam", "generator/fc1/kernel"), ("part", "rows/w"), ("types", "s/array")])
def test_a_flipped_bit_in_a_tensor_is_an_error_that_names_file_and_tensor(base, name, tmp_path):
    prefix = copy_bundle(base, tmp_path)
    shard = prefix + ".data-00000-of-00001"
    found = 0
    for position in range(os.path.getsize(shard)):
        flip(shard, position)
        with open_checkpoint(prefix) as checkpoint:
            try:
                checkpoint.read(name)
            except CheckpointError as error:
                assert name in str(error) and "data-00000" in str(error)
                found += 1
            size = checkpoint.tensors[name].nbytes
        flip(shard, position)
    assert found == size


def test_every_flipped_bit_in_an_index_is_an_error_or_harmless(tmp_path):
    prefix = copy_bundle("adam", tmp_path)
    with open_checkpoint(prefix) as checkpoint:
        listed = checkpoint.tensors
    harmless = 0
    for position in range(os.path.getsize(prefix + ".index")):
        flip(prefix + ".index", position)
        try:
            with open_checkpoint(prefix) as checkpoint:
                assert checkpoint.tensors == listed
                harmless += 1
        except CheckpointError as error:
            assert prefix + ".index" in str(error)
        flip(prefix + ".index", position)
    # The metaindex block is empty and unread, and the footer is padded with zeros: little enough.
    assert harmless < 60


@pytest.mark.parametrize("base", ["adam.index", "adam.data-00000-of-00001"])
def test_truncation_anywhere_is_an_error(base, tmp_path):
    prefix = copy_bundle("adam", tmp_path)
    path = str(tmp_path / base)
    for size in range(os.path.getsize(path) - 1, -1, -7):
        os.truncate(path, size)
        with pytest.raises(CheckpointError, match="adam"), open_checkpoint(prefix) as checkpoint:
            for name in checkpoint.tensors:
                checkpoint.read(name)


def test_an_unknown_name_is_answered_with_the_nearest():
    with open_checkpoint(data("adam")) as checkpoint:
        with pytest.raises(CheckpointError, match="nearest: generator/fc1/kernel"):
            checkpoint.read("generator/fc1/kernal")


def test_nothing_there_says_what_was_looked_for(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing"):
        open_checkpoint(tmp_path / "nothing")


@needs_corpus
def test_every_bundle_of_the_corpus_reads_whole():
    paths = corpus("**/*.index")
    assert paths
    for path in paths:
        with open_checkpoint(path[: -len(".index")]) as checkpoint:
            for name, info in checkpoint.tensors.items():
                assert checkpoint.read(name).shape == info.shape


@needs_corpus
def test_a_snappy_compressed_index_is_read():
    (path,) = corpus("serving-sm-tf2/variables/*.index")
    with open_checkpoint(path[: -len(".index")]) as checkpoint:
        assert checkpoint.read("a/.ATTRIBUTES/VARIABLE_VALUE") == np.float32(0.5)


def test_variants_are_listed_but_not_read(tmp_path):
    entry = field(1, 21) + field(2, b"") + field(5, 7) + fixed32(6, 1)
    with open(str(tmp_path / "m.index"), "wb") as stream:
        table = TableWriter(stream)
        table.add(b"", field(1, 1))
        table.add(b"list", entry)
        table.finish()
    (tmp_path / "m.data-00000-of-00001").write_bytes(bytes(7))
    with open_checkpoint(tmp_path / "m") as checkpoint:
        assert checkpoint.tensors["list"].dtype == "variant"
        with pytest.raises(CheckpointError, match="variant tensors can be listed but not read"):
            checkpoint.read("list")
