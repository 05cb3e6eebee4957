"""What the cells that compare training step by step measure."""

from __future__ import annotations

import numpy as np
import pytest

from gan.trace import largest_difference

REFERENCE = {"losses": np.zeros((2, 2)), "a": np.zeros((3, 2)), "b": np.zeros((3, 4))}


def test_the_largest_difference_is_that_of_any_weight_at_any_step_and_of_no_loss():
    trace = {"losses": np.full((2, 2), 9.0), "a": np.zeros((3, 2)), "b": np.zeros((3, 4))}
    trace["b"][1, 3] = -0.5
    assert largest_difference(trace, REFERENCE) == 0.5


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_weight_that_is_no_number_is_no_small_difference(name):
    trace = dict(REFERENCE, **{name: np.full_like(REFERENCE[name], np.nan)})
    assert np.isnan(largest_difference(trace, REFERENCE))
