"""Numbers at the ends of names, whatever digits those are of."""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import Layer, MappingError, Rule, make_plan, open_checkpoint, write_saver
from checkpoints.nearest import natural
from checkpoints.numbering import is_number, split_number

from .support import Variable


@pytest.mark.parametrize(
    "text, stem, number",
    [
        ("dense_12", "dense_", 12),
        ("12", "", 12),
        ("dense", "dense", None),
        ("", "", None),
        ("w\u00b2", "w\u00b2", None),
        ("w\u0663", "w\u0663", None),
        ("w" + "1" * 10, "w" + "1" * 10, None),
    ],
)
def test_split_number(text, stem, number):
    assert split_number(text) == (stem, number)
    assert is_number(text[len(stem) :]) == (number is not None)


def test_natural_order():
    names = ["cell_10", "cell_2", "cell_1" + "0" * 5000, "cell_\u00b2", "cell_02"]
    ordered = sorted(names, key=natural)
    assert [name for name in ordered if len(name) < 9 and name.isascii()] == ["cell_2", "cell_02", "cell_10"]


ODD = ["a\u00b2", "a" + "9" * 6000, "a_" + "1" * 40_000 + "x", "a\u0663", "a_\u0663"]


@pytest.mark.parametrize("odd", ODD, ids=["superscript", "many", "long", "arabic", "joined"])
def test_names_of_odd_digits_map(odd, tmp_path):
    names = [f"net/{odd}/kernel", f"net/{odd}_1/kernel", "net/dense/kernel", "net/dense_1/kernel"]
    write_saver(tmp_path / "m", {name: np.full((2, 2), place, "f4") for place, name in enumerate(names)})
    with open_checkpoint(tmp_path / "m") as checkpoint:
        same = {name: Variable((2, 2)) for name in names}
        assert len(make_plan(checkpoint, same, infer=True).loads()) == 4
        other = {name.replace("net/", "other/").replace("dense", "fc"): Variable((2, 2)) for name in names}
        with pytest.raises(MappingError):
            make_plan(checkpoint, other, [Rule("nothing", "here"), Layer("x", "y")], infer=True)
