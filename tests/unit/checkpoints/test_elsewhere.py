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
        elsewhere.find_way(None)


def test_who_runs_it_the_nearest_first(checkout, monkeypatch):
    nox = program(checkout / "bin" / "nox")
    (checkout / "noxfile.py").touch()
    assert elsewhere.find_way(None).command[0] == nox
    for name in ("cpu-tf2.4-0123", "cpu-tf2.10-4567", "cpu-tf2.15-89ab.partial"):
        program(checkout / ".carryover" / "venvs" / name / "bin" / "python")
    assert "cpu-tf2.10-4567" in elsewhere.find_way(None).command[0]
    monkeypatch.setenv(elsewhere.VARIABLE, "python-of-mine")
    assert elsewhere.find_way(None).command[0] == "python-of-mine"
    assert elsewhere.find_way("python-named").command[0] == "python-named"
    monkeypatch.setattr(elsewhere, "_has_tensorflow", lambda: True)
    assert elsewhere.find_way(None) is None


def test_a_python_that_is_not_there_is_named(checkout, monkeypatch):
    monkeypatch.setenv(elsewhere.VARIABLE, str(checkout / "nowhere"))
    with pytest.raises(CheckpointError, match=r"CARRYOVER_TENSORFLOW_PYTHON \(.*nowhere\): No such file"):
        elsewhere.golden_elsewhere(elsewhere.find_way(None), GRAPH, [], {})


def test_what_the_other_python_says_is_the_error(checkout):
    program(checkout / "python")
    (checkout / "python").write_text("#!/bin/sh\necho a warning >&2\necho error: the graph is broken >&2\nexit 4\n")
    with pytest.raises(CheckpointError, match=r"^--python .*python: the graph is broken$"):
        elsewhere.golden_elsewhere(elsewhere.find_way(str(checkout / "python")), GRAPH, [], {})


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow")
def test_another_python_makes_the_arrays_that_this_one_does():
    from checkpoints.tf_runtime import run_graph

    outputs = ["generator/G/BiasAdd"]
    here = run_graph(GRAPH, outputs)
    there = elsewhere.golden_elsewhere(elsewhere.find_way(sys.executable), GRAPH, ["--output", *outputs], {})
    assert set(here) == set(there)
    for name, array in here.items():
        np.testing.assert_allclose(there[name], array, rtol=1e-6, atol=1e-6)
