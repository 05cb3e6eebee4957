"""Types that NumPy lacks: held by name, widened exactly, cast with rounding to nearest even."""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import make_plan, open_checkpoint, write_saver
from checkpoints.cli import main
from checkpoints.dtypes import BY_NAME, cast, name_of, numpy_dtype, widen
from checkpoints.transforms import apply, apply_inverse, pieces_of


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


def test_constants_are_added_to_the_numbers_of_a_wrapped_type_not_to_its_bits(tmp_path):
    def ones(*shape):
        return cast(np.ones(shape, "f4"), "bfloat16")

    source = {"bn/BatchNorm/" + name: ones(4) for name in ("beta", "moving_mean", "moving_variance")}
    source.update({"rnn/basic_lstm_cell/kernel": ones(5, 8), "rnn/basic_lstm_cell/bias": ones(8)})
    target = {"bn/" + name: ones(4) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    target.update({"rnn/kernel": ones(3, 8), "rnn/recurrent_kernel": ones(2, 8), "rnn/bias": ones(8)})
    write_saver(tmp_path / "a", source)
    write_saver(tmp_path / "b", target)
    with open_checkpoint(tmp_path / "a") as a, open_checkpoint(tmp_path / "b") as b:
        plan = make_plan(a, b.tensors, infer=True)
    arguments = ["--model", str(tmp_path / "b"), "--to", str(tmp_path / "c")]
    assert main(["convert", str(tmp_path / "a"), *arguments]) == 0
    with open_checkpoint(tmp_path / "c") as written:
        assert widen(written.read("bn/gamma")).tolist() == [1] * 4
        assert widen(written.read("rnn/bias")).tolist() == [1, 1, 2, 2, 1, 1, 1, 1]
    bias = next(row for row in plan.rows if row.target == "rnn/bias")
    there, back = ones(8), np.empty(8, numpy_dtype("bfloat16"))
    for piece in pieces_of(bias.transform, (8,), (8,)):
        apply_inverse(piece, there, back)
    assert widen(back).tolist() == [1, 1, 1, 1, 0, 0, 1, 1]
    with pytest.raises(ValueError, match="1 cannot be added: cannot cast to qint8"):
        apply(pieces_of("fill:value=1.0", (), (2,))[0], there, np.zeros(2, numpy_dtype("qint8")))
