"""What a file may expand to when it is read: names, tensors and bytes, in relation to the file's size.

A few kilobytes can claim to hold gigabytes: compressed, filled with one value, shared by reference, or only counted.
Every reader of a format asks here before it makes what a file claims, so a hostile file is refused by one line, in
time and memory that its size accounts for. Files that TensorFlow and Keras write stay far below the limits; for one
that does not, `open_checkpoint(path, budget=10)` and `--budget 10` allow ten times as much.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Collection

from .errors import ArgumentError, CheckpointError

LISTING = 128 << 20
"""Bytes that the listing of any file may take in memory, however small the file is."""
VALUES = 64 << 20
"""Bytes that the values of any file may take."""
RATE = 100
"""What listing and values may each take beyond that, for every byte of the file."""
LONGEST_NAME = 100_000
MOST_COMPONENTS = 256
"""Of a name, whose enclosing scopes are looked at one by one."""

# What Python needs for one tensor of a listing, for a character of a name in all the indexes that are made of names,
# for one string beside its bytes, and for a byte of JSON.
TENSOR = 1024
CHARACTER = 8
STRING = 64
JSON = 32
_LONGEST_NUMBER = 400
_MOST_EXTENTS = 1000


class Budget:
    """What the files of one checkpoint may expand to, and what they have taken of it; `factor` raises every limit."""

    def __init__(self, factor: float = 1.0) -> None:
        if not factor > 0:
            raise ArgumentError(f"budget {factor}: must be a positive number, 1 for the usual limits")
        self.factor = factor
        self.longest_name: float = LONGEST_NAME * factor
        # The key of a slice is a name, escaped byte by byte at the worst, and two numbers for each dimension.
        self.longest_key: float = 8 * self.longest_name
        self._size = 0
        self._files: set[tuple[int, int]] = set()
        self._listed = 0
        self._taken: dict[str, int] = {}
        self._values = 0

    def add_file(self, descriptor: int) -> None:
        """Counts an open file among those that the budget is in relation to."""
        about = os.fstat(descriptor)
        file = (about.st_dev, about.st_ino)
        # Where a file system does not number its files, all have the number 0.
        if not file[1] or file not in self._files:
            self._files.add(file)
            self._size += _size_on_disk(descriptor, about)

    def add_path(self, path: str) -> None:
        """Counts the file at `path`, if there is one, as `add_file` does."""
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            return
        try:
            self.add_file(descriptor)
        finally:
            os.close(descriptor)

    def listing_left(self) -> float:
        """The bytes of memory that a listing may still take."""
        return self.factor * (LISTING + RATE * self._size) - self._listed

    def list_tensors(self, count: int, characters: int, place: str) -> None:
        """Counts `count` tensors, slices or groups whose names have so many `characters` together."""
        self._listed += TENSOR * count + CHARACTER * characters
        if self.listing_left() < 0:
            raise self.exceeded(place, "its names and tensors take", LISTING)

    def check_names(self, names: Collection[str], place: str) -> None:
        """Raises CheckpointError if one of `names` is too long."""
        longest = max(map(len, names), default=0)
        if longest > self.longest_name:
            raise self.name_too_long(place, longest)
        if longest > MOST_COMPONENTS:
            deepest = 1 + max(name.count("/") for name in names)
            if deepest > MOST_COMPONENTS * self.factor:
                allowed = f"where {MOST_COMPONENTS * self.factor:g} are allowed"
                raise CheckpointError(f"{place}: a name of {deepest} components, {allowed}{self._remedy()}")

    def list_name(self, name: str, place: str) -> None:
        """Counts one tensor; CheckpointError if its name is too long, or no text that can be written anywhere."""
        self.check_names([name], place)
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise CheckpointError(f"{place}: the name {name[:100]!r} is no valid Unicode") from None
        self.list_tensors(1, len(name), place)

    def name_too_long(self, place: str, length: int) -> CheckpointError:
        """The error about a name of `length` characters."""
        return CheckpointError(
            f"{place}: a name of {length} characters, where {self.longest_name:g} are allowed{self._remedy()}"
        )

    def take_values(self, name: str, size: int, place: str) -> None:
        """Counts the tensor `name`, whose value takes `size` bytes; only once, however often it is read."""
        before = self._taken.get(name, 0)
        if size > before:
            self._taken[name] = size
            self._values += size - before
            if self._values > self.factor * (VALUES + RATE * self._size):
                raise self.exceeded(place, "its values take", VALUES)

    def values_left(self) -> float:
        """The bytes that values may still take."""
        return self.factor * (VALUES + RATE * self._size) - self._values

    def check_json(self, size: int, place: str) -> None:
        """Raises CheckpointError where `size` bytes of JSON are too much for this file."""
        if JSON * size > self.listing_left():
            raise self.exceeded(place, f"{size} bytes of JSON take", LISTING)

    def parse_json(self, text: bytes | bytearray, place: str) -> Any:
        """What the JSON in `text` says. CheckpointError if it is damaged, or too much for this file."""
        import json

        self.check_json(len(text), place)
        try:
            return json.loads(text.decode("utf-8"), parse_int=_whole_number)
        except RecursionError:
            raise CheckpointError(f"{place}: nested too deep") from None
        except ValueError as error:
            raise CheckpointError(f"{place}: {error}") from None

    def exceeded(self, place: str, what: str, free: int) -> CheckpointError:
        """The error that says that a limit was reached, and how to raise it."""
        limit = f"{free * self.factor / (1 << 20):.0f} MiB and {RATE * self.factor:g} times the file"
        return CheckpointError(f"{place}: {what} more than {limit} ({self._size} bytes){self._remedy()}")

    def _remedy(self) -> str:
        more = f"{self.factor * 10:g}"
        return (
            f"; for a file that you trust, allow more: --budget {more}, in Python open_checkpoint(..., budget={more})"
        )


def _whole_number(digits: str) -> int:
    """A number of JSON: to turn very many digits into one takes the square of their number."""
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _size_on_disk(descriptor: int, about: os.stat_result) -> int:
    """The bytes of a file that are on its disk: a hollow one may be of any length, and holds nothing but zeros."""
    size = about.st_size
    if getattr(about, "st_blocks", 0) * 512 >= size or not hasattr(os, "SEEK_DATA"):
        return size
    # Blocks may not be counted yet, or never; the file system itself is asked where it has data.
    held = end = 0
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        for _ in range(_MOST_EXTENTS):
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
            held += end - start
        return held + size - end
    except OSError as error:
        return held if error.errno == errno.ENXIO else size
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)
