"""Hostile files of every format: what is made, and what a command says of it.

`FILES` maps a name to a function that makes the file in a folder and returns what to pass, and to a pattern of the one
line that `convert` ends with; None where the file is sound, only large or strange, and is converted.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib

import numpy as np

from checkpoints.crc32c import masked_crc32c
from checkpoints.slices import slice_key
from checkpoints.strings import write_strings
from checkpoints.table import MAGIC
from checkpoints.wire import field, fixed32, write_varint

from .hostile import (
    HEADER,
    ONE,
    bundle,
    constants,
    node,
    overlapping_bundle,
    prefix_bomb,
    raw_table,
    safetensors,
    shape,
)
from .test_writers import npy, npz

LISTING = "its names and tensors take more than"
VALUES = "its values take more than"
FILES: dict = {}


def hostile(said, *arguments):
    """Adds a maker to FILES, under its name; with `arguments`, once for each of them, which it is called with."""

    def add(make):
        for number, argument in enumerate(arguments):
            FILES[f"{make.__name__}_{number}"] = (lambda folder, argument=argument: make(folder, argument)), said
        if not arguments:
            FILES[make.__name__] = make, said
        return make

    return add


# --- TensorBundles -------------------------------------------------------------------------------------------------

BYTE = field(1, 4) + shape(1) + field(5, 1) + fixed32(6, masked_crc32c(b"\0"))


def snappy_repeat(piece, count):
    """A Snappy block: `piece`, then copies of it."""
    out = write_varint(len(piece) * (count + 1)) + bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return out + (bytes([(len(piece) - 1) << 2 | 2]) + struct.pack("<H", len(piece))) * count


def snappy_index(folder, contents):
    raw_table(folder / "f.index", [(contents, 1)])
    (folder / "f.data-00000-of-00001").write_bytes(b"\0")
    return str(folder / "f")


@hostile("out of order|runs past the end|restart points")
def snappy_entries(folder):
    """A block of one entry, repeated a million times."""
    entry = b"\0\0\0" * 20
    return snappy_index(folder, snappy_repeat(entry, 60_000))


@hostile("claims to hold")
def snappy_claim(folder):
    return snappy_index(folder, write_varint(1 << 32) + b"\0a")


@hostile("points outside the block|runs past the end")
def snappy_copy_from_nowhere(folder):
    return snappy_index(folder, write_varint(64) + b"\0a" + bytes([63 << 2 | 2]) + struct.pack("<H", 9))


@hostile(LISTING)
def keys_that_share_prefixes(folder):
    return prefix_bomb(folder, key=60_000, entries=4_000)


@hostile("unknown element type")
def entries_of_nothing(folder):
    """Keys that count up, with nothing under them."""
    block = bytearray(write_varint(0) * 2 + write_varint(len(HEADER)) + HEADER)
    for number in range(100_000):
        block += b"\0\4\0" + struct.pack(">I", 0x61000000 + number)
    raw_table(folder / "f.index", [(bytes(block) + struct.pack("<II", 0, 1), 0)])
    (folder / "f.data-00000-of-00001").write_bytes(b"\0")
    return str(folder / "f")


def _index(folder, block, compression=0):
    raw_table(folder / "f.index", [(block, compression)])
    (folder / "f.data-00000-of-00001").write_bytes(b"\0")
    return str(folder / "f")


@hostile("claim more bytes than the file has")
def one_block_many_times(folder):
    out = bytearray()
    block = b"\0\0" + write_varint(len(HEADER)) + HEADER + struct.pack("<II", 0, 1)
    out += block + b"\0" + struct.pack("<I", masked_crc32c(block + b"\0"))
    handle = write_varint(0) + write_varint(len(block))
    index = b"".join(b"\0\4" + write_varint(len(handle)) + struct.pack(">I", n) + handle for n in range(10_000))
    index += struct.pack("<II", 0, 1)
    footer = write_varint(0) + write_varint(0) + write_varint(len(out)) + write_varint(len(index))
    out += index + b"\0" + struct.pack("<I", masked_crc32c(index + b"\0"))
    (folder / "f.index").write_bytes(bytes(out) + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC))
    return str(folder / "f")


@hostile(VALUES)
def tensors_over_the_same_bytes(folder):
    return overlapping_bundle(folder, tensors=2_000, size=1 << 20)


@hostile(VALUES)
def tensors_that_overlap_a_little(folder):
    data = bytes(1 << 20)
    entries = {}
    for number in range(500):
        entry = field(1, 4) + shape((1 << 20) - number) + field(4, number) + field(5, (1 << 20) - number)
        entries[b"t%05d" % number] = entry + fixed32(6, masked_crc32c(data[number:]))
    return bundle(folder, entries, data)


@hostile(VALUES)
def hollow_data(folder):
    """A terabyte of zeros that takes no disk, and one tensor of all of it."""
    size = 1 << 40
    path = bundle(folder, {b"a": field(1, 4) + shape(size) + field(5, size) + fixed32(6, 1)})
    os.truncate(path + ".data-00000-of-00001", size)
    return path


@hostile("no checkpoint index|no checkpoint|too short")
def hollow_index(folder):
    path = bundle(folder, {b"a": BYTE}, b"\0")
    os.truncate(path + ".index", 1 << 40)
    return path


@hostile("missing|is not there")
def very_many_shards(folder):
    return bundle(folder, {b"": field(1, 99_999) + field(3, field(1, 1)), b"a": BYTE}, b"\0")


@hostile("the header counts")
def too_many_shards(folder):
    return bundle(folder, {b"": field(1, 1 << 31), b"a": BYTE}, b"\0")


@hostile("has no entry")
def very_many_slices(folder):
    extents = b"".join(field(7, field(1, field(1, n) + field(2, 1))) for n in range(50_000))
    return bundle(folder, {b"a": field(1, 4) + shape(50_000) + extents}, b"\0")


@hostile("overlap in the data files|" + VALUES)
def slices_over_the_same_bytes(folder):
    size, count = 1 << 18, 400
    data = bytes(size)
    part = field(1, 4) + shape(size) + field(5, size) + fixed32(6, masked_crc32c(data))
    places = [(n * size, size) for n in range(count)]
    extents = b"".join(field(7, field(1, field(1, start) + field(2, length))) for start, length in places)
    entries = {slice_key("a", [place]): part for place in places}
    return bundle(folder, {b"a": field(1, 4) + shape(size * count) + extents, **entries}, data)


@hostile(None)
def slices_with_gaps(folder):
    extents = field(7, field(1, field(1, 0) + field(2, 1)))
    return bundle(folder, {b"a": field(1, 4) + shape(1 << 40) + extents, slice_key("a", [(0, 1)]): BYTE}, b"\0")


def string_bundle(folder, strings, count=None, stored=None):
    data, crc = write_strings(strings)
    crc = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    data = data if stored is None else stored
    entry = field(1, 7) + shape(len(strings) if count is None else count) + field(5, len(data)) + fixed32(6, crc)
    return bundle(folder, {b"s": entry}, data)


@hostile(None)
def millions_of_empty_strings(folder):
    return string_bundle(folder, [b""] * (5 << 20))


@hostile("cannot stand in|" + VALUES)
def more_strings_than_bytes(folder):
    return string_bundle(folder, [b"a"], count=1 << 40)


@hostile("its strings take")
def strings_longer_than_everything(folder):
    return string_bundle(folder, [b"a", b"b"], stored=write_varint((1 << 64) - 1) * 2 + bytes(8))


@hostile("0 tensors")
def variants_alone(folder):
    return bundle(folder, {b"a": field(1, 21) + shape() + field(5, 1)}, b"\0")


@hostile(None)
def very_many_dimensions(folder):
    """As many as every NumPy has."""
    entry = field(1, 4) + shape(*[1] * 32) + field(5, 1) + fixed32(6, masked_crc32c(b"\0"))
    return bundle(folder, {b"a": entry}, b"\0")


@hostile("more dimensions or elements")
def too_many_dimensions(folder):
    return bundle(folder, {b"a": field(1, 4) + shape(*[1] * 100_000) + field(5, 1)}, b"\0")


@hostile("more dimensions or elements")
def too_many_elements(folder):
    return bundle(folder, {b"a": field(1, 7) + shape(1 << 62, 1 << 62) + field(5, 1)}, b"\0")


NAMES = [
    "\x1b[2J\x1b]0;title\x07",
    "a\nerror: everything is well\nb",
    "a\r\x08\x08b",
    "\u202egnp.exe\u2066",
    "\u2028\u2029\x85\x0b",
    "\u200b\ufeff\u00ad",
    "\x9b31m",
    "\x7f",
    "'; rm -rf ~; '",
    'a"b\\',
    "\\1\\g<2>(.*",
    "%s%n{0}{x.__class__}",
    "__import__('os')",
    "../../../../etc/passwd",
    "\U000e0041\U000e0042",
]


@hostile(None, *NAMES)
def name(folder, name):
    return bundle(folder, {name.encode("utf-8"): BYTE, b"plain": BYTE}, b"\0")


@hostile("is not UTF-8|invalid start byte|can't decode|no valid Unicode", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80")
def name_of_bytes(folder, name):
    return bundle(folder, {name: BYTE}, b"\0")


@hostile(None)
def names_of_many_kilobytes(folder):
    return bundle(folder, {b"a" * 60_000 + b"%d" % n: BYTE for n in range(60)}, b"\0")


@hostile("a name of .* components")
def names_of_many_components(folder):
    return bundle(folder, {b"a/" * 30_000 + b"%d" % n: BYTE for n in range(60)}, b"\0")


@hostile("a name of .* characters")
def names_that_are_too_long(folder):
    return bundle(folder, {b"a" * 240_000: BYTE}, b"\0")


@hostile(None)
def scopes_in_scopes(folder):
    return bundle(folder, {b"a/" * (n % 250) + b"%d/Adam" % n: BYTE for n in range(5_000)}, b"\0")


@hostile(None)
def many_counters(folder):
    names = [f"o{n}/{leaf}" for n in range(2_000) for leaf in ("iter", "learning_rate")]
    step = field(1, 9) + shape() + field(5, 8) + fixed32(6, masked_crc32c(bytes(8)))
    rate = field(1, 1) + shape() + field(4, 8) + field(5, 4) + fixed32(6, masked_crc32c(bytes(4)))
    return bundle(folder, {each.encode(): step if each.endswith("iter") else rate for each in names}, bytes(12))


@hostile("checksum mismatch")
def footer_alone(folder):
    (folder / "f.index").write_bytes(bytes(40) + struct.pack("<Q", MAGIC))
    return str(folder / "f")


@hostile("runs past the end|checksum")
def handles_beyond_the_file(folder):
    handle = write_varint((1 << 64) - 1) + write_varint((1 << 64) - 1)
    (folder / "f.index").write_bytes((handle * 2).ljust(40, b"\0")[:40] + struct.pack("<Q", MAGIC))
    return str(folder / "f")


@hostile("not a string|0 elements|kernel", 1)
def object_graph(folder, dtype):
    """An object graph that is a number, beside variables whose names it should give."""
    graph = field(1, dtype) + shape() + field(5, 4) + fixed32(6, masked_crc32c(bytes(4)))
    names = {b"_CHECKPOINTABLE_OBJECT_GRAPH": graph, b"kernel/.ATTRIBUTES/VARIABLE_VALUE": BYTE}
    return bundle(folder, names, bytes(4))


FILES["object_graph_0"] = FILES["object_graph_0"][0], None


@hostile(None)
def object_graph_of_a_million_nodes(folder):
    return string_bundle_named(folder, b"_CHECKPOINTABLE_OBJECT_GRAPH", [field(1, b"") * 1_000_000])


def string_bundle_named(folder, name, strings):
    data, crc = write_strings(strings)
    crc = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return bundle(folder, {name: field(1, 7) + shape() + field(5, len(data)) + fixed32(6, crc)}, data)


# --- V1 ------------------------------------------------------------------------------------------------------------


def v1(folder, meta, entries):
    path = bundle(folder, {b"": field(1, meta), **entries}, name="v1")
    os.rename(path + ".index", str(folder / "v1"))
    os.unlink(path + ".data-00000-of-00001")
    return str(folder / "v1")


@hostile("is there twice")
def one_slice_many_times(folder):
    tensor = field(1, field(1, b"a") + shape(2) + field(3, 1) + field(4, field(1, b"")))
    return v1(folder, tensor * 50_000, {})


@hostile("slices cover|has no entry|overlap")
def very_many_slices_of_v1(folder):
    places = [field(4, field(1, field(1, n) + field(2, 1))) for n in range(20_000)]
    return v1(folder, field(1, field(1, b"a") + shape(20_000) + field(3, 1) + b"".join(places)), {})


@hostile(None)
def slices_against_the_order_of_blocks(folder):
    """Slices that the metadata lists from either end: to go to and fro between their blocks would take minutes."""
    count = 6_000
    places = [n // 2 if n % 2 else count - 1 - n // 2 for n in range(count)]
    slices = b"".join(field(4, field(1, field(1, n) + field(2, 1))) for n in places)
    meta = field(1, field(1, b"a") + shape(count) + field(3, 1) + slices)
    entries = {}
    for n in range(count):
        place = field(1, field(1, n) + field(2, 1))
        saved = field(1, b"a") + field(2, place) + field(3, field(5, struct.pack("<f", n)))
        entries[slice_key("a", [(n, 1)])] = field(2, saved) + field(9, bytes(100))
    return v1(folder, meta, entries)


@hostile("of its 99999 shards are here")
def one_shard_of_many(folder):
    path = v1(folder, b"", {})
    os.rename(path, str(folder / "f-00000-of-99999"))
    return str(folder / "f-00000-of-99999")


def v1_tensor(folder, number, count, value):
    place = field(1, b"")
    meta = field(1, field(1, b"a") + shape(count) + field(3, number) + field(4, place))
    saved = field(2, field(1, b"a") + field(2, place) + field(3, value))
    return v1(folder, meta, {slice_key("a", [(0, -1)]): saved})


@hostile(None)
def a_million_varints(folder):
    return v1_tensor(folder, 9, 1_000_000, field(10, write_varint((1 << 64) - 1) * 1_000_000))


@hostile(None)
def a_million_strings(folder):
    return v1_tensor(folder, 7, 1_000_000, field(8, b"") * 1_000_000)


@hostile("longer than ten bytes|past the end")
def varints_without_end(folder):
    return v1_tensor(folder, 9, 1, field(10, b"\xff" * 3_000_000))


@hostile("cannot fill|" + VALUES)
def v1_of_a_huge_shape(folder):
    return v1_tensor(folder, 1, 1 << 40, ONE)


# --- graphs --------------------------------------------------------------------------------------------------------


@hostile(VALUES)
def constants_that_fill(folder):
    return constants(folder, {f"c{n}": (8 << 20,) for n in range(400)})


@hostile(VALUES)
def a_string_that_fills(folder):
    return constants(folder, {"s": (8 << 20,)}, 7, field(8, b"x"))


@hostile(VALUES)
def complex_numbers_that_fill(folder):
    return constants(folder, {"c": (1 << 36,)}, 18, field(12, struct.pack("<2d", 1, 2)))


@hostile("more dimensions or elements")
def constant_of_too_many_dimensions(folder):
    return constants(folder, {"c": (1,) * 300_000})


@hostile("more dimensions or elements")
def constant_of_too_many_elements(folder):
    return constants(folder, {"c": (1 << 32, 1 << 32)})


@hostile("cannot stand in|" + VALUES)
def content_of_a_huge_shape(folder):
    return constants(folder, {"c": (1 << 40,)}, value=field(4, bytes(8)))


@hostile("of another width|of another type")
def list_of_another_width(folder):
    return constants(folder, {"c": (2,)}, value=field(5, 1 << 40) * 2)


@hostile(None)
def list_in_a_million_pieces(folder):
    return constants(folder, {"c": (300_000,)}, value=(write_varint(5 << 3 | 5) + struct.pack("<f", 1)) * 300_000)


@hostile("no TensorFlow graph|0 tensors")
def nodes_of_nothing(folder):
    (folder / "f.pb").write_bytes(field(1, field(1, b"a") + field(2, b"NoOp")) + field(1, b"") * 2_000_000)
    return str(folder / "f.pb")


@hostile(LISTING)
def one_node_of_many_inputs(folder):
    many = field(1, field(1, b"i") + field(2, b"Identity") + field(3, b"x") * 1_000_000)
    (folder / "f.pb").write_bytes(node(b"c", field(1, 1) + ONE) + many)
    return str(folder / "f.pb")


@hostile("a name of .* c")
def constants_of_long_names(folder):
    return constants(folder, {"a/" * 200_000 + "_1" * 100_000 + "/ReadVariableOp": (1,)})


@hostile(None)
def constants_of_names_that_nearly_match(folder):
    return constants(folder, {"a/" * 250 + "_1" * 20_000 + f"/ReadVariableOp/resource{n}": (1,) for n in range(20)})


@hostile("no TensorFlow graph")
def message_in_messages(folder):
    data = b""
    for _ in range(3_000):
        data = field(2, data)
    (folder / "f.pb").write_bytes(data)
    return str(folder / "f.pb")


@hostile("no TensorFlow graph")
def groups(folder):
    (folder / "f.pb").write_bytes(b"\x0b" * 100_000)
    return str(folder / "f.pb")


@hostile(None)
def constant_called_like_an_escape(folder):
    return constants(folder, {"a": (1,), "\x1b[2J\n": (1,), "\u202ea": (1,)})


# --- HDF5 ----------------------------------------------------------------------------------------------------------


def h5(folder, fill, **options):
    import h5py

    path = str(folder / "f.h5")
    with h5py.File(path, "w", **options) as file:
        fill(file, h5py)
    return path


@hostile(VALUES)
def one_long_string_very_often(folder):
    def fill(file, h5py):
        dataset = file.create_dataset("s", (20_000,), h5py.special_dtype(vlen=str))
        dataset[:] = ["y"] * 19_999 + ["x" * 200_000]

    path = h5(folder, fill)
    import h5py

    with h5py.File(path, "r") as file:
        place = file["s"].id.get_offset()
    content = bytearray(open(path, "rb").read())
    content[place : place + 320_000] = content[place + 319_984 : place + 320_000] * 20_000
    (folder / "f.h5").write_bytes(bytes(content))
    return path


@hostile("stands in too many places")
def paths_without_number(folder):
    def fill(file, h5py):
        before = file.create_group("g0")
        before["x"] = np.zeros(1, "f4")
        for number in range(1, 30):
            group = file.create_group(f"g{number}")
            group["a"], group["b"] = before, before
            before = group

    return h5(folder, fill)


@hostile("stands in too many places")
def one_dataset_under_many_names(folder):
    def fill(file, h5py):
        file["a"] = np.zeros(3)
        for number in range(2_000):
            file[f"n{number}"] = file["a"]

    return h5(folder, fill)


@hostile(VALUES)
def a_chunk_larger_than_its_dataset(folder):
    def fill(file, h5py):
        options = {"chunks": (1 << 28,), "maxshape": (None,), "compression": "gzip"}
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk(options["chunks"])
        created.set_deflate(9)
        space = h5py.h5s.create_simple((4,), (h5py.h5s.UNLIMITED,))
        dataset = h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, space, created)
        packed = zlib.compress(bytes(1 << 20), 9)
        if hasattr(dataset, "write_direct_chunk"):
            dataset.write_direct_chunk((0,), packed)

    return h5(folder, fill)


@hostile(VALUES + "|of which the file stores")
def zeros_by_the_gigabyte(folder):
    def fill(file, h5py):
        dataset = file.create_dataset("a", (1 << 28,), "f4", chunks=(1 << 20,), compression="gzip")
        zeros = np.zeros(1 << 20, "f4")
        for number in range(24):
            dataset[number << 20 : (number + 1) << 20] = zeros

    return h5(folder, fill)


@hostile(VALUES)
def nothing_stored(folder):
    return h5(folder, lambda file, h5py: file.create_dataset("a", (1 << 40,), "f4", chunks=(1 << 20,), fillvalue=3))


@hostile(VALUES)
def a_quintillion_elements(folder):
    return h5(folder, lambda file, h5py: file.create_dataset("a", (1 << 60,), "f8", chunks=(1 << 20,)))


@hostile("too large|" + VALUES)
def strings_in_a_large_chunk(folder):
    def fill(file, h5py):
        count = 8 << 20
        dataset = file.create_dataset("s", (count,), "S16", chunks=(count,), compression="gzip")
        dataset[:] = b"a"

    return h5(folder, fill)


@hostile(None)
def attributes_that_are_lists(folder):
    def fill(file, h5py):
        file["a"] = np.zeros(3, "f4")
        for key in ("name", "keras_version", "backend", "model_config"):
            file.attrs.create(key, ["x" * 1_000] * 50, dtype=h5py.special_dtype(vlen=str))
            file["a"].attrs.create(key, ["x" * 1_000] * 50, dtype=h5py.special_dtype(vlen=str))

    return h5(folder, fill)


@hostile("nested too deep")
def groups_in_groups(folder):
    def fill(file, h5py):
        group = file
        for _ in range(80):
            group = group.create_group("g")
        group["x"] = np.zeros(1)

    return h5(folder, fill)


@hostile("contains itself")
def a_group_in_itself(folder):
    def fill(file, h5py):
        file.create_group("g")["up"] = file["/"]

    return h5(folder, fill)


@hostile("a link to elsewhere", "soft", "external")
def links(folder, kind):
    def fill(file, h5py):
        file["l\x1b[2J"] = h5py.SoftLink("/l") if kind == "soft" else h5py.ExternalLink("/etc/passwd", "/")

    return h5(folder, fill)


@hostile("stand in another file")
def external_bytes(folder):
    return h5(folder, lambda file, h5py: file.create_dataset("a", (8,), "u1", external=[("/etc/passwd", 0, 8)]))


@hostile("which is not read", "compound", "one field", "vlen", "reference", "opaque", "lying")
def types_that_are_no_tensors(folder, kind):
    def fill(file, h5py):
        types = {
            "compound": np.dtype([("a", "f4"), ("b", "i8")]),
            "one field": np.dtype([("float32", "<i8")]),
            "vlen": h5py.special_dtype(vlen=np.int32),
            "reference": h5py.special_dtype(ref=h5py.Reference),
            "opaque": np.dtype("V7"),
            "lying": np.dtype("V4"),
        }
        file.create_dataset("a", (3,), types[kind]).attrs["dtype"] = "bfloat16"

    return h5(folder, fill)


@hostile("no valid Unicode|can't decode")
def hdf5_name_of_bytes(folder):
    return h5(folder, lambda file, h5py: file.create_dataset(b"k\xff\xfe", (3,), "f4"))


@hostile(None)
def hdf5_name_like_an_escape(folder):
    return h5(folder, lambda file, h5py: file.create_dataset("a\x1b[31m\nb", data=np.zeros(3, "f4")))


# --- zip archives --------------------------------------------------------------------------------------------------


def archive(folder, name, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(str(folder / name), "w", compression) as stream:
        for member, content in members:
            stream.writestr(member, content)
    return str(folder / name)


@hostile("claims to unpack")
def weights_of_zeros(folder):
    return archive(folder, "f.keras", [("model.weights.h5", bytes(300 << 20))])


@hostile(
    "not a readable HDF5 file", b"[" * 3_000_000, b'{"a":[' + b"[]," * 5_000_000 + b"1]}", b'{"compile_config": []}'
)
def configurations(folder, config):
    return archive(folder, "f.keras", [("model.weights.h5", bytes(100)), ("config.json", config)])


@hostile("two members are called")
def weights_twice(folder):
    path = archive(folder, "f.keras", [("model.weights.h5", b"1"), ("model.weights.h6", b"2")])
    content = open(path, "rb").read().replace(b"weights.h6", b"weights.h5")
    (folder / "f.keras").write_bytes(content)
    return path


@hostile("unknown compression")
def weights_in_lzma(folder):
    return archive(folder, "f.keras", [("model.weights.h5", bytes(100))], zipfile.ZIP_LZMA)


@hostile("is encrypted|a damaged zip archive")
def weights_in_secret(folder):
    path = archive(folder, "f.keras", [("model.weights.h5", bytes(100))], zipfile.ZIP_STORED)
    content = bytearray(open(path, "rb").read())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    (folder / "f.keras").write_bytes(bytes(content))
    return path


@hostile("a pickle is in it")
def a_pickle_in_an_archive(folder):
    return archive(folder, "f.keras", [("archive/data.pkl", b"\x80\x02")])


@hostile("no model.weights.h5")
def members_that_lead_out(folder):
    return archive(folder, "f.keras", [("../../../../tmp/carryover-evil\x1b[2J", b"x")])


@hostile("claim more bytes than the file has|Overlapped|is not as long")
def members_over_the_same_bytes(folder):
    """A thousand names for one member of a megabyte of zeros."""
    data = npy("'|u1'", f"({1 << 20},)", bytes(1 << 20))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    rest = (0, 8, 0, 0, zlib.crc32(data), len(packed), len(data))
    out = bytearray(struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, *rest, 10, 0) + b"a00000.npy" + packed)
    directory = b"".join(
        struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, *rest, 10, 0, 0, 0, 0, 0, 0) + b"a%05d.npy" % number
        for number in range(1_000)
    )
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1_000, 1_000, len(directory), len(out), 0)
    (folder / "f.npz").write_bytes(bytes(out) + directory + end)
    return str(folder / "f.npz")


@hostile("a damaged zip archive|not a zip file|no checkpoint|no TensorFlow graph|0 tensors|not.*a zip")
def directory_of_nothing(folder):
    """An archive that says that it has 65,535 members, and has none."""
    (folder / "f.npz").write_bytes(b"PK\3\4" + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, 0, 4, 0))
    return str(folder / "f.npz")


FILES["directory_of_nothing"] = directory_of_nothing, None


@hostile(VALUES)
def array_of_zeros(folder):
    return archive(folder, "f.npz", [("a.npy", npy("'|u1'", f"({200 << 20},)", bytes(200 << 20)))])


@hostile("which is not read")
def array_of_objects(folder):
    return npz(folder / "f.npz", npy("'|O'", "(3,)", b"\x80\x02."))


@hostile("a header of")
def header_of_megabytes(folder):
    header = b"\x93NUMPY\x02\0" + struct.pack("<I", 30 << 20) + b"(" * (30 << 20)
    return archive(folder, "f.npz", [("a.npy", header)])


@hostile("does not fit")
def array_of_a_huge_shape(folder):
    return npz(folder / "f.npz", npy("'<f4'", "(1000000000000, 1000000000000, 1000000000000)", bytes(4)))


@hostile(None)
def arrays_without_number(folder):
    content = npy("'|u1'", "()", b"\0")
    return archive(folder, "f.npz", [(f"n{number}.npy", content) for number in range(8_000)], zipfile.ZIP_STORED)


@hostile(None, "\x1b[2J.npy", "a\nb.npy", "\u202ea.npy", "../../a.npy", "/etc/a.npy")
def array_names(folder, name):
    return npz(folder / "f.npz", npy("'<f4'", "(1,)", bytes(4)), name)


# --- safetensors ---------------------------------------------------------------------------------------------------


def tensor(begin, end, extents=None, dtype="U8"):
    return {"dtype": dtype, "shape": [end - begin] if extents is None else extents, "data_offsets": [begin, end]}


@hostile("where the one before ends")
def safe_tensors_over_the_same_bytes(folder):
    return safetensors(folder, {f"t{n}": tensor(0, 1 << 20) for n in range(3_000)}, bytes(1 << 20))


@hostile("where the one before ends")
def safe_tensors_with_a_hole(folder):
    return safetensors(folder, {"a": tensor(0, 4), "b": tensor(8, 12)}, bytes(12))


@hostile("its tensors take")
def safe_tensors_with_a_tail(folder):
    return safetensors(folder, {"a": tensor(0, 4)}, bytes(1_000))


@hostile(
    "header",
    b"[]",
    b"1",
    b'"a"',
    b"null",
    b"{",
    b'{"a": 1}',
    b'{"a": []}',
    b'{"a": {"dtype": ["F32"], "shape": [], "data_offsets": [0, 4]}}',
    b'{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}',
    b'{"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}',
    b'{"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}}',
    b'{"a": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}}',
    b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}',
    b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": {"0": 4}}}',
    b'{"a": {"dtype": "F32", "shape": [' + b"1," * 50_000 + b'1], "data_offsets": [0, 4]}}',
    b'{"a": {"dtype": "F32", "shape": [' + b"9" * 1_000_000 + b'], "data_offsets": [0, 4]}}',
    b"[" * 1_000_000,
    b'{"a":' * 200_000,
    b'{"\xff": 1}',
    b"\xef\xbb\xbf{}",
)
def headers(folder, text):
    return safetensors(folder, text, bytes(4))


@hostile("no valid Unicode")
def half_a_character(folder):
    return safetensors(folder, b'{"\\ud800": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', bytes(4))


@hostile("bytes long|header length|past the end")
def header_longer_than_the_file(folder):
    (folder / "f.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    return str(folder / "f.safetensors")


@hostile("cannot be a tensor's name")
def an_empty_name(folder):
    return safetensors(folder, {"": tensor(0, 4)}, bytes(4))


@hostile(None)
def metadata_by_the_megabyte(folder):
    header = {"__metadata__": {f"k{n}": "x" * 100 for n in range(20_000)}, "a": tensor(0, 4)}
    return safetensors(folder, header, bytes(4))


# --- what stands at a path -----------------------------------------------------------------------------------------


@hostile("not a regular file")
def a_pipe(folder):
    os.mkfifo(str(folder / "f.npz"))
    return str(folder / "f.npz")


@hostile("[Tt]oo many levels|no checkpoint|No such file|not a regular file|symbolic link")
def a_link_to_itself(folder):
    os.symlink("f.h5", str(folder / "f.h5"))
    return str(folder / "f.h5")


@hostile("Is a directory|not a regular file|no checkpoint")
def a_folder_called_like_an_index(folder):
    (folder / "f.index").mkdir()
    return str(folder / "f.index")


@hostile("names no checkpoint|not beside it")
def a_state_file_of_escapes(folder):
    (folder / "checkpoint").write_bytes(b'model_checkpoint_path: "' + b"\\033[2J" * 100_000 + b'"\n')
    return str(folder)


@hostile("not beside it")
def a_state_file_that_names_itself(folder):
    (folder / "checkpoint").write_bytes(b'model_checkpoint_path: "checkpoint.meta"\n')
    (folder / "checkpoint.meta").write_bytes(b"")
    return str(folder)


@hostile("no checkpoint in this directory")
def a_folder_of_many_files(folder):
    for number in range(3_000):
        (folder / f"n{number}.txt").write_bytes(b"")
    return str(folder)


@hostile("3000 checkpoints; pass one of")
def a_folder_of_many_indexes(folder):
    for number in range(3_000):
        (folder / f"n{number}\x1b[2J.index").write_bytes(b"")
    return str(folder)


@hostile("a text file|compressed by gzip|a tar archive|an empty file|a web page|a Python pickle", 0, 1, 2, 3, 4, 5)
def other_files(folder, number):
    stream = io.BytesIO()
    tar = b"a".ljust(257, b"\0") + b"ustar\x0000" + bytes(247)
    contents = [
        b"plain text\n" * 99,
        b"\x1f\x8b\x08\0" + bytes(60),
        tar,
        stream.getvalue(),
        b"<!DOCTYPE html>",
        b"\x80\x04.",
    ]
    (folder / "file\x1b[2J").write_bytes(contents[number])
    return str(folder / "file\x1b[2J")


@hostile("not JSON|no such|no checkpoint")
def json_of_something_else(folder):
    (folder / "f.safetensors").write_bytes(json.dumps({"a": 1}).encode() * 10)
    return str(folder / "f.safetensors")


FILES["json_of_something_else"] = json_of_something_else, "bytes long|header|a text file"
