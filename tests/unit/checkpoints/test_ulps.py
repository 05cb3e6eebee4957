"""Distances in units in the last place."""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import max_ulps, ulps_of_largest

HUGE = 1 << 60


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_neighbours_are_one_apart_everywhere(dtype):
    tiny, largest = np.finfo(dtype).tiny, np.finfo(dtype).max
    numbers = np.array([0, 1, -1, 1.5, tiny, -tiny, largest / 2, -largest / 2], dtype)
    up = np.nextafter(numbers, np.array(np.inf, dtype))
    assert max_ulps(numbers, up) == 1
    assert [max_ulps(a, b) for a, b in zip(numbers, up)] == [1] * len(numbers)


def test_distance_counts_through_zero():
    assert max_ulps(np.float32(1e-45), np.float32(-1e-45)) == 2
    assert max_ulps(np.float32(0.0), np.float32(-0.0)) == 0


def test_the_whole_range_does_not_overflow():
    for dtype in ("f4", "f8"):
        largest = np.finfo(dtype).max
        assert max_ulps(np.array(largest, dtype), np.array(-largest, dtype)) > 1 << (8 * np.dtype(dtype).itemsize - 2)


def test_nan_against_a_number_is_huge_and_against_nan_nothing():
    nan, one = np.array([np.nan, 1], "f4"), np.array([1, 1], "f4")
    assert max_ulps(nan, one) > HUGE and max_ulps(one, nan) > HUGE
    assert max_ulps(nan, nan) == 0


def test_what_is_not_floating_point_is_equal_or_not():
    assert max_ulps(np.array([1, 2]), np.array([1, 2])) == 0
    assert max_ulps(np.array([1, 2]), np.array([1, 3])) > HUGE


def test_the_largest_distance_is_given():
    a = np.ones(5, "f4")
    b = a.copy()
    b[3] = np.nextafter(np.nextafter(b[3], np.float32(2)), np.float32(2))
    assert max_ulps(a, b) == 2
    assert max_ulps(np.zeros((0, 3), "f4"), np.zeros((0, 3), "f4")) == 0


def test_arrays_of_other_shapes_or_types_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        max_ulps(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="types"):
        max_ulps(np.zeros(2, "f4"), np.zeros(2, "f8"))


def test_an_error_is_counted_in_the_last_place_of_the_largest_number():
    reference = np.array([8.0, 1e-6], "f4")
    assert max_ulps(reference, reference + np.array([0, 1e-6], "f4")) > 1 << 20
    assert ulps_of_largest(reference + np.array([0, 1e-6], "f4"), reference) == pytest.approx(1.05, rel=0.01)
    assert ulps_of_largest(np.nextafter(reference, np.float32(9)), reference) == 1


def test_what_is_not_finite_must_be_the_same():
    infinite = np.array([np.inf, 1], "f4")
    assert ulps_of_largest(infinite, infinite) == 0
    assert ulps_of_largest(np.array([np.nan, 1], "f4"), np.array([2, 1], "f4")) == np.inf
    with pytest.raises(ValueError, match="float64"):
        ulps_of_largest(np.zeros(2), np.zeros(2, "f4"))
