"""What a resumed run removes: what TensorFlow was writing when it was killed, and nothing of anybody else's."""

from __future__ import annotations

import pytest

from gan.train import _TORN

HASH = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "name",
    [
        "model.ckpt-8.data-00000-of-00001.tempstate1234567890",
        "ckpt-8.index.tempstate1234567890",
        "ckpt-8_temp",
        f"model.ckpt-8_temp_{HASH}",
        f"model.ckpt-8.meta.tmp{HASH}",
        f"checkpoint.tmp{HASH}",
        f"graph.pbtxt.tmp{HASH}",
    ],
)
def test_what_tensorflow_has_not_finished_is_known_by_its_names_for_it(name):
    assert _TORN.fullmatch(name)


@pytest.mark.parametrize(
    "name",
    ["temperatures.csv", "templates", "ckpt-8_temperature.csv", "ckpt-8.index", "checkpoint", "model.ckpt-8.meta"],
)
def test_whatever_else_is_there_stays(name):
    assert not _TORN.fullmatch(name)
