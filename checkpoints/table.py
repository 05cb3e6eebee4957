"""The sorted table of keys and values that TensorFlow keeps its checkpoint indexes in (LevelDB's format).

Layout, from the end: a 48-byte footer (handle of the metaindex block, handle of the index block, zeros, magic);
the index block, whose values are the handles of the data blocks; the data blocks. A block is followed by one byte
for its compression and the masked CRC-32C of both.

Source: LevelDB's `doc/table_format.md`; TensorFlow's copy is `tensorflow/core/lib/io` (`tsl/lib/io` later).
"""

from __future__ import annotations

import bisect
import struct
from typing import BinaryIO, Iterator, List, Sequence, Tuple

from . import snappy
from .budget import CHARACTER, LISTING, TENSOR, Budget
from .crc32c import masked_crc32c
from .errors import CheckpointError
from .spans import open_regular
from .wire import WireError, read_varint, write_varint

MAGIC = 0xDB4775248B80FB57
FOOTER_SIZE = 48
_TRAILER_SIZE = 5
_BLOCK_SIZE = 262144
_RESTART_INTERVAL = 16


def is_table(tail: bytes) -> bool:
    """Whether `tail`, the last bytes of a file, ends as a table does."""
    return len(tail) >= FOOTER_SIZE and struct.unpack("<Q", tail[-8:])[0] == MAGIC


def ends_as_table(path: str) -> bool:
    """Whether `path` is a file that can be read and ends as an index or a V1 checkpoint does."""
    try:
        with open_regular(path) as stream:
            stream.seek(max(stream.seek(0, 2) - FOOTER_SIZE, 0))
            return is_table(stream.read(FOOTER_SIZE))
    except CheckpointError:
        return False


_Block = Tuple[List[Tuple[bytes, memoryview]], int]
"""The entries of a block, and how many bytes its keys have together."""


class TableReader:
    """The entries of the table in `stream`, block by block; `label` names the file in errors.

    `budget` says what its keys may expand to. `entries` counts them there; to `find` one, none is kept.
    """

    def __init__(self, stream: BinaryIO, label: str, budget: Budget | None = None) -> None:
        self._stream = stream
        self._label = label
        self._budget = Budget() if budget is None else budget
        self._bounds: list[tuple[bytes, int, int]] | None = None
        self._keys: list[bytes] = []
        self._recent: tuple[int, dict[bytes, memoryview]] | None = None
        stream.seek(0, 2)
        self._size = stream.tell()
        if self._size < FOOTER_SIZE:
            raise CheckpointError(
                f"{label}: {self._size} bytes, too short for a checkpoint index (at least {FOOTER_SIZE})"
                + _instead(stream)
            )
        stream.seek(self._size - FOOTER_SIZE)
        footer = stream.read(FOOTER_SIZE)
        if not is_table(footer):
            raise CheckpointError(
                f"{label}: no checkpoint index: the file does not end with the table's magic number "
                "(truncated, or another kind of file)" + _instead(stream)
            )
        try:
            _, position = _read_handle(memoryview(footer), 0, 40)
            _, position = _read_handle(memoryview(footer), 0, 40)
            self._index, _ = _read_handle(memoryview(footer), position, 40)
        except WireError as error:
            raise CheckpointError(f"{label}: footer: {error}") from None

    def find(self, key: bytes) -> memoryview | None:
        """The value under `key`, read by way of the index block alone; None if there is none.

        Raises CheckpointError where a block that leads to it is damaged.
        """
        if self._bounds is None:
            self._bounds = list(self._index_entries())
            self._keys = [bound for bound, _, _ in self._bounds]
        # The index keys are upper bounds of their blocks, not keys.
        place = bisect.bisect_left(self._keys, key)
        if place == len(self._bounds):
            return None
        offset = self._bounds[place][1]
        # Small tensors share a block, and are mostly asked for in its order.
        if self._recent is None or self._recent[0] != offset:
            self._recent = offset, dict(self._data_block(place, self._bounds)[0])
        return self._recent[1].get(key)

    def entries(self) -> Iterator[tuple[bytes, memoryview]]:
        """Every (key, value), in the table's order. Raises CheckpointError where a block is damaged or disordered."""
        blocks = list(self._index_entries())
        for place in range(len(blocks)):
            entries, characters = self._data_block(place, blocks)
            self._budget.list_tensors(len(entries), characters, self._label)
            yield from entries

    def _index_entries(self) -> Iterator[tuple[bytes, int, int]]:
        """(upper bound of its keys, offset, size) of every data block."""
        left = self._size
        for bound, value in self._block(*self._index)[0]:
            try:
                (offset, size), _ = _read_handle(value, 0, len(value))
            except WireError as error:
                raise CheckpointError(f"{self._label}: index block: {error}") from None
            # Blocks do not overlap; a file that says so would make a small file unpack to any size.
            left -= size + _TRAILER_SIZE
            if left < 0:
                raise CheckpointError(f"{self._label}: its blocks claim more bytes than the file has")
            yield bound, offset, size

    def _data_block(self, place: int, blocks: Sequence[tuple[bytes, int, int]]) -> _Block:
        """One data block, whose keys TensorFlow finds only between the index's keys before and behind it."""
        bound, offset, size = blocks[place]
        entries, characters = self._block(offset, size)
        if entries and (entries[-1][0] > bound or (place and entries[0][0] <= blocks[place - 1][0])):
            raise CheckpointError(f"{self._label}: block at {offset}: its keys are not those that the index gives it")
        return entries, characters

    def _block(self, offset: int, size: int) -> _Block:
        place = f"{self._label}: block at {offset}, {size} bytes"
        if offset + size + _TRAILER_SIZE > self._size:
            raise CheckpointError(f"{place}: runs past the end of the file ({self._size} bytes)")
        self._stream.seek(offset)
        raw = self._stream.read(size + _TRAILER_SIZE)
        if len(raw) != size + _TRAILER_SIZE:
            raise CheckpointError(f"{place}: the file became shorter while it was read")
        stored = struct.unpack("<I", raw[-4:])[0]
        if masked_crc32c(memoryview(raw)[: size + 1]) != stored:
            raise CheckpointError(f"{place}: checksum mismatch: the file is damaged")
        compression = raw[size]
        try:
            if compression == 0:
                return _parse_block(raw, size, self._budget, place)
            if compression == 1:
                contents = snappy.decompress(memoryview(raw)[:size])
                return _parse_block(contents, len(contents), self._budget, place)
            raise WireError(f"unknown compression {compression}")
        except WireError as error:
            raise CheckpointError(f"{place}: {error}") from None


def _instead(stream: BinaryIO) -> str:
    """What the file is, if that is known."""
    from .guidance import what_else

    stream.seek(0)
    what = what_else(stream.read(512))
    return f"; this is {what}" if what else ""


def _read_handle(data: memoryview, position: int, end: int) -> tuple[tuple[int, int], int]:
    offset, position = read_varint(data, position, end)
    size, position = read_varint(data, position, end)
    return (offset, size), position


def _parse_block(data: bytes | bytearray, size: int, budget: Budget, place: str) -> _Block:
    """The entries of a block, which is the first `size` bytes of `data`; values are views of it.

    Raises WireError for a block that is damaged or disordered, CheckpointError for one that `budget` does not allow.
    """
    if size < 4:
        raise WireError("too short for a block")
    count = struct.unpack_from("<I", data, size - 4)[0]
    end = size - 4 - 4 * count
    if end < 0:
        raise WireError(f"{count} restart points do not fit")
    view = memoryview(data)
    entries: list[tuple[bytes, memoryview]] = []
    starts = set()
    position = 0
    key = b""
    # Keys share prefixes, so a small block could unpack into very many long keys.
    each = TENSOR // CHARACTER
    most = left = int(min(budget.listing_left(), 1 << 62)) // CHARACTER
    while position < end:
        # Nothing outside the block is read: four bytes at least stand behind its entries.
        shared, unshared, length = data[position : position + 3]
        if not shared:
            starts.add(position)
        if shared | unshared | length < 0x80:
            position += 3
        else:
            shared, position = read_varint(data, position, end)
            unshared, position = read_varint(data, position, end)
            length, position = read_varint(data, position, end)
            if shared + unshared > budget.longest_key:
                raise budget.name_too_long(place, shared + unshared)
        if shared > len(key) or unshared + length > end - position:
            raise WireError(f"the entry at {position} runs past the end")
        before, key = key, key[:shared] + data[position : position + unshared]
        if key <= before and entries:
            raise WireError(f"key {key[:80]!r} is out of order")
        left -= len(key) + each
        if left < 0:
            raise budget.exceeded(place, "its names and tensors take", LISTING)
        position += unshared
        entries.append((key, view[position : position + length]))
        position += length
    # TensorFlow searches by these places, and finds nothing by wrong ones.
    restarts = struct.unpack_from(f"<{count}I", data, end)
    if entries and (not count or restarts[0] or not starts.issuperset(restarts)):
        raise WireError("its restart points are not where entries begin")
    return entries, most - left - each * len(entries)


class TableWriter:
    """Writes a table, uncompressed, as TensorFlow does. Keys must come in rising byte order."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._offset = 0
        self._block = _BlockBuilder(_RESTART_INTERVAL)
        self._index = _BlockBuilder(1)
        self._last = b""

    def add(self, key: bytes, value: bytes) -> None:
        """Appends one entry."""
        if self._block.estimate() >= _BLOCK_SIZE:
            self._flush(_separator(self._last, key))
        self._block.add(key, value)
        self._last = key

    def finish(self) -> None:
        """Writes what is left, the metaindex, the index and the footer."""
        if self._block.size:
            self._flush(_successor(self._last))
        footer = self._write(_BlockBuilder(_RESTART_INTERVAL)) + self._write(self._index)
        self._stream.write(footer.ljust(FOOTER_SIZE - 8, b"\0") + struct.pack("<Q", MAGIC))

    def _flush(self, bound: bytes) -> None:
        handle = self._write(self._block)
        self._index.add(bound, handle)
        self._block = _BlockBuilder(_RESTART_INTERVAL)

    def _write(self, block: _BlockBuilder) -> bytes:
        contents = block.finish() + b"\0"
        handle = write_varint(self._offset) + write_varint(len(contents) - 1)
        contents += struct.pack("<I", masked_crc32c(contents))
        self._stream.write(contents)
        self._offset += len(contents)
        return handle


def _successor(key: bytes) -> bytes:
    """A short key that is not less than `key`: what LevelDB puts behind the last block."""
    for place, byte in enumerate(key):
        if byte != 0xFF:
            return key[:place] + bytes([byte + 1])
    return key


def _separator(last: bytes, following: bytes) -> bytes:
    """A short key from `last` up to, but not including, `following`: what LevelDB puts between two blocks."""
    shared = 0
    while shared < min(len(last), len(following)) and last[shared] == following[shared]:
        shared += 1
    if shared < len(last) and last[shared] < 0xFF and shared < len(following) and last[shared] + 1 < following[shared]:
        return last[:shared] + bytes([last[shared] + 1])
    return last


class _BlockBuilder:
    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._parts: list[bytes] = []
        self._restarts = [0]
        self._count = 0
        self._key = b""
        self.size = 0

    def add(self, key: bytes, value: bytes) -> None:
        """Adds an entry; keys come in ascending order."""
        shared = 0
        if self._count == self._interval:
            self._restarts.append(self.size)
            self._count = 0
        else:
            limit = min(len(key), len(self._key))
            while shared < limit and key[shared] == self._key[shared]:
                shared += 1
        part = write_varint(shared) + write_varint(len(key) - shared) + write_varint(len(value)) + key[shared:] + value
        self._parts.append(part)
        self.size += len(part)
        self._count += 1
        self._key = key

    def estimate(self) -> int:
        """The block's size if it were finished now."""
        return self.size + 4 * len(self._restarts) + 4

    def finish(self) -> bytes:
        restarts = self._restarts + [len(self._restarts)]
        return b"".join(self._parts) + struct.pack(f"<{len(restarts)}I", *restarts)
