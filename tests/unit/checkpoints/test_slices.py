"""Slices of partitioned variables: keys as TensorFlow encodes them, and tilings without gaps and overlaps."""

from __future__ import annotations

import time

import pytest

from checkpoints.slices import check_tiling, resolve, slice_key
from checkpoints.table import TableReader
from checkpoints.wire import WireError

from .support import data


def test_keys_are_those_in_a_file_of_tensorflow():
    with open(data("part.index"), "rb") as stream:
        keys = {key for key, _ in TableReader(stream, "part").entries() if key and not key[0]}
    made = {slice_key("rows/w", [(start, length), (0, 4)]) for start, length in [(0, 4), (4, 3), (7, 3)]}
    made |= {slice_key("columns/w", [(0, 5), (start, length)]) for start, length in [(0, 3), (3, 2), (5, 2), (7, 2)]}
    assert made == keys


@pytest.mark.parametrize("number, code", [(0, "80"), (4, "84"), (-1, "7f"), (63, "bf"), (64, "c040"), (8191, "dfff")])
def test_numbers_are_encoded_in_order(number, code):
    assert slice_key("", [(number, 0)])[4:-1].hex().endswith(code)


def grid(rows, columns, size=2):
    return [((row * size, size), (column * size, size)) for row in range(rows) for column in range(columns)]


def test_a_grid_tiles_and_a_gap_or_overlap_does_not():
    check_tiling(grid(3, 4), (6, 8))
    with pytest.raises(WireError, match="cover 44 of 48"):
        check_tiling(grid(3, 4)[1:], (6, 8))
    with pytest.raises(WireError, match="overlap"):
        check_tiling([grid(3, 4)[1], *grid(3, 4)[1:]], (6, 8))


def test_a_hundred_thousand_slices_take_seconds_at_most():
    begun = time.monotonic()
    check_tiling([((0, 2), (column, 1)) for column in range(100000)], (2, 100000))
    assert time.monotonic() - begun < 20


def test_a_slice_that_leaves_the_tensor_is_refused():
    assert resolve([(0, -1), (1, 2)], (5, 3)) == ((0, 5), (1, 2))
    for extents in ([(0, 6)], [(-1, 2)], [(4, 2)], [(0, 1), (0, 1)]):
        with pytest.raises(WireError):
            resolve(extents, (5,))
