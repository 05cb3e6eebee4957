"""TensorBundle, the format of Saver V2, tf.train.Checkpoint and a SavedModel's variables.

`PREFIX.index` is a table from tensor name to BundleEntryProto, with a BundleHeaderProto under the empty key;
`PREFIX.data-%05d-of-%05d` hold the bytes. A tensor saved in pieces has an entry that lists its slices, and one entry
for each of them under an encoded key.

Source: `tensorflow/core/protobuf/tensor_bundle.proto`, `tensorflow/core/util/tensor_bundle`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from . import dtypes
from .budget import Budget
from .checkpoint import Checkpoint, Piece, Stored, TensorInfo, allocate, element_count
from .crc32c import crc32c, mask
from .entries import Entry, check_versions, parse_entry, split_entry
from .errors import CheckpointError
from .slices import Box, Extent, check_tiling, index_of, missing_elements, resolve, slice_key
from .spans import FileSpans, byte_view, open_regular
from .strings import read_strings
from .table import TableReader
from .wire import WireError, fields, message, number, once

if TYPE_CHECKING:
    import numpy as np

    from .copies import Copies

_MOST_SHARDS = 99999
# Source: kTensorBundleVersion in `tensorflow/core/util/tensor_bundle/tensor_bundle.cc`.
_VERSION = 1


class Bundle(Checkpoint):
    """A TensorBundle by its prefix (the path without `.index`)."""

    format = "TensorBundle (V2)"

    def __init__(self, prefix: str, budget: Budget | None = None) -> None:
        super().__init__(prefix, budget)
        self.index_path = prefix + ".index"
        self.shards = 1
        self._swap = False
        self._big = False
        self._encoded: dict[bytes, memoryview] = {}
        self._slices: set[bytes] = set()
        self._files: dict[int, FileSpans] = {}
        self._load_index()

    def close(self) -> None:
        """Closes the data files."""
        for spans in self._files.values():
            spans.close()
        self._files.clear()

    def _load_index(self) -> None:
        alike: dict[Any, Any] = {}
        with open_regular(self.index_path, budget=self.budget) as stream:
            header_seen = False
            for key, value in TableReader(stream, self.index_path, self.budget).entries():
                try:
                    if not key:
                        self._parse_header(value)
                        header_seen = True
                        continue
                    if not header_seen:
                        raise WireError("the table has no bundle header, so this is no TensorBundle index")
                    self._encoded[key] = value
                    # Keys that begin with a zero byte are those of slices, not names.
                    if key[0]:
                        name = str(key, "utf-8")
                        self.tensors[name] = self._list(name, value, alike)
                    elif self._describe("", parse_entry(value)).slices:
                        raise WireError("a slice that has slices itself")
                except (WireError, UnicodeDecodeError) as error:
                    raise CheckpointError(f"{self.index_path}: entry {key[:200]!r}: {error}") from None
        if not header_seen:
            raise CheckpointError(f"{self.index_path}: the table has no bundle header")
        if len(self._encoded) > len(self.tensors):
            orphan = next((key for key in self._encoded if not key[0] and key not in self._slices), None)
            if orphan is not None:
                raise CheckpointError(f"{self.index_path}: entry {orphan[:200]!r}: a slice of no tensor")
        self.budget.check_names(self.tensors, self.index_path)

    def _list(self, name: str, value: memoryview, alike: dict[Any, Any]) -> TensorInfo:
        """The description of one tensor; of those that are alike but for their places only the first is decoded."""
        split = split_entry(bytes(value))
        if split is None:
            return self._describe(name, parse_entry(value))
        rest = alike.get(split[0])
        if rest is None:
            rest = alike[split[0]] = self._describe(name, parse_entry(value))[1:]
        return TensorInfo(name, *rest)

    def _parse_header(self, data: memoryview) -> None:
        self.shards = 0
        big = 0
        versions = None
        for key, value in fields(data):
            if key == 1:
                self.shards = number(value)
            elif key == 2:
                big = number(value)
            elif key == 3:
                versions = once(versions, message(value), "its version")
        if versions is not None:
            check_versions(versions, _VERSION)
        if not 0 < self.shards <= _MOST_SHARDS:
            raise WireError(f"the header counts {self.shards} data files")
        if big > 1:
            raise WireError(f"the header names an unknown byte order ({big})")
        self._big = big == 1
        self._swap = self._big != (sys.byteorder == "big")

    def _describe(self, name: str, entry: Entry) -> TensorInfo:
        dtype = dtypes.BY_NUMBER.get(entry.dtype)
        if dtype is None:
            raise WireError(f"unknown element type {entry.dtype}")
        missing = 0
        if entry.slices:
            missing = missing_elements(entry.slices, entry.shape)
            nbytes = (element_count(entry.shape) - missing) * dtype.size
            shard = 0
            keys = [slice_key(name, extents) for extents in entry.slices]
            if len(set(keys)) < len(keys):
                raise WireError("a slice is there twice")
            self._slices.update(keys)
        else:
            nbytes, shard = entry.size, entry.shard
            self._check_size(entry, dtype)
        return TensorInfo(name, dtype.name, entry.shape, nbytes, shard, len(entry.slices), missing)

    def _check_size(self, entry: Entry, dtype: dtypes.DType) -> None:
        if entry.shard >= self.shards:
            raise WireError(f"in data file {entry.shard} of {self.shards}")
        if entry.offset < 0 or entry.size < 0:
            raise WireError(f"at offset {entry.offset} with {entry.size} bytes")
        wanted = element_count(entry.shape) * dtype.size
        if dtype.size and wanted != entry.size:
            raise WireError(f"shape {list(entry.shape)} of {dtype.name} takes {wanted} bytes, not {entry.size}")

    def shard_path(self, shard: int) -> str:
        """The path of data file number `shard`."""
        return f"{self.path}.data-{shard:05d}-of-{self.shards:05d}"

    def _spans(self, shard: int) -> FileSpans:
        spans = self._files.get(shard)
        if spans is None:
            path = self.shard_path(shard)
            if not os.path.exists(path):
                raise CheckpointError(f"{path}: missing; {self.index_path} counts {self.shards} data file(s)")
            spans = self._files[shard] = FileSpans(path, self.budget)
        return spans

    def _count_files(self) -> None:
        for shard in range(self.shards):
            self.budget.add_path(self.shard_path(shard))

    def _entry(self, name: str) -> Entry:
        return parse_entry(self._encoded[name.encode("utf-8")])

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        entry = self._entry(info.name)
        if entry.slices:
            return self._read_slices(info, entry)
        return self._read_whole(info.name, entry)

    def _read_whole(self, name: str, entry: Entry) -> np.ndarray[Any, Any]:
        spans = self._spans(entry.shard)
        what = f"tensor {name}"
        place = f"{spans.path}: {what}"
        if entry.dtype == dtypes.STRING:
            data = spans.read(entry.offset, entry.size, what)
            return read_strings(data, entry.shape, entry.crc, place)
        dtype = dtypes.BY_NUMBER[entry.dtype]
        if not dtype.size:
            raise CheckpointError(f"{place}: {dtype.name} tensors can be listed but not read")
        spans.check(entry.offset, entry.size, what)
        array = allocate(entry.shape, dtypes.numpy_dtype(dtype.name), place)
        view = byte_view(array)
        spans.fill(view, entry.offset, what)
        _check_crc(crc32c(view), entry, place)
        return array.byteswap() if self._swap and dtype.size > 1 else array

    def _stored(self, info: TensorInfo) -> Stored | None:
        """The bytes of a tensor; None for strings, slices and big-endian files."""
        name, entry = info.name, self._entry(info.name)
        if entry.slices or self._big or not dtypes.BY_NUMBER[entry.dtype].size:
            return None

        def copy(copies: Copies) -> None:
            spans = self._spans(entry.shard)
            what = f"tensor {name}"
            place = f"{spans.path}: {what}"
            copies.copy(spans, entry.offset, entry.size, what, lambda crc: _check_crc(crc, entry, place))

        return Stored(copy, entry.crc)

    def _read_slices(self, info: TensorInfo, entry: Entry) -> np.ndarray[Any, Any]:
        place = f"{self.index_path}: tensor {info.name}"
        parts = self._parts(info, entry)
        try:
            check_tiling([box for box, _ in parts], info.shape)
        except WireError as error:
            raise CheckpointError(f"{place}: {error}") from None
        # The slices tile the tensor and none is larger than its file, so this allocates no more than the files hold.
        array = allocate(info.shape, dtypes.numpy_dtype(info.dtype), place)
        for box, part in parts:
            array[index_of(box)] = self._read_whole(info.name, part)
        return array

    def _pieces(self, info: TensorInfo) -> list[Piece]:
        entry = self._entry(info.name)
        if not entry.slices:
            return super()._pieces(info)
        return [Piece(box, self._read_whole(info.name, part)) for box, part in self._parts(info, entry)]

    def _parts(self, info: TensorInfo, entry: Entry) -> list[tuple[Box, Entry]]:
        """Where each slice of a tensor belongs, and its entry; CheckpointError where they contradict the tensor's."""
        place = f"{self.index_path}: tensor {info.name}"
        dtype = dtypes.BY_NUMBER[entry.dtype]
        if dtype.number == dtypes.VARIANT or not dtype.numpy:
            raise CheckpointError(f"{place}: {dtype.name} tensors can be listed but not read")
        try:
            boxes = [(extents, resolve(extents, info.shape)) for extents in entry.slices]
            parts = [(box, self._slice_entry(info, dtype, extents, box)) for extents, box in boxes]
        except WireError as error:
            raise CheckpointError(f"{place}: {error}") from None
        for _, part in parts:
            self._spans(part.shard).check(part.offset, part.size, f"a slice of {info.name}")
        shards = {part.shard for _, part in parts}
        if dtype.size and sum(part.size for _, part in parts) > sum(self._spans(shard).size for shard in shards):
            raise CheckpointError(f"{place}: its slices overlap in the data files")
        return parts

    def _slice_entry(self, info: TensorInfo, dtype: dtypes.DType, extents: tuple[Extent, ...], piece: Box) -> Entry:
        encoded = self._encoded.get(slice_key(info.name, extents))
        if encoded is None:
            raise WireError(f"the slice {list(extents)} has no entry")
        part = parse_entry(encoded)
        if part.slices or part.dtype != dtype.number or part.shape != tuple(length for _, length in piece):
            raise WireError(f"the entry of the slice {list(extents)} contradicts the tensor's")
        self._check_size(part, dtype)
        return part


def _check_crc(crc: int, entry: Entry, place: str) -> None:
    if mask(crc) != entry.crc:
        raise CheckpointError(
            f"{place}: checksum mismatch in {entry.size} bytes at {entry.offset}: the file is damaged"
        )
