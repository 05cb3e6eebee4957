"""What a small file may expand to: names, tensors and bytes, in relation to its size, and how to allow more."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from checkpoints import CheckpointError, open_checkpoint, write_saver
from checkpoints.budget import MOST_COMPONENTS, Budget
from checkpoints.cli import main

from .hostile import constants, overlapping_bundle, prefix_bomb, safetensors


def listed(path, budget=1.0):
    with open_checkpoint(path, budget) as checkpoint:
        return checkpoint.tensors


def test_prefix_compressed_keys(tmp_path):
    path = prefix_bomb(tmp_path, key=30_000, entries=3_000)
    with pytest.raises(CheckpointError, match="its names and tensors take more than"):
        listed(path)
    assert len(listed(path, budget=10)) == 3_000


def test_tensors_over_the_same_bytes(tmp_path, capsys):
    path = overlapping_bundle(tmp_path, tensors=3_000, size=1 << 20)
    assert len(listed(path)) == 3_000
    assert main(["convert", path, "--to", str(tmp_path / "out.npz")]) == 4
    assert "its values take more than" in capsys.readouterr().err
    assert not list(tmp_path.glob("*out*"))


def test_one_value_fills_a_constant(tmp_path):
    path = constants(tmp_path, {f"c{number}": (1 << 20,) for number in range(40)})
    with open_checkpoint(path) as checkpoint:
        checkpoint.read("c0")
        checkpoint.read("c0")
        with pytest.raises(CheckpointError, match=r"constant c\d+: its values take more than .*--budget 10"):
            for name in checkpoint.tensors:
                checkpoint.read(name)
    with open_checkpoint(path, budget=10) as checkpoint:
        assert sum(checkpoint.read(name).nbytes for name in checkpoint.tensors) == 160 << 20


def test_budget_option(tmp_path, capsys):
    path = constants(tmp_path, {"c": (20 << 20,)})
    assert main(["inspect", "--sha256", path]) == 4
    assert main(["inspect", "--sha256", path, "--budget", "2"]) == 0
    assert main(["inspect", path, "--budget", "-1"]) == 2
    assert main(["inspect", path, "--budget", "nan"]) == 2
    assert "must be a positive number" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a" * 100_001, "a/" * MOST_COMPONENTS + "a", "\ud800"])
def test_names_that_are_refused(name, tmp_path):
    path = safetensors(tmp_path, {name: {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}, bytes(4))
    with pytest.raises(CheckpointError, match=r"a name of|no valid Unicode") as caught:
        listed(path)
    assert len(str(caught.value)) < 1000 and str(caught.value).isprintable()


def test_a_long_name_is_read(tmp_path):
    write_saver(tmp_path / "m", {"a" * 70_000: np.ones(2, "f4"), "b": np.zeros(2, "f4")})
    assert len(listed(tmp_path / "m")) == 2


def test_a_hollow_file_counts_for_what_it_holds(tmp_path):
    hollow, whole = tmp_path / "hollow", tmp_path / "whole"
    whole.write_bytes(bytes(1 << 20))
    with open(str(hollow), "wb") as stream:
        stream.truncate(1 << 40)
    left = []
    for path in (hollow, whole):
        budget = Budget()
        before = budget.values_left()
        budget.add_path(str(path))
        budget.add_path(str(path))
        left.append(budget.values_left() - before)
    assert left[1] == 100 << 20 and left[0] < left[1]


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000, b'{"a": ' * 50_000, b'{"a": ' + b"9" * 5_000 + b"}", b'{"a": [' + b"[]," * (3 << 20) + b"1]}"],
    ids=["deep list", "deep object", "digits", "many lists"],
)
def test_json_bombs(text, tmp_path):
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(CheckpointError, match="header"):
        listed(path)


def test_json_is_bounded_by_the_file():
    budget = Budget()
    assert budget.parse_json(json.dumps({"a": 1}).encode(), "here") == {"a": 1}
    with pytest.raises(CheckpointError, match="here: 5000000 bytes of JSON take more than"):
        budget.parse_json(b" " * 5_000_000, "here")
