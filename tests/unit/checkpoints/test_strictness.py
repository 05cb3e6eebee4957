"""As strict as TensorFlow's own readers, or stricter: what they refuse in an index or a V1 file is refused here."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from checkpoints import CheckpointError, make_plan, open_checkpoint
from checkpoints.crc32c import masked_crc32c
from checkpoints.slices import slice_key
from checkpoints.wire import field, fixed32, write_varint

from .hostile import HEADER, bundle, constants, node, raw_table, shape
from .support import HERE, Variable, data

DATA = np.arange(6, dtype="<f4").tobytes()
CRC = fixed32(6, masked_crc32c(DATA))
ENTRY = field(1, 1) + shape(2, 3) + field(5, 24) + CRC


def double(number, value):
    """A field of eight bytes."""
    return write_varint(number << 3 | 1) + struct.pack("<Q", value)


def read_all(path):
    with open_checkpoint(path) as checkpoint:
        return {name: checkpoint.read(name) for name in checkpoint.tensors}


def test_the_sound_entry_is_read(tmp_path):
    assert read_all(bundle(tmp_path, {b"a": ENTRY}, DATA))["a"].tobytes() == DATA


@pytest.mark.parametrize(
    "version, accepted",
    [
        (field(1, 1), True),
        (field(1, 7) + field(2, 1), True),
        (field(1, 1) + field(2, 2), False),
        (field(1, (1 << 64) - 1), False),
        (field(3, 1), False),
        (field(3, b"\x05\x01"), False),
        (field(3, 2), True),
        (field(2, (1 << 32) + 1), True),
    ],
)
def test_version_of_the_header(version, accepted, tmp_path):
    path = bundle(tmp_path, {b"": field(1, 1) + field(3, version), b"a": ENTRY}, DATA)
    if accepted:
        assert "a" in read_all(path)
    else:
        with pytest.raises(CheckpointError, match="asks for a newer reader"):
            read_all(path)


@pytest.mark.parametrize(
    "entry",
    [
        shape(2, 3) + field(5, 24) + CRC + double(1, 1),
        field(1, 1) + shape(2, 3) + fixed32(5, 24) + CRC,
        field(1, 1) + shape(2, 3) + double(5, 24) + CRC,
        field(1, 1) + shape(2, 3) + field(5, 24) + field(6, masked_crc32c(DATA)),
        field(1, 1) + shape(2, 3) + field(5, 24) + double(6, masked_crc32c(DATA)),
        field(1, b"\x01") + shape(2, 3) + field(5, 24) + CRC,
        field(1, 1) + fixed32(2, 3) + field(5, 24) + CRC,
        field(1, 1) + field(2, field(2, fixed32(1, 6))) + field(5, 24) + CRC,
        field(1, 1) + shape(2) + shape(3) + field(5, 24) + CRC,
        field(1, 1) + shape(2, 3) + shape(2, 3) + field(5, 24) + CRC,
        field(1, 1) + shape(*([1] * 255)) + field(5, 4) + CRC,
        field(1, 1) + shape(1 << 62, 2, 0) + field(5, 0) + CRC,
        field(1, 1) + shape(2, (1 << 64) - 1) + field(5, 24) + CRC,
        field(1, 1) + field(2, field(3, 1)) + field(5, 4) + CRC,
        field(1, 99) + shape(2, 3) + field(5, 24) + CRC,
        field(1, 1) + shape(2, 3) + field(3, 1) + field(5, 24) + CRC,
        field(1, 1) + shape(2, 3) + field(4, (1 << 64) - 1) + field(5, 24) + CRC,
        b"\x0b\x0c" + ENTRY,
        ENTRY + b"\x80",
    ],
)
def test_messages_of_another_form(entry, tmp_path):
    with pytest.raises(CheckpointError, match=r"model\.index: entry b'a': "):
        read_all(bundle(tmp_path, {b"a": entry}, DATA))


def test_slices_that_belong_to_nothing(tmp_path):
    whole = field(1, 1) + shape(2, 3) + field(7, b"")
    sound = {b"a": whole, slice_key("a", ()): ENTRY}
    for entries, said in [
        ({b"a": ENTRY, slice_key("b", ((0, 1),)): ENTRY}, "a slice of no tensor"),
        ({**sound, slice_key("a", ((0, 1),)): ENTRY}, "a slice of no tensor"),
        ({**sound, b"a": whole + field(7, b"")}, "a slice is there twice"),
        ({**sound, slice_key("a", ()): whole}, "a slice that has slices itself"),
        ({**sound, slice_key("a", ()): field(1, 99)}, "unknown element type"),
    ]:
        with pytest.raises(CheckpointError, match=said):
            read_all(bundle(tmp_path, entries, DATA))


def block(*entries, restarts=(0,), count=None):
    """A block of entries (shared, key, value) with any restart points."""
    out = b"".join(
        write_varint(shared) + write_varint(len(key)) + write_varint(len(value)) + key + value
        for shared, key, value in entries
    )
    count = len(restarts) if count is None else count
    return out + struct.pack(f"<{len(restarts) + 1}I", *restarts, count)


@pytest.mark.parametrize(
    "blocks, said",
    [
        ([block((0, b"", HEADER), (0, b"a", ENTRY), restarts=())], "restart points"),
        ([block((0, b"", HEADER), (0, b"a", ENTRY), restarts=(3,))], "restart points"),
        ([block((0, b"", HEADER), (0, b"a", ENTRY), (1, b"b", ENTRY), restarts=(0, 40))], "restart points"),
        ([block((0, b"", HEADER), (0, b"a", ENTRY), restarts=(0, 5))], "restart points"),
        ([block((0, b"", HEADER), (0, b"a", ENTRY), count=1 << 30)], "restart points do not fit"),
        ([block((0, b"", HEADER), (0, b"b", ENTRY), (0, b"a", ENTRY))], "out of order"),
        ([block((0, b"", HEADER), (0, b"a", ENTRY), (0, b"a", ENTRY))], "out of order"),
        ([block((0, b"", HEADER), (1, b"a", ENTRY))], "runs past the end"),
        ([block((0, b"", HEADER), (0, b"\xff\xff", ENTRY))], "not those that the index gives"),
        ([block((0, b"", HEADER)), block((0, b"a", ENTRY))], "not those that the index gives"),
    ],
)
def test_tables_that_tensorflow_cannot_search(blocks, said, tmp_path):
    raw_table(tmp_path / "model.index", [(each, 0) for each in blocks])
    (tmp_path / "model.data-00000-of-00001").write_bytes(DATA)
    with pytest.raises(CheckpointError, match=said):
        read_all(tmp_path / "model")


def test_a_damaged_block(tmp_path):
    """TensorFlow reads what other blocks hold."""
    damaged = block((0, b"b", ENTRY))
    blocks = [block((0, b"", HEADER), (0, b"a", ENTRY)), damaged]
    raw_table(tmp_path / "model.index", [(each, 0) for each in blocks])
    content = (tmp_path / "model.index").read_bytes()
    (tmp_path / "model.index").write_bytes(content.replace(damaged, damaged[:-6] + b"x" + damaged[-5:]))
    (tmp_path / "model.data-00000-of-00001").write_bytes(DATA)
    with pytest.raises(CheckpointError, match="checksum mismatch"):
        read_all(tmp_path / "model")


def v1_file(folder, meta, key, value):
    """A V1 checkpoint of one table entry beside its metadata."""
    path = bundle(folder, {b"": meta, key: value}, name="v1")
    os.rename(path + ".index", str(folder / "v1"))
    return str(folder / "v1")


SLICE = field(1, b"")
META = field(1, b"a") + shape(2) + field(3, 1) + field(4, SLICE)
KEY = slice_key("a", ((0, -1),))
VALUE = field(5, struct.pack("<2f", 1, 2))


def saved(value, name=b"a", place=SLICE):
    return field(2, field(1, name) + field(2, place) + field(3, value))


def test_the_sound_v1_file_is_read(tmp_path):
    assert read_all(v1_file(tmp_path, field(1, field(1, META)), KEY, saved(VALUE)))["a"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "meta, value, said",
    [
        (field(1, field(1, META) + field(2, field(1, 1) + field(2, 5))), saved(VALUE), "newer reader"),
        (field(1, field(1, META) + field(1, META)), saved(VALUE), "is there twice"),
        (field(1, field(1, META)) * 2, saved(VALUE), "is there twice"),
        (field(1, field(1, META + field(4, SLICE))), saved(VALUE), "is there twice"),
        (field(1, field(1, META + shape(2))), saved(VALUE), "its shape is there twice"),
        (field(1, field(1, META)), saved(VALUE, name=b"b"), "belongs to 'b'"),
        (field(1, field(1, META)), saved(VALUE, place=b""), "is of the slice"),
        (field(1, field(1, META)), saved(VALUE, place=b"\x08\x01"), "stands where a message should"),
        (field(1, field(1, META)), saved(VALUE) * 2, "is there twice"),
        (field(1, field(1, META)), saved(b""), "0 elements cannot fill"),
        (field(1, field(1, META)), saved(VALUE + field(6, bytes(8))), "values of another type"),
        (field(1, field(1, META)), saved(VALUE + field(4, bytes(8))), "holds its values twice"),
        (field(1, field(1, META)), saved(field(5, 1 << 40) * 2), "of another width"),
        (field(1, field(1, META)), saved(double(5, 1) * 2), "of another width"),
        (field(1, field(1, META)), saved(field(5, bytes(7))), "cut short"),
        (field(1, field(1, META)), field(2, b""), "belongs to ''"),
    ],
)
def test_v1_messages_of_another_form(meta, value, said, tmp_path):
    with pytest.raises(CheckpointError, match=said):
        read_all(v1_file(tmp_path, meta, KEY, value))


@pytest.mark.parametrize(
    "value", [field(5, 1 << 40), double(5, 1), field(7, 1), field(5, bytes(6)), field(4, bytes(3))]
)
def test_constants_of_another_form(value, tmp_path):
    with pytest.raises(CheckpointError, match=r"graph\.pb: constant c: "):
        read_all(constants(tmp_path, {"c": (1,)}, value=value))


@pytest.mark.parametrize(
    "proto", [field(1, 1) + field(2, b"\x10"), field(1, 1) + shape(2) * 2, field(1, 99) + shape(1)]
)
def test_constants_that_are_not_listed(proto, tmp_path):
    (tmp_path / "graph.pb").write_bytes(node(b"c", proto))
    with pytest.raises(CheckpointError, match="no TensorFlow graph, or a damaged one"):
        open_checkpoint(tmp_path / "graph.pb")


def test_an_object_graph_that_is_no_string(tmp_path):
    value = fixed32(6, masked_crc32c(bytes(4)))
    entries = {b"_CHECKPOINTABLE_OBJECT_GRAPH": field(1, 1) + shape() + field(5, 4) + value}
    with open_checkpoint(bundle(tmp_path, entries, bytes(4))) as checkpoint:
        assert checkpoint.roles()["_CHECKPOINTABLE_OBJECT_GRAPH"].kind == "bookkeeping"


def test_damaged_files_beside_tensorflow():
    """What TensorFlow refuses of some dozens of damaged files is refused, and what both read is the same."""
    pytest.importorskip("tensorflow")
    root = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
    command = [sys.executable, "-m", "tests.unit.checkpoints.fuzzing.beside_tensorflow", "--count", "40"]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0 and b"80 inputs" in said, said.decode()


def test_restart_points_of_tensorflow_are_right():
    for name in ("part.index", "types.index", "part_v1", "old_0.12.index", "objects_keras2.index"):
        with open_checkpoint(data(name)) as checkpoint:
            assert checkpoint.tensors


@pytest.mark.parametrize("dtype, extents", [(1, ()), (7, (1,)), (7, (0,))])
def test_a_plan_beside_an_odd_object_graph(dtype, extents, tmp_path):
    data = bytes(4) if dtype == 1 else b"\0" * (extents[0] if extents else 1) + bytes(4)
    crc = masked_crc32c(data) if dtype == 1 else 0
    graph = field(1, dtype) + shape(*extents) + field(5, len(data)) + fixed32(6, crc)
    value = field(1, 1) + shape() + field(5, 4) + fixed32(6, masked_crc32c(data[:4]))
    path = bundle(tmp_path, {b"_CHECKPOINTABLE_OBJECT_GRAPH": graph, b"a": value}, data)
    with open_checkpoint(path) as checkpoint:
        assert len(make_plan(checkpoint, {"a": Variable(())}).loads()) == 1
