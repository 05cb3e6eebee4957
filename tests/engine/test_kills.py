"""A few random kills on each engine: `python -m tests.engine.kills` makes as many as you like."""

from __future__ import annotations

import random

import pytest

from tests.engine.kills import Kills, plant


@pytest.mark.parametrize("what", ["run", "build", "images"])
def test_kill(engine, tmp_path, locks, venvs, what):
    planted = plant(tmp_path, engine, locks, venvs if what == "run" else None)
    kills = Kills(planted, random.Random(f"{engine} {what}"))
    try:
        kills.kill(what)
    finally:
        if what != "run":
            planted.remove_images()
    assert kills.wrong == []
