"""Rules that an error suggests, written to a file that can be given back."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

from checkpoints import Ignore, Keep, Layer, Rule
from checkpoints.cli import main
from checkpoints.rules import load_rules, save_rules


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two files of the given names and shapes: a checkpoint, and what stands for the model."""
    monkeypatch.chdir(tmp_path)

    def write(source, model):
        for name, shapes in (("a.npz", source), ("b.npz", model)):
            np.savez(name, **{key: np.zeros(shape, "f4") for key, shape in shapes.items()})

    return write


def plan(*arguments):
    return main(["plan", "a.npz", "--model", "b.npz", *arguments])


def dense(*scopes):
    return {f"{scope}/{leaf}": shape for scope in scopes for leaf, shape in (("kernel", (4, 4)), ("bias", (4,)))}


def test_pasted_choices_load(files, capsys):
    files(dense("one", "two"), dense("red", "blue"))
    assert plan("--suggest", "rules.py") == 3
    said = capsys.readouterr().err
    assert re.search(r"\(2 rules, 2 with a choice to make, written to rules.py\): \d+ problems?:", said), said
    assert plan("--rules", "rules.py") == 3 and " | " in capsys.readouterr().err
    with open("rules.py") as stream:
        text = stream.read()
    assert text.count("# Choose one") == 2
    for chosen in ("red", "blue"):
        text = re.sub(r'"(?:red \| blue|blue \| red)"', f'"{chosen}"', text, count=1)
    with open("chosen.py", "w") as stream:
        stream.write(text)
    assert plan("--rules", "chosen.py") == 0


def test_needed_variable_is_never_ignored(files):
    """What may still be one of the variables that are offered to others."""
    files({**dense("one", "two"), "alone": (4, 4)}, dense("red", "blue", "green"))
    assert plan("--suggest", "rules.py") == 3
    rules = load_rules("rules.py")
    assert [rule for rule in rules if isinstance(rule, Ignore)] == []
    assert Rule("alone", "blue/kernel | green/kernel | red/kernel | nowhere") in rules


def test_given_rules_are_kept(files):
    files({**dense("one", "two"), "x": (3,)}, {**dense("red", "blue"), "head": (7,)})
    with open("mine.py", "w") as stream:
        stream.write('RULES = [Ignore("x", "old")]')
    assert plan("--rules", "mine.py", "--keep", "head", "--suggest", "rules.py") == 3
    assert load_rules("rules.py")[2:] == [Keep("head"), Ignore("x", "old")]


def test_nothing_is_written_in_vain(files, capsys):
    files(dense("one"), dense("one"))
    assert plan("--suggest", "rules.py") == 0
    files({"one/kernel": (4, 4)}, {"one/kernel": (4, 4), "two/x": (9,)})
    capsys.readouterr()
    assert plan("--suggest", "rules.py") == 3
    assert "(no rule would help, so rules.py is not written)" in capsys.readouterr().err
    assert not os.path.exists("rules.py")


@pytest.mark.parametrize(
    "name, said", [("rules.toml", "rules are written to .py files"), ("old.py", "exists already; name a new file")]
)
def test_files_that_stay(name, said, files, capsys):
    files(dense("one"), dense("red", "blue"))
    with open("old.py", "w") as stream:
        stream.write("RULES = []")
    assert plan("--suggest", name) == 2
    assert said in capsys.readouterr().err
    assert sorted(os.listdir()) == ["a.npz", "b.npz", "old.py"]


def test_any_name_can_be_written(tmp_path):
    path = str(tmp_path / "rules.py")
    names = ["a\nb", "q\"'\\", "\x1b[31m", "\u202ename", "é | ü", "\udc80", "end\\"]
    rules = [Rule(re.escape(name), name.replace("\\", "\\\\")) for name in names]
    rules += [Layer("x", "y", "lstm:forget_bias=0.0"), Rule("k", "v", "transpose", "float32")]
    save_rules(path, rules, [Ignore(names[0], names[1])], "\x1b[2J/model\n.ckpt")
    assert load_rules(path) == [*rules, Ignore(names[0], names[1])]
    with open(path) as stream:
        assert stream.read().replace("\n", "").isprintable()
