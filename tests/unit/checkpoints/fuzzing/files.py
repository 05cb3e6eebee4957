"""Damaged files of every format, made of sound ones: what is changed stands under checksums that are right again."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile

import numpy as np

from checkpoints import write_saver
from checkpoints.crc32c import crc32c, mask, masked_crc32c
from checkpoints.entries import parse_entry
from checkpoints.strings import write_strings
from checkpoints.table import MAGIC, TableReader, TableWriter
from checkpoints.wire import WireError, field, fixed32, write_varint

from ..graph_bytes import constant, function, graph_def, node
from ..support import data
from .mutate import Mutator

BUNDLES = ["part", "types", "adam", "shard", "objects_keras2", "objects_keras3", "slots_keras_adam", "old_0.12"]
BUNDLES += ["trained_legacy", "rnn_1.15", "layouts", "slots_keras_new"]


def read(path: str) -> bytes:
    """The bytes of a file."""
    with open(path, "rb") as stream:
        return stream.read()


def write(path: str, content: bytes) -> str:
    """Writes a file; its path."""
    with open(path, "wb") as stream:
        stream.write(content)
    return path


def entries_of(path: str) -> list[tuple[bytes, bytes]]:
    """Keys and values of a table."""
    with open(path, "rb") as stream:
        return [(key, bytes(value)) for key, value in TableReader(stream, path).entries()]


def write_table(path: str, entries: list[tuple[bytes, bytes]], mutator: Mutator) -> None:
    """The table of `entries`, mostly as TensorFlow writes it, sometimes packed or ordered otherwise."""
    if mutator.chance(0.75):
        with open(path, "wb") as stream:
            table = TableWriter(stream)
            for key, value in sorted(dict(entries).items()):
                table.add(key, value)
            table.finish()
        return
    write(path, odd_table(entries, mutator))


def odd_table(entries: list[tuple[bytes, bytes]], mutator: Mutator) -> bytes:
    """A table whose blocks, index, restart points or handles are not what they should be, under right checksums."""
    if mutator.chance(0.7):
        entries = sorted(dict(entries).items())
    out = bytearray()

    def put(contents: bytes) -> tuple[int, int]:
        compression = mutator.random.choice([0, 0, 0, 1, 2]) if mutator.chance(0.2) else 0
        stored = _snappy(contents) if compression == 1 else contents
        offset = len(out)
        raw = stored + bytes([compression])
        out.extend(raw + struct.pack("<I", masked_crc32c(raw)))
        return offset, len(stored)

    size = mutator.random.choice([1, 2, 3, 8, len(entries) or 1])
    index = []
    for start in range(0, len(entries), size):
        part = entries[start : start + size]
        handle = put(block(part, mutator))
        if mutator.chance(0.1):
            handle = mutator.number(handle[0]), mutator.number(handle[1])
        key = part[-1][0] if mutator.chance(0.8) else mutator.name(part[-1][0])
        index.append((key, write_varint(handle[0]) + write_varint(handle[1])))
    if mutator.chance(0.1) and index:
        index.insert(mutator.random.randrange(len(index)), mutator.random.choice(index))
    meta, top = put(struct.pack("<II", 0, 1)), put(block(index, mutator, 1))
    if mutator.chance(0.1):
        top = mutator.number(top[0]), mutator.number(top[1])
    footer = b"".join(map(write_varint, (*meta, *top)))[:40].ljust(40, b"\0")
    return bytes(out) + footer + struct.pack("<Q", MAGIC if mutator.chance(0.95) else mutator.number(MAGIC))


def block(entries: list[tuple[bytes, bytes]], mutator: Mutator, interval: int = 16) -> bytes:
    """A block with entries, whose prefixes and restart points are sometimes wrong."""
    out = bytearray()
    starts = []
    before = b""
    odd = mutator.chance(0.25)
    for place, (key, value) in enumerate(entries):
        shared = 0
        if place % interval == 0:
            starts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        numbers = [shared, len(key) - shared, len(value)]
        if odd and mutator.chance(0.1):
            numbers[mutator.random.randrange(3)] = mutator.number(shared)
        out += b"".join(map(write_varint, numbers)) + key[shared:] + value
        before = key
    starts = starts or [0]
    if odd and mutator.chance(0.3):
        starts[mutator.random.randrange(len(starts))] = mutator.number(len(out)) & 0xFFFFFFFF
    count = len(starts) if not (odd and mutator.chance(0.2)) else mutator.number(len(starts)) & 0xFFFFFFFF
    return bytes(out) + struct.pack(f"<{len(starts)}I", *starts) + struct.pack("<I", count)


def _snappy(contents: bytes) -> bytes:
    """`contents` as literals."""
    out = write_varint(len(contents))
    for start in range(0, len(contents), 60):
        piece = contents[start : start + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return out


def changed(entries: list[tuple[bytes, bytes]], mutator: Mutator) -> list[tuple[bytes, bytes]]:
    """`entries` with the messages or keys of some changed."""
    entries = list(entries)
    for _ in range(mutator.random.choice([1, 1, 1, 2, 5])):
        place = mutator.random.randrange(len(entries))
        key, value = entries[place]
        change = mutator.random.randrange(10)
        if change == 0:
            entries[place] = (mutator.name(key), value)
        elif change == 1:
            del entries[place]
            if not entries:
                break
        elif change == 2:
            entries.append((mutator.name(key), value))
        elif change == 3:
            entries[place] = (key, mutator.random.choice(entries)[1])
        else:
            entries[place] = (key, mutator.message(value))
    return entries


def bundle(mutator: Mutator, folder: str) -> str:
    """A TensorBundle whose index, or values, or both are changed."""
    base = mutator.random.choice(BUNDLES)
    prefix = os.path.join(folder, "f")
    entries = entries_of(data(base + ".index"))
    suffixes = [".data-00000-of-00001"] if base != "shard" else [f".data-0000{number}-of-00003" for number in range(3)]
    contents = {suffix: read(data(base + suffix)) for suffix in suffixes}
    if mutator.chance(0.3):
        entries = new_values(entries, contents, suffixes, mutator)
    if mutator.chance(0.8):
        entries = changed(entries, mutator) or entries
    write_table(prefix + ".index", entries, mutator)
    for suffix, content in contents.items():
        if mutator.chance(0.03):
            content = content[: mutator.random.randrange(len(content) + 1)]
        if not mutator.chance(0.01):
            write(prefix + suffix, content)
    return prefix


def new_values(
    entries: list[tuple[bytes, bytes]], contents: dict[str, bytes], suffixes: list[str], mutator: Mutator
) -> list[tuple[bytes, bytes]]:
    """The entry of one tensor for other bytes, which are added to its data file, with their checksum."""
    place = mutator.random.randrange(len(entries))
    key, value = entries[place]
    try:
        entry = parse_entry(memoryview(value))
    except WireError:
        return entries
    if not key or entry.slices or entry.shard >= len(suffixes):
        return entries
    content = contents[suffixes[entry.shard]]
    before = content[entry.offset : entry.offset + entry.size]
    crc = None
    if entry.dtype == 7 and mutator.chance(0.7):
        strings = [mutator.name() for _ in range(int(np.prod(entry.shape)))]
        if key.endswith(b"_OBJECT_GRAPH") and strings:
            _, _, graph = before.partition(b"\n")
            strings[0] = mutator.message(b"\n" + graph)
        added, unmasked = write_strings(strings)
        crc = mask(unmasked)
    else:
        added = mutator.octets(before)
    crc = mask(crc32c(added)) if crc is None or mutator.chance(0.05) else crc
    dims = b"".join(field(2, field(1, extent)) for extent in entry.shape)
    encoded = field(1, entry.dtype) + field(2, dims) + field(3, entry.shard) + field(4, len(content))
    entries = list(entries)
    entries[place] = key, encoded + field(5, len(added)) + fixed32(6, crc)
    contents[suffixes[entry.shard]] = content + added
    return entries


def v1(mutator: Mutator, folder: str) -> str:
    """A V1 checkpoint, in one file or in three."""
    if mutator.chance(0.3):
        for number in range(3):
            name = f"shard_v1-0000{number}-of-00003"
            entries = entries_of(data(name))
            if number == 0 or mutator.chance(0.5):
                entries = changed(entries, mutator) or entries
            if not mutator.chance(0.02):
                write_table(os.path.join(folder, name.replace("shard_v1", "f")), entries, mutator)
        return os.path.join(folder, "f")
    base = mutator.random.choice(["part_v1", "types_v1"])
    entries = changed(entries_of(data(base)), mutator)
    write_table(os.path.join(folder, "f"), entries, mutator)
    return os.path.join(folder, "f")


def sound_graph() -> bytes:
    """A GraphDef with constants of many types, lists that fill, Identity nodes and a function."""
    half = field(1, 19) + field(2, field(2, field(1, 3))) + field(13, b"\x80\x78\x01\x02")
    filled = field(1, 1) + field(2, field(2, field(1, 4)) + field(2, field(1, 2))) + field(5, struct.pack("<f", 1.5))
    nodes = [
        constant("fc1/kernel", np.arange(6, dtype="f4").reshape(3, 2)),
        node("fc1/kernel/read", "Identity", ["fc1/kernel"]),
        constant("fc1/bias", np.zeros(2, "f4")),
        constant("axis", np.int32(1)),
        constant("many", np.arange(9, dtype="i8")),
        constant("words", np.array(["a", "bc"], dtype=object)),
        node("half", "Const", value=field(8, half)),
        node("filled", "Const", value=field(8, filled)),
        node("dense/MatMul/ReadVariableOp/resource", "Const", value=field(8, filled)),
        node("x", "Placeholder"),
        node("out", "MatMul", ["x", "fc1/kernel/read"]),
        node("call", "PartitionedCall", ["out"], f=field(10, field(1, b"inner"))),
    ]
    return graph_def(nodes, [function("inner", ["a"], [node("b", "Relu", ["a"])], {"r": "b:activations:0"})])


def graph(mutator: Mutator, folder: str) -> str:
    """A frozen graph, or one in a MetaGraphDef beside a bundle, or in a SavedModel."""
    content = sound_graph()
    for _ in range(mutator.random.choice([1, 1, 2, 4])):
        content = mutator.message(content)
    kind = mutator.random.randrange(4)
    if kind < 2:
        return write(os.path.join(folder, "f.pb"), content)
    meta = field(1, field(4, b"serve")) + field(2, content)
    if kind == 2:
        os.mkdir(os.path.join(folder, "f"))
        saved = field(1, 1) + field(2, meta)
        write(os.path.join(folder, "f", "saved_model.pb"), mutator.message(saved) if mutator.chance(0.3) else saved)
        return os.path.join(folder, "f")
    prefix = bundle(mutator, folder)
    write(prefix + ".meta", mutator.message(meta) if mutator.chance(0.3) else meta)
    return prefix


def hdf5(mutator: Mutator, folder: str) -> str:
    """An HDF5 file of Keras with other bytes, or a new one of odd parts."""
    path = os.path.join(folder, "f.h5")
    if mutator.chance(0.5):
        sound = ["keras_1.15.h5", "weights_keras2.weights.h5", "weights_keras3.weights.h5"]
        content = read(data(mutator.random.choice(sound)))
        return write(path, mutator.octets(content))
    odd_hdf5(path, mutator)
    return write(path, mutator.octets(read(path))) if mutator.chance(0.3) else path


def odd_hdf5(path: str, mutator: Mutator) -> None:
    """Groups, datasets, links and attributes that h5py can make and Keras does not."""
    import h5py

    choose = mutator.random.choice
    with h5py.File(path, "w", libver=choice(mutator, [None, "latest"])) as file:
        groups = [file]
        for number in range(mutator.random.randrange(1, 12)):
            group = choose(groups)
            name = mutator.name().replace(b"\0", b"0")[:500] if mutator.chance(0.4) else b"n%d" % number
            try:
                kind = mutator.random.randrange(10)
                if kind < 3:
                    groups.append(group.create_group(name))
                elif kind == 3:
                    group[name] = choose([h5py.SoftLink("/x"), h5py.ExternalLink("/etc/passwd", "/"), choose(groups)])
                else:
                    _odd_dataset(group, name, mutator)
            except (ValueError, TypeError, OSError, RuntimeError, KeyError):
                continue
        for group in groups:
            if mutator.chance(0.3):
                group.attrs[choose(["name", "keras_version", "weight_names"])] = choose(["x", b"\xff", 1, ["a", "b"]])


def choice(mutator: Mutator, values: list) -> object:
    """One of `values`."""
    return mutator.random.choice(values)


def _odd_dataset(group, name: bytes, mutator: Mutator) -> None:
    import h5py

    choose = mutator.random.choice
    shape = choose([(), (0,), (3,), (2, 3), (1 << 20,), (1 << 40,), (4, 0, 3)])
    kind = mutator.random.randrange(9)
    if kind == 0:
        dataset = group.create_dataset(
            name, shape, choose(["f4", ">f8", "i1", "u8", "c8", "?", "f2", "S3", "V2", "V1"])
        )
        if mutator.chance(0.5):
            dataset.attrs["dtype"] = choose(["bfloat16", "float8_e4m3fn", "x", ["bfloat16"], 3, "int4"])
    elif kind == 1:
        group.create_dataset(name, (3,), h5py.special_dtype(vlen=choose([str, bytes, np.int32])))
    elif kind == 2:
        group.create_dataset(
            name,
            (choose([1, 1000, 1 << 22]),),
            "f4",
            fillvalue=choose([0, 3]),
            chunks=(choose([1, 1000, 1 << 20]),),
            maxshape=(None,),
            compression=choose(["gzip", "lzf", None]),
        )
    elif kind == 3:
        group.create_dataset(
            name, (3,), np.dtype([(choose(["bfloat16", "float32", "a"]), choose(["<u2", "<f4", "<i8"]))])
        )
    elif kind == 4:
        group.create_dataset(name, (3,), h5py.special_dtype(enum=("i1", {"A": 1})))
    elif kind == 5:
        group.create_dataset(name, (2,), h5py.special_dtype(ref=h5py.Reference))
    elif kind == 6:
        group.create_dataset(name, (16,), "u1", external=[("/etc/passwd", 0, 16)])
    elif kind == 7:
        group.create_dataset(name, data=h5py.Empty("f4"))
    else:
        group.create_dataset(name, data=np.arange(6, dtype="f4").reshape(2, 3))


def keras(mutator: Mutator, folder: str) -> str:
    """A .keras archive with another configuration, other weights, or other members."""
    path = os.path.join(folder, "f.keras")
    with zipfile.ZipFile(data("keras_2.21.keras")) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"].decode())
    config["compile_config"] = {"optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.1}}}
    for _ in range(mutator.random.randrange(4)):
        config = mutator.json(config)
    members["config.json"] = json.dumps(config).encode("ascii")
    if mutator.chance(0.3):
        members["config.json"] = mutator.octets(members["config.json"])
    if mutator.chance(0.4):
        members["model.weights.h5"] = mutator.octets(members["model.weights.h5"])
    write(path, zipped(members, mutator))
    return path


def zipped(members: dict[str, bytes], mutator: Mutator) -> bytes:
    """A zip archive, packed in one way or another, and sometimes damaged."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", mutator.random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, content in members.items():
            if mutator.chance(0.03):  # zipfile takes no other name
                name = mutator.text().encode("utf-8", "replace").decode().replace("\0", "0") or "x"
            archive.writestr(name, content)
    content = out.getvalue()
    return mutator.octets(content) if mutator.chance(0.2) else content


def npz(mutator: Mutator, folder: str) -> str:
    """A .npz with other headers, values, members."""
    members = {}
    for number in range(mutator.random.randrange(1, 4)):
        array = mutator.random.choice(
            [np.arange(6, dtype="f4").reshape(2, 3), np.int64(3), np.zeros((2, 0)), np.ones(3, "?")]
        )
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.asarray(array))
        content = stream.getvalue()
        change = mutator.random.randrange(4)
        if change == 0:
            content = mutator.octets(content)
        elif change == 1:
            content = odd_npy(mutator)
        name = f"n{number}" if mutator.chance(0.7) else mutator.name().decode("utf-8", "replace").replace("\0", "0")
        members[name + ".npy"] = content
    path = os.path.join(folder, "f.npz")
    try:
        return write(path, zipped(members, mutator))
    except (ValueError, UnicodeError):
        return write(path, zipped({"a.npy": odd_npy(mutator)}, mutator))


def odd_npy(mutator: Mutator) -> bytes:
    """An .npy file whose header says odd things."""
    choose = mutator.random.choice
    descr = choose(
        ["'<f4'", "'|O'", "'|S3'", "'<U3'", "[('bfloat16', '<u2')]", "[('float32', '<i8')]", "'>i8'", "'f4,f4'"]
    )
    descr = choose([descr, descr, "[]", "None", "1", "'<f4' * 3", "__import__('os')", "'|V2'", "'M8[s]'", "''"])
    shape = choose(
        ["(3,)", "()", "(2, 3)", "(-1,)", "(True,)", "3", "(1.5,)", "(1" + "0" * 18 + ",)", "(" * 50 + ")" * 50]
    )
    order = choose(["False", "True", "0", "None", "'x'"])
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    header = choose([header, header, header[:-3], header + " # x", "{" + header + "}", header.replace("'", '"')])
    raw = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    version = choose([b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x09\0"])
    length = struct.pack(
        "<H" if version == b"\1\0" else "<I", len(raw) if mutator.chance(0.9) else mutator.number() & 65535
    )
    return b"\x93NUMPY" + version + length + raw + bytes(choose([0, 4, 12, 24, 100]))


def safetensors(mutator: Mutator, folder: str) -> str:
    """A .safetensors file with another header."""
    header = {
        "__metadata__": {"format": "pt"},
        "a/kernel": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "a/bias": {"dtype": "BF16", "shape": [3], "data_offsets": [24, 30]},
        "b": {"dtype": "I64", "shape": [], "data_offsets": [30, 38]},
    }
    for _ in range(mutator.random.choice([0, 1, 1, 2])):
        header = mutator.json(header)
    text = json.dumps(header).encode("ascii")
    if mutator.chance(0.2):
        text = mutator.octets(text)
    size = len(text) if mutator.chance(0.95) else mutator.number(len(text))
    return write(os.path.join(folder, "f.safetensors"), struct.pack("<Q", size) + text + bytes(range(38)))


def state(mutator: Mutator, folder: str) -> str:
    """A directory with a `checkpoint` file that says odd things."""
    prefix = bundle(mutator, folder)
    words = [
        b"f",
        b"/gone/f",
        b"../f",
        b"checkpoint",
        b"checkpoint.meta",
        b"f.meta",
        b"f.data-00000-of-00001",
        b"\\033[2J",
    ]
    named = mutator.random.choice([*words, mutator.name().replace(b"\n", b"\\n")])
    write(os.path.join(folder, "checkpoint"), b'model_checkpoint_path: "' + named + b'"\n')
    if mutator.chance(0.3):
        write(os.path.join(folder, "checkpoint.meta"), sound_graph())
    return mutator.random.choice([folder, os.path.join(folder, "checkpoint"), prefix + ".index"])


COMPONENTS = """a b fc1 dense_1 dense_2 dense_10 kernel bias weights biases gamma moving_mean embeddings
    Adam Adam_1 Adam_\u00b2 m v Momentum RMSProp_2 iter learning_rate beta1_power beta2_power global_step optimizer vars
    optimizer_weights layers 0 1 7 training _variables .ATTRIBUTES/VARIABLE_VALUE .OPTIMIZER_SLOT metrics model_weights
    rnn lstm_cell gru_cell gates candidate cell_0 cell_1 multi_rnn_cell bidirectional_rnn fw bw basic_lstm_cell part_0
    recurrent_kernel ExponentialMovingAverage _layer_checkpoint_dependencies conv2d _
    ReadVariableOp/resource MatMul""".split()
SHAPES = [(), (), (2,), (3,), (8,), (3, 2), (2, 3), (2, 8), (4, 8), (5, 8), (2, 2), (0,), (1, 3)]


def random_name(mutator: Mutator) -> str:
    """A name of components that mean something, and sometimes of one that is odd."""
    parts = [mutator.random.choice(COMPONENTS) for _ in range(mutator.random.choice([1, 2, 2, 3, 3, 4, 6]))]
    if mutator.chance(0.1):
        parts[mutator.random.randrange(len(parts))] = mutator.name().decode("utf-8", "replace")
    return "/".join(parts).lstrip("\0") or "a"


def random_tensors(mutator: Mutator) -> dict[str, np.ndarray]:
    """Tensors of such names, of shapes that fit each other now and then."""
    tensors = {}
    for _ in range(mutator.random.choice([1, 3, 8, 20])):
        name, shape = random_name(mutator), mutator.random.choice(SHAPES)
        dtype = mutator.random.choice(["f4", "f4", "f4", "f4", "i8", "f8"])
        tensors[name] = np.full(shape, mutator.random.choice([0, 1, 0.9, 7]), dtype)
        if mutator.chance(0.3):
            for slot in mutator.random.choice([["Adam", "Adam_1"], ["Momentum"], ["ExponentialMovingAverage"]]):
                tensors[f"{name}/{slot}"] = tensors[name]
        if mutator.chance(0.1):
            tensors[name + mutator.random.choice(["_1", "_2", "\nb", '"', "\x1b[2J"])] = tensors[name]
    return tensors


def names(mutator: Mutator, folder: str) -> str:
    """A sound file whose names are odd."""
    prefix = os.path.join(folder, "f")
    write_saver(prefix, random_tensors(mutator))
    return prefix


MAKERS = {
    "names": names,
    "bundle": bundle,
    "v1": v1,
    "graph": graph,
    "hdf5": hdf5,
    "keras": keras,
    "npz": npz,
    "safetensors": safetensors,
    "state": state,
}
