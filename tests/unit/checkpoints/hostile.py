"""Makes hostile files: small ones that claim to hold very much, types that lie, names that act on terminals."""

from __future__ import annotations

import json
import struct

from checkpoints.crc32c import masked_crc32c
from checkpoints.table import MAGIC, TableWriter
from checkpoints.wire import field, fixed32, write_varint

HEADER = field(1, 1) + field(3, field(1, 1))


def shape(*extents):
    """A TensorShapeProto, as the field of number 2."""
    return field(2, b"".join(field(2, field(1, extent)) for extent in extents))


def bundle(folder, entries, data=b"", name="model"):
    """A TensorBundle of the given index entries and data; its prefix."""
    prefix = str(folder / name)
    with open(prefix + ".index", "wb") as stream:
        table = TableWriter(stream)
        for key, value in sorted({b"": HEADER, **entries}.items()):
            table.add(key, value)
        table.finish()
    with open(prefix + ".data-00000-of-00001", "wb") as stream:
        stream.write(data)
    return prefix


def overlapping_bundle(folder, tensors, size):
    """A bundle of many tensors that are all the same bytes."""
    data = bytes(size)
    entry = field(1, 4) + shape(size) + field(5, size) + fixed32(6, masked_crc32c(data))
    return bundle(folder, {b"t%05d" % number: entry for number in range(tensors)}, data)


def raw_table(path, blocks):
    """A table of data blocks as they are given: (contents, compression)."""
    out = bytearray()

    def put(contents, compression=0):
        handle = write_varint(len(out)) + write_varint(len(contents))
        raw = contents + bytes([compression])
        out.extend(raw + struct.pack("<I", masked_crc32c(raw)))
        return handle

    index = bytearray()
    starts = []
    for number, block in enumerate(blocks):
        handle = put(*block)
        key = b"\xff" + struct.pack(">I", number)
        starts.append(len(index))
        index += write_varint(0) + write_varint(len(key)) + write_varint(len(handle)) + key + handle
    restarts = struct.pack(f"<{len(starts) + 1}I", *starts, len(starts))
    footer = put(struct.pack("<II", 0, 1)) + put(bytes(index) + restarts)
    with open(str(path), "wb") as stream:
        stream.write(bytes(out) + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC))


def prefix_bomb(folder, key, entries):
    """A bundle whose keys share all but their last four bytes with each other; its prefix."""
    value = field(1, 4) + shape(1) + field(5, 1) + fixed32(6, masked_crc32c(b"\0"))
    block = bytearray(write_varint(0) + write_varint(0) + write_varint(len(HEADER)) + HEADER)
    shared = b"k" * (key - 4)
    for number in range(entries):
        length = len(shared) if number else 0
        rest = (b"" if number else shared) + b"%04d" % number
        block += write_varint(length) + write_varint(len(rest)) + write_varint(len(value)) + rest + value
    raw_table(folder / "bomb.index", [(bytes(block) + struct.pack("<II", 0, 1), 0)])
    (folder / "bomb.data-00000-of-00001").write_bytes(b"\0")
    return str(folder / "bomb")


def node(name, proto, op=b"Const"):
    """A NodeDef with a tensor as its value."""
    value = field(5, field(1, b"value") + field(2, field(8, proto)))
    return field(1, field(1, name) + field(2, op) + value)


ONE = field(5, struct.pack("<f", 1.0))


def constants(folder, shapes, dtype=1, value=ONE, name="graph.pb"):
    """A graph whose constants hold one value each, which fills their shapes."""
    path = folder / name
    nodes = [node(key.encode("utf-8"), field(1, dtype) + shape(*extents) + value) for key, extents in shapes.items()]
    path.write_bytes(b"".join(nodes))
    return str(path)


def safetensors(folder, header, data=b"", name="file.safetensors"):
    """A .safetensors file with any header."""
    path = folder / name
    text = header if isinstance(header, bytes) else json.dumps(header).encode("ascii")
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return str(path)
