"""V1 checkpoints, from before TF 0.12: the values stand in the table itself, in one file or in several shards.

The empty key holds the metadata of all tensors; every other key is that of a slice, its value the slice's elements as
a TensorProto without type or shape.

Source: `tensorflow/core/util/saved_tensor_slice.proto`, `tensorflow/core/util/tensor_slice_reader.cc`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Sequence

from . import dtypes
from .budget import Budget
from .checkpoint import Checkpoint, Piece, TensorInfo, allocate, element_count
from .entries import check_versions, parse_shape, parse_slice
from .errors import CheckpointError
from .slices import Box, Extent, check_tiling, index_of, missing_elements, resolve, slice_key
from .spans import open_regular
from .table import TableReader
from .tensorproto import parse_tensor, to_array
from .wire import WireError, fields, message, number, once, text

if TYPE_CHECKING:
    from typing import BinaryIO

    import numpy as np


# Source: TF_CHECKPOINT_VERSION in `tensorflow/core/public/version.h`.
_VERSION = 1


class Meta(NamedTuple):
    """SavedSliceMeta: a tensor and the slices of it that one file holds."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    slices: list[tuple[Extent, ...]]


def is_v1(table: TableReader) -> bool:
    """Whether the table's empty key holds V1 metadata (a message in field 1) and not a bundle's header (a number)."""
    value = table.find(b"")
    if value is None:
        return False
    try:
        return any(key == 1 and isinstance(item, memoryview) for key, item in fields(value))
    except WireError:
        return False


def parse_meta(data: memoryview) -> Meta:
    """A SavedSliceMeta; WireError if it is none."""
    name, dtype = "", 0
    shape: tuple[int, ...] | None = None
    slices: list[tuple[Extent, ...]] = []
    for key, value in fields(data):
        if key == 1:
            name = text(value)
        elif key == 2:
            shape = once(shape, parse_shape(message(value)), "its shape")
        elif key == 3:
            dtype = number(value)
        elif key == 4:
            slices.append(parse_slice(message(value)))
    if dtype not in dtypes.BY_NUMBER:
        raise WireError("tensor {}: unknown element type {}".format(name, dtype))
    return Meta(name, dtype, shape or (), slices)


class V1Checkpoint(Checkpoint):
    """A V1 checkpoint: `paths` are its shards, in order."""

    format = "V1"

    def __init__(self, path: str, paths: Sequence[str], budget: Budget | None = None) -> None:
        super().__init__(path, budget)
        self._streams: list[BinaryIO] = []
        self._tables: list[TableReader] = []
        self._metas: dict[str, Meta] = {}
        self._homes: dict[bytes, int] = {}
        try:
            for shard, part in enumerate(paths):
                self._streams.append(open_regular(part, budget=self.budget))
                self._tables.append(TableReader(self._streams[-1], part, self.budget))
                self._load_meta(shard, part)
        except BaseException:
            self.close()
            raise
        self.tensors = {name: self._describe(self._metas[name]) for name in sorted(self._metas)}

    def close(self) -> None:
        """Closes the files."""
        for stream in self._streams:
            stream.close()

    def _load_meta(self, shard: int, path: str) -> None:
        header = self._tables[shard].find(b"")
        try:
            if header is None:
                raise WireError("no metadata under the empty key")
            saved = versions = None
            for key, value in fields(header):
                if key == 1:
                    saved = once(saved, message(value), "the metadata")
            for key, value in fields(saved or memoryview(b"")):
                if key == 1:
                    self._add(shard, parse_meta(message(value)), path)
                elif key == 2:
                    versions = once(versions, message(value), "its version")
            if versions is not None:
                check_versions(versions, _VERSION)
        except WireError as error:
            raise CheckpointError("{}: metadata: {}".format(path, error)) from None

    def _add(self, shard: int, meta: Meta, path: str) -> None:
        self.budget.list_name(meta.name, path)
        self.budget.list_tensors(len(meta.slices), len(meta.slices) * len(meta.name), path)
        known = self._metas.get(meta.name)
        if known is not None:
            if (known.dtype, known.shape) != (meta.dtype, meta.shape):
                raise WireError("tensor {}: the shards contradict each other".format(meta.name))
            known.slices.extend(meta.slices)
        else:
            self._metas[meta.name] = meta
        for extents in meta.slices:
            key = slice_key(meta.name, extents)
            if key in self._homes:
                raise WireError("tensor {}: the slice {} is there twice".format(meta.name, list(extents)))
            self._homes[key] = shard

    def _describe(self, meta: Meta) -> TensorInfo:
        dtype = dtypes.BY_NUMBER[meta.dtype]
        shard = self._homes.get(slice_key(meta.name, meta.slices[0]), 0) if meta.slices else 0
        missing = missing_elements(meta.slices, meta.shape)
        slices = len(meta.slices) if len(meta.slices) > 1 or missing else 0
        nbytes = (element_count(meta.shape) - missing) * dtype.size
        return TensorInfo(meta.name, dtype.name, meta.shape, nbytes, shard, slices, missing)

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        pieces = self._pieces(info, whole=True)
        if len(pieces) == 1:
            return pieces[0].value
        whole = allocate(info.shape, dtypes.numpy_dtype(info.dtype), f"{self.path}: tensor {info.name}")
        for box, value in pieces:
            whole[index_of(box)] = value
        return whole

    def _pieces(self, info: TensorInfo, whole: bool = False) -> list[Piece]:
        meta = self._metas[info.name]
        place = "{}: tensor {}".format(self.path, info.name)
        try:
            # In the order of the table: to go to and fro in it is to read the same block again and again.
            stored = sorted(meta.slices, key=lambda extents: slice_key(info.name, extents))
            boxes = [(extents, resolve(extents, info.shape)) for extents in stored]
            if whole:
                check_tiling([box for _, box in boxes], info.shape)
            return [Piece(box, self._parse(info.name, extents, meta.dtype, box, place)) for extents, box in boxes]
        except WireError as error:
            raise CheckpointError("{}: {}".format(place, error)) from None

    def _parse(self, name: str, extents: tuple[Extent, ...], dtype: int, box: Box, place: str) -> Any:
        proto = parse_tensor(self._slice(name, extents))
        return to_array(proto, dtype, tuple(length for _, length in box), place, exact=True)

    def _slice(self, name: str, extents: tuple[Extent, ...]) -> memoryview:
        """The TensorProto of one slice."""
        key = slice_key(name, extents)
        value = self._tables[self._homes[key]].find(key)
        if value is None:
            raise WireError("the slice {} has no entry".format(list(extents)))
        held = None
        proto: memoryview | None = None
        for outer, item in fields(value):
            if outer == 2:
                held = once(held, message(item), "what it holds")
        stored, place = "", None
        for inner, part in fields(held or memoryview(b"")):
            if inner == 1:
                stored = text(part)
            elif inner == 2:
                place = once(place, parse_slice(message(part)), "its slice")
            elif inner == 3:
                proto = once(proto, message(part), "its values")
        if stored != name:
            raise WireError("its entry belongs to {!r}".format(stored))
        if (place or ()) != extents:
            raise WireError("its entry is of the slice {}, not {}".format(list(place or ()), list(extents)))
        if proto is None:
            raise WireError("the entry of the slice {} holds no values".format(list(extents)))
        return proto
