"""Writing TF 1's Saver V2 format (a TensorBundle of one data file) without TensorFlow."""

from __future__ import annotations

import os
import sys
from math import inf
from typing import TYPE_CHECKING, Any, BinaryIO, Mapping, Sequence

from . import dtypes
from .atomic import Replacement
from .budget import Budget
from .bundle import Bundle
from .checkpoint import Checkpoint, Piece, TensorInfo
from .copies import Copies
from .crc32c import crc32c, mask
from .errors import CheckpointError
from .foreign_text import named
from .slices import slice_key
from .source import Source
from .spans import byte_view
from .strings import write_strings
from .table import TableWriter
from .wire import field, fixed32

if TYPE_CHECKING:
    import numpy as np

# BundleHeaderProto: one data file, little-endian (the default), version.producer 1.
_HEADER = field(1, 1) + field(3, field(1, 1))


def write_saver(prefix: Any, tensors: Mapping[str, Any], overwrite: bool = False, base: Any = None) -> tuple[str, ...]:
    """Writes `tensors` as the checkpoint `prefix` (`prefix.index` and `prefix.data-00000-of-00001`).

    Any `tf.train.Saver` of TF 0.12 and later restores it bit for bit. Values are arrays of any shape and byte order,
    of a type TensorFlow has; objects (bytes or str) become strings. They are taken one at a time, in the order of
    their names, so a mapping that computes its values needs memory for one.

    `base` is a checkpoint, or the path of one, whose graph shall restore what is written. All that it holds and
    `tensors` do not is copied: slots, powers, counters, averages. What is returned are notes on what that means.

    Both files appear under their names only when both are complete, the index last. Raises CheckpointError if one of
    them exists and `overwrite` is not set, or if a name or value cannot be stored; what stood there before then still
    stands there, and nothing else does.
    """
    prefix = os.fspath(prefix)
    if not os.path.basename(prefix):
        raise CheckpointError(f"{prefix}: a checkpoint needs a base name behind the directory")
    if base is not None and not isinstance(base, Checkpoint):
        from .open import open_checkpoint

        with open_checkpoint(base) as opened:
            return write_saver(prefix, tensors, overwrite, opened)
    notes: tuple[str, ...] = ()
    if base is not None:
        from .base_checkpoint import completed

        tensors, notes = completed(tensors, base)
    _write(prefix, tensors, overwrite)
    return notes


def _write(prefix: str, tensors: Mapping[str, Any], overwrite: bool) -> None:
    _check_names(prefix, tensors)
    # Renamed in this order: a reader that finds the index finds the data.
    targets = [prefix + ".data-00000-of-00001", prefix + ".index"]
    written: dict[str, TensorInfo] = {}

    def check(paths: Sequence[str]) -> None:
        with Bundle(paths[1][: -len(".index")], Budget(inf)) as bundle:
            check_listing(bundle, written)

    with Replacement(targets, overwrite, check) as (data, index):
        entries = _write_data(data, prefix, tensors, written)
        table = TableWriter(index)
        table.add(b"", _HEADER)
        for key in sorted(entries):
            table.add(key, entries[key])
        table.finish()


def _check_names(prefix: str, tensors: Mapping[str, Any]) -> None:
    for name in tensors:
        if not isinstance(name, str) or not name or name[0] == "\0":
            raise CheckpointError(f"{prefix}: {name!r} cannot be a tensor's name")
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise CheckpointError(f"{prefix}: {name!r} cannot be a tensor's name: it is no valid Unicode") from None


def check_listing(written: Checkpoint, wanted: Mapping[str, TensorInfo]) -> None:
    """Raises CheckpointError unless the file lists the tensors that were `wanted`, with their types and shapes."""
    for name in [*wanted, *written.tensors]:
        have, want = written.tensors.get(name), wanted.get(name)
        if have is None or want is None:
            raise CheckpointError(f"tensor {named(name)}: {'is not there' if have is None else 'was not asked for'}")
        check_described(f"tensor {named(name)}", want, have.dtype, have.shape)


def check_described(place: str, info: TensorInfo, dtype: str | None, shape: tuple[int, ...]) -> None:
    """Raises CheckpointError unless a value is of the type and shape that its description has."""
    if (info.dtype, info.shape) != (dtype, shape):
        have, want = f"{dtype} {list(shape)}", f"{info.dtype} {list(info.shape)}"
        raise CheckpointError(f"{place}: {named(info.name)} is {have}, and was to be {want}")


def _write_data(
    stream: BinaryIO, prefix: str, tensors: Mapping[str, Any], written: dict[str, TensorInfo]
) -> dict[bytes, bytes]:
    entries: dict[bytes, bytes] = {}
    offset = 0
    with Copies(stream) as copies:
        for name in sorted(tensors):
            place = f"{prefix}: tensor {named(name)}"
            pieces = tensors.pieces(name) if isinstance(tensors, Source) else None
            if pieces is not None and isinstance(tensors, Source):
                written[name] = tensors.infos[name]
                offset = _write_pieces(stream, entries, tensors.infos[name], pieces, offset, place)
                continue
            dtype, shape, size, crc = _write_tensor(stream, copies, tensors, name, place)
            written[name] = TensorInfo(name, dtypes.BY_NUMBER[dtype].name, shape, size)
            if isinstance(tensors, Source):
                check_described(place, tensors.infos[name], written[name].dtype, shape)
            entries[name.encode("utf-8")] = _entry(dtype, shape, offset, size, crc)
            offset += size
    return entries


def _entry(dtype: int, shape: Sequence[int], offset: int, size: int, crc: int) -> bytes:
    """A BundleEntryProto."""
    entry = field(1, dtype) + field(2, _dims(shape))
    if offset:
        entry += field(4, offset)
    if size:
        entry += field(5, size)
    # proto3 leaves out a zero, and a fixed32 that is zero reads back as zero either way.
    return entry + fixed32(6, crc)


def _dims(shape: Sequence[int]) -> bytes:
    return b"".join(field(2, field(1, extent) if extent else b"") for extent in shape)


def _write_pieces(
    stream: BinaryIO, entries: dict[bytes, bytes], info: TensorInfo, pieces: Sequence[Piece], offset: int, place: str
) -> int:
    """Writes the pieces of a tensor that lacks others; the offset behind them.

    Its own entry lists them as TensorSliceProtos, and each has one of its own (see `slices.slice_key`).
    """
    slices = b""
    for box, value in pieces:
        dtype, shape, data, crc = encode_tensor(value, place)
        check_described(place, info._replace(shape=tuple(length for _, length in box)), info.dtype, shape)
        stream.write(data)
        entries[slice_key(info.name, box)] = _entry(dtype, shape, offset, len(data), mask(crc))
        extents = (field(1, start) * bool(start) + field(2, length) for start, length in box)
        slices += field(7, b"".join(field(1, extent) for extent in extents))
        offset += len(data)
    number = dtypes.BY_NAME[info.dtype].number
    entries[info.name.encode("utf-8")] = field(1, number) + field(2, _dims(info.shape)) + slices
    return offset


def _write_tensor(
    stream: BinaryIO, copies: Copies, tensors: Mapping[str, Any], name: str, place: str
) -> tuple[int, tuple[int, ...], int, int]:
    """Writes one tensor's bytes; its element type, shape, size and masked CRC."""
    if isinstance(tensors, Source):
        stored = tensors.stored(name)
        if stored is not None:
            info = tensors.infos[name]
            stored.copy(copies)
            return dtypes.BY_NAME[info.dtype].number, info.shape, info.nbytes, stored.crc
    dtype, shape, data, crc = encode_tensor(tensors[name], place)
    stream.write(data)
    return dtype, shape, len(data), mask(crc)


def encode_tensor(value: Any, place: str, checksum: bool = True) -> tuple[int, tuple[int, ...], Any, int]:
    """Element type, shape, little-endian bytes and CRC-32C of `value`; CheckpointError for other types."""
    import numpy as np

    array = np.asarray(value)
    name = dtypes.name_of(array.dtype)
    if name is None:
        raise CheckpointError(f"{place}: TensorFlow has no element type {array.dtype}")
    number = dtypes.BY_NAME[name].number
    if name == "string":
        data, crc = write_strings(_as_bytes(array, place))
        return number, array.shape, data, crc
    if array.dtype.names:
        array = array[array.dtype.names[0]]
    # ascontiguousarray makes a vector of a scalar, hence the shape of the original.
    little = np.ascontiguousarray(array)
    if little.dtype.byteorder == ">" or (sys.byteorder == "big" and little.dtype.byteorder == "="):
        little = little.astype(little.dtype.newbyteorder("<"))
    view = byte_view(little)
    return number, array.shape, view, crc32c(view) if checksum else 0


def _as_bytes(array: np.ndarray[Any, Any], place: str) -> list[bytes]:
    values = []
    for item in array.reshape(-1).tolist():
        if isinstance(item, str):
            item = item.encode("utf-8")
        if not isinstance(item, bytes):
            raise CheckpointError(f"{place}: a string tensor cannot hold {type(item).__name__!r}")
        values.append(item)
    return values
