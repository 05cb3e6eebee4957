"""Names and words of a file, as people see them: escaped, on one line, of bounded length; and exact in JSON."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from checkpoints import CheckpointError, MappingError, Plan, open_checkpoint, write_saver
from checkpoints.cli import main
from checkpoints.foreign_text import LONGEST_LINE, LONGEST_NAME, literal, named, printable, sentence

from .support import HERE

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
NAMES = [
    "a\x1b[2J\x1b]0;x\x07",
    "a\nerror: b",
    "a\r\tb\x0b\x0c",
    "a\u202eb\u2066\u2069",
    "a\u2028b\u2029c\x85",
    "a\u200b\ufeff\u00ad",
    "a\x00\x7f\x9b",
    "a\ud800b",
    "a\U000e0041",
    "'",
    '"',
    "'\"",
    "\\",
    'a\\"b\\',
    "a\\nb",
    "plain/kernel",
    "mod\u00e8le/\u6838",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_printable(name):
    assert printable(name).isprintable()
    assert (printable(name) == name) == name.isprintable()


@pytest.mark.parametrize("name", NAMES)
def test_literal(name):
    text = literal(name)
    assert ast.literal_eval(text) == name
    assert text.isprintable() and "\n" not in text


def test_lengths():
    assert len(named("a" * 100_000)) == LONGEST_NAME and named("a" * 9_999 + "end").endswith("end")
    assert len(sentence("\x1b" * 100_000)) == LONGEST_LINE
    assert sentence("short") == "short"


@pytest.mark.parametrize("name", NAMES)
def test_errors(name):
    error = CheckpointError(f"file: tensor {name}: " + "x" * 5_000)
    assert str(error).isprintable() and len(str(error)) <= LONGEST_LINE
    problems = MappingError([f"one {name}", "two\nRule(...)"], f"file {name}")
    assert all(line.isprintable() for line in str(problems).split("\n"))
    assert all(line.isprintable() for problem in problems.problems for line in problem.split("\n"))


@pytest.fixture
def odd(tmp_path):
    """A checkpoint whose tensors have all those names that a bundle can hold."""
    names = [name for name in NAMES if name and "\ud800" not in name]
    write_saver(tmp_path / "odd", {name: np.full(3, place, "f4") for place, name in enumerate(names)})
    return str(tmp_path / "odd"), names


def shown(capsys):
    """What was printed, which must be printable line by line."""
    output, errors = capsys.readouterr()
    assert all(line.isprintable() for text in (output, errors) for line in text.split("\n"))
    return output, errors


def test_tables(odd, tmp_path, capsys):
    path, names = odd
    assert main(["inspect", "--sha256", path]) == 0
    assert len(shown(capsys)[0].splitlines()) == len(names) + 2
    assert main(["plan", path, "--model", path]) == 0
    assert len(shown(capsys)[0].splitlines()) == len(names) + 2
    write_saver(tmp_path / "other", {name: np.zeros(4, "f4") for name in names})
    assert main(["diff", path, str(tmp_path / "other")]) == 1
    assert len(shown(capsys)[0].splitlines()) == len(names) + 2
    assert main(["convert", path, "--to", str(tmp_path / "a\x1b[2J\nb.safetensors")]) == 0
    assert len(shown(capsys)[0].splitlines()) == 1


def test_json_is_exact(odd, tmp_path, capsys):
    path, names = odd
    assert main(["inspect", "--json", path]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert sorted(tensor["name"] for tensor in listed["tensors"]) == sorted(names)
    assert main(["plan", "--json", path, "--model", path]) == 0
    plan = Plan.from_json(capsys.readouterr().out)
    assert sorted(row.source for row in plan.rows) == sorted(names)
    write_saver(tmp_path / "other", {name: np.zeros(4, "f4") for name in names})
    assert main(["diff", "--json", path, str(tmp_path / "other")]) == 1
    assert sorted(entry["name"] for entry in json.loads(capsys.readouterr().out)["differing"]) == sorted(names)


@pytest.mark.parametrize("name", [name for name in NAMES if name and "\ud800" not in name])
def test_names_of_missing_tensors(name, odd, capsys):
    with open_checkpoint(odd[0]) as checkpoint, pytest.raises(CheckpointError, match="no tensor named") as caught:
        checkpoint.read(name + "x")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["no\x1b[2J", "a\udcffb", "\u202e"])
def test_paths(name, tmp_path, capsys):
    for command in (["inspect"], ["convert", "--to", str(tmp_path / "x")], ["plan", "--model", str(tmp_path / name)]):
        assert main([*command, str(tmp_path / name)]) == 4
        assert len(shown(capsys)[1].splitlines()) == 1


def test_one_long_name_does_not_widen_the_others(tmp_path, capsys):
    write_saver(tmp_path / "m", {"a" * 60_000: np.zeros(1, "f4"), **{f"b{n}": np.zeros(1, "f4") for n in range(100)}})
    assert main(["inspect", str(tmp_path / "m")]) == 0
    assert len(capsys.readouterr().out) < 60_000 + 100 * 600


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_another_encoding(encoding, tmp_path):
    write_saver(tmp_path / "m", {"mod\u00e8le/\u6838": np.zeros(1, "f4")})
    for arguments in (["inspect", str(tmp_path / "m")], ["inspect", str(tmp_path / "\u6838")]):
        process = subprocess.Popen(
            [sys.executable, "-m", "checkpoints", *arguments],
            cwd=ROOT,
            env=dict(os.environ, PYTHONIOENCODING=encoding, PYTHONUTF8="0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        output, errors = process.communicate(timeout=60)
        assert process.returncode in (0, 4) and b"Traceback" not in errors
        assert (output + errors).decode(encoding)
