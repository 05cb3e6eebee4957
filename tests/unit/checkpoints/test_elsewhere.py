"""Golden arrays where this Python has no TensorFlow: who makes them, and what is said where nobody can."""

from __future__ import annotations

import importlib.util
import os
import sys

import numpy as np
import pytest

from checkpoints import CheckpointError, elsewhere

from .support import HERE

GRAPH = os.path.join(os.path.dirname(os.path.dirname(HERE)), "fixtures", "tf1-saver", "model.ckpt")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with nothing in it, in a Python without TensorFlow and a shell without nox."""
    monkeypatch.setattr(elsewhere, "_ROOT", str(tmp_path))
    monkeypatch.setattr(elsewhere, "_has_tensorflow", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv(elsewhere.VARIABLE, raising=False)
    return tmp_path


def program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_where_nobody_can_run_a_graph_the_error_says_what_to_do(checkout):
    with pytest.raises(CheckpointError, match=r"--python PATH or .CARRYOVER_TENSORFLOW_PYTHON, or install nox"):
        list(elsewhere.ways(None))


def test_who_runs_it_the_nearest_first(checkout, monkeypatch):
    def asked(python=None):
        return [way and way.command[0] for way in elsewhere.ways(python)]

    nox = program(checkout / "bin" / "nox")
    (checkout / "noxfile.py").touch()
    assert asked() == [nox]
    folder = checkout / ".carryover" / "venvs"
    for name in ("cpu-tf2.4-0123", "cpu-tf2.10-4567", "cpu-tf1.15-0123", "cpu-tf2.15-89ab.partial"):
        program(folder / name / "bin" / "python")
    nearest = [str(folder / name / "bin" / "python") for name in ("cpu-tf2.10-4567", "cpu-tf1.15-0123")]
    assert asked() == nearest
    monkeypatch.setenv(elsewhere.VARIABLE, "python-of-mine")
    assert asked() == ["python-of-mine", *nearest]
    assert asked("python-named") == ["python-named"]
    monkeypatch.setattr(elsewhere, "_has_tensorflow", lambda: True)
    assert asked() == [None, "python-of-mine", *nearest]


def test_a_python_that_is_not_there_is_named(checkout, monkeypatch):
    monkeypatch.setenv(elsewhere.VARIABLE, str(checkout / "nowhere"))
    with pytest.raises(CheckpointError, match=r"CARRYOVER_TENSORFLOW_PYTHON \(.*nowhere\): No such file"):
        elsewhere.golden_elsewhere(next(elsewhere.ways(None)), GRAPH, [], {})


def test_what_the_other_python_says_is_the_error(checkout):
    program(checkout / "python")
    (checkout / "python").write_text("#!/bin/sh\necho a warning >&2\necho error: the graph is broken >&2\nexit 4\n")
    with pytest.raises(CheckpointError, match=r"^--python .*python: the graph is broken$"):
        elsewhere.golden_elsewhere(next(elsewhere.ways(str(checkout / "python"))), GRAPH, [], {})


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow")
def test_another_python_makes_the_arrays_that_this_one_does():
    from checkpoints.tf_runtime import run_graph

    outputs = ["generator/G/BiasAdd"]
    here = run_graph(GRAPH, outputs)
    there = elsewhere.golden_elsewhere(next(elsewhere.ways(sys.executable)), GRAPH, ["--output", *outputs], {})
    assert set(here.arrays) == set(there.arrays) and here[1:] == there[1:]
    for name, array in here.arrays.items():
        np.testing.assert_allclose(there.arrays[name], array, rtol=1e-6, atol=1e-6)
