"""Values and names as `diff`, `convert` and `inspect` show and write them: what differs, and what no format holds."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from checkpoints import make_plan, open_checkpoint, write_saver
from checkpoints.cli import main

from .support import data


def test_diff_tells_what_differs(tmp_path, capsys):
    one = {"same": np.ones(3, "f4"), "moved": np.float32(1), "shape": np.ones(3, "f4"), "gone": np.float32(0)}
    two = dict(one, moved=np.nextafter(np.float32(1), np.float32(2)), shape=np.ones(4, "f4"), new=np.float32(0))
    del two["gone"]
    write_saver(tmp_path / "a", one)
    write_saver(tmp_path / "b", two)
    assert main(["diff", "--json", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    told = json.loads(capsys.readouterr().out)
    verdicts = {entry["name"]: entry["verdict"] for entry in told["differing"]}
    assert told["equal"] == 1
    assert verdicts == {
        "gone": "only in A",
        "moved": "other values, 1 ulp",
        "new": "only in B",
        "shape": "other shape",
    }


def test_diff_of_two_formats_of_the_same_tensors_is_silent(capsys):
    assert main(["diff", data("part"), data("part_v1")]) == 0
    assert capsys.readouterr().out == "4 equal, 0 differ\n"


def test_diff_allows_a_stated_distance(tmp_path):
    write_saver(tmp_path / "a", {"x": np.float32(1)})
    write_saver(tmp_path / "b", {"x": np.nextafter(np.float32(1), np.float32(2))})
    arguments = ["diff", str(tmp_path / "a"), str(tmp_path / "b")]
    assert (main(arguments), main([*arguments, "--ulps", "1"])) == (1, 0)


@pytest.mark.parametrize(
    "one, other, at, sides",
    [
        (np.array([1, 2, 3, np.nan], "f4"), np.array([1, 2, 3, 4], "f4"), 3, ("nan", 4.0)),
        (np.array([1, 2, np.nan, 4], "f4"), np.array([9, 2, 3, np.nan], "f4"), 2, ("nan", 3.0)),
        (np.array([1, 2, 3], "f4"), np.array([1, 2.5, 9], "f4"), 2, (3.0, 9.0)),
        (np.array([5, 6, 2**60, 7]), np.array([5, 6, 2**60 + 1, 7]), 2, (2**60, 2**60 + 1)),
        (np.array([0, -100, 1], "i1"), np.array([90, 100, 1], "i1"), 1, (-100, 100)),
        (np.array([1, 0], "f4"), np.array([1, -0.0], "f4"), 1, (0.0, -0.0)),
        (np.array([1, np.inf], "f8"), np.array([2, -np.inf], "f8"), 1, ("inf", "-inf")),
        (np.array([[1, 1 + 1j]], "c8"), np.array([[1, 1 + 2j]], "c8"), 1, ("(1+1j)", "(1+2j)")),
        (np.float32(1), np.float32(3), None, (1.0, 3.0)),
    ],
)
def test_diff_shows_an_element_that_differs(one, other, at, sides, tmp_path, capsys):
    write_saver(tmp_path / "a", {"x": one})
    write_saver(tmp_path / "b", {"x": other})
    assert main(["diff", "--json", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    (told,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["differing"]
    assert told["at"][-1:] == ([] if at is None else [at])
    assert (told["a"], told["b"]) == sides and str(told["b"]) == str(sides[1])


@pytest.mark.parametrize(
    "name, to, said",
    [
        ("a" * 70000, "out.npz", "70004 bytes are more than"),
        ("a\0b", "out.npz", r"'a\x00b': names in a zip archive end at a NUL"),
        ("__metadata__", "out.safetensors", "named '__metadata__'"),
    ],
)
def test_a_name_that_a_format_cannot_hold_is_told_before_anything_is_written(name, to, said, tmp_path, capsys):
    write_saver(tmp_path / "in", {name: np.ones(2, "f4"), "b": np.zeros(2, "f4")})
    before = sorted(os.listdir(str(tmp_path)))
    assert main(["convert", str(tmp_path / "in"), "--to", str(tmp_path / to)]) == 4
    errors = capsys.readouterr().err
    assert said in errors and len(errors) < 500 and len(errors.splitlines()) == 1
    assert sorted(os.listdir(str(tmp_path))) == before
    other = "out" if to == "out.safetensors" else "out.safetensors"
    assert main(["convert", str(tmp_path / "in"), "--to", str(tmp_path / other)]) == 0
    assert main(["diff", str(tmp_path / "in"), str(tmp_path / other)]) == 0


def test_names_do_nothing_to_the_terminal(tmp_path, capsys):
    names = ["a\nb", "x\x1b[31mred", "\u202eabc", "é/名", "b c"]
    write_saver(tmp_path / "m", {name: np.ones(2, "f4") for name in names})
    write_saver(tmp_path / "n", {"z": np.ones(2, "f4")})
    assert main(["inspect", str(tmp_path / "m")]) == 0
    listed = capsys.readouterr().out
    assert main(["diff", str(tmp_path / "m"), str(tmp_path / "n")]) == 1
    assert main(["plan", str(tmp_path / "m"), "--model", str(tmp_path / "m")]) == 0
    for said in (listed, *capsys.readouterr().out.split(" differ\n")):
        for shown in (r"a\nb ", r"x\x1b[31mred", r"\u202eabc", "é/名", "b c"):
            assert shown in said
        assert all(line.isprintable() for line in said.splitlines())
    assert len(listed.splitlines()) == 7
    with open_checkpoint(tmp_path / "m") as checkpoint:
        assert r"a\nb" in make_plan(checkpoint, checkpoint.tensors).table(20)
