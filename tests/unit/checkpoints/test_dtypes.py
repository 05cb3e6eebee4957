"""Types that NumPy lacks: held by name, widened exactly, cast with rounding to nearest even."""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints.dtypes import BY_NAME, cast, name_of, numpy_dtype, widen


@pytest.mark.parametrize("name", sorted(name for name, dtype in BY_NAME.items() if dtype.numpy))
def test_every_type_has_a_carrier_that_keeps_its_name_and_size(name):
    carrier = numpy_dtype(name)
    assert name_of(carrier) == name
    if BY_NAME[name].size:
        assert carrier.itemsize == BY_NAME[name].size


@pytest.mark.parametrize(
    "number, bits",
    [
        (1.0, 0x3F80),
        (-2.5, 0xC020),
        # Halfway between two numbers: to the even one, down and up.
        (1.00390625, 0x3F80),
        (1.01171875, 0x3F82),
        (3.4e38, 0x7F80),
        (np.inf, 0x7F80),
        (-0.0, 0x8000),
    ],
)
def test_casts_to_bfloat16_round_to_nearest_even(number, bits):
    assert cast(np.array([number], "f4"), "bfloat16")["bfloat16"].tolist() == [bits]


def test_a_nan_stays_one_and_what_was_cast_widens_back():
    values = np.array([[np.nan, 1.5], [-3, 0]], "f4")
    back = widen(cast(values, "bfloat16"))
    assert back.dtype == np.float32 and back.shape == values.shape
    assert np.array_equal(np.isnan(back), np.isnan(values)) and back[1].tolist() == [-3, 0]


def test_quantized_integers_widen_to_their_stored_ones_and_cannot_be_cast_to():
    stored = np.array([1, -2], "i1").view(numpy_dtype("qint8"))
    assert widen(stored).tolist() == [1, -2]
    with pytest.raises(TypeError, match="qint8"):
        cast(np.zeros(2, "f4"), "qint8")


@pytest.mark.parametrize("given, name", [("float32_ref", "float32"), (np.dtype("U3"), "string"), ("complex256", None)])
def test_names_of_what_else_has_a_type(given, name):
    assert name_of(given) == name
