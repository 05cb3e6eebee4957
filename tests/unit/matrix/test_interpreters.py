"""Interpreters are found where people keep them, and a name proves nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from matrix import interpreters
from matrix.errors import InterpreterMissing

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
REAL = Path(os.path.realpath(sys.executable))


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A host on which nothing is to be found but what a test puts into tmp_path."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def wrapper(path, text=f'exec {REAL} "$@"'):
    """An executable that is found by its own path: links are resolved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_one_on_path_comes_first(nowhere):
    wrapper(nowhere / f"uv/cpython-{OWN}.9-linux-x86_64-gnu/bin/python{OWN}")
    first = wrapper(nowhere / f"bin/python{OWN}")
    assert interpreters.find(OWN) == first


def test_links_are_followed_to_the_interpreter_itself(nowhere):
    (nowhere / "bin").mkdir()
    (nowhere / f"bin/python{OWN}").symlink_to(REAL)
    assert interpreters.find(OWN) == REAL


def test_a_pyenv_shim_is_not_an_interpreter(nowhere, monkeypatch):
    """A shim runs whatever .python-version says, or fails; the version's own folder has the interpreter."""
    shim = wrapper(nowhere / f"pyenv/shims/python{OWN}", "exec " + str(REAL) + ' "$@"')
    monkeypatch.setenv("PATH", str(shim.parent))
    assert shim not in list(interpreters.candidates(OWN))
    version = wrapper(nowhere / f"pyenv/versions/{OWN}.4/bin/python")
    assert interpreters.find(OWN) == version


def test_a_name_that_lies_is_passed_over(nowhere):
    wrapper(nowhere / "bin/python3.77")  # is another version
    wrapper(nowhere / f"bin/python{OWN}", "echo PyPy " + OWN)
    (nowhere / "uv" / f"cpython-{OWN}.8-linux/bin/python{OWN}").mkdir(parents=True)  # is a folder
    wrapper(nowhere / f"uv/cpython-{OWN}.7-linux/bin/python{OWN}", "exit 3")
    broken = nowhere / f"uv/cpython-{OWN}.6-linux/bin/python{OWN}"
    broken.parent.mkdir(parents=True)
    broken.symlink_to(nowhere / "gone")
    assert interpreters.find("3.77") is None
    right = wrapper(nowhere / f"pyenv/versions/{OWN}.1/bin/python")
    assert interpreters.find(OWN) == right


@pytest.mark.parametrize(
    ("folder", "file"),
    [("uv/cpython-{}-linux-x86_64-gnu", f"bin/python{OWN}"), ("pyenv/versions/{}", "bin/python")],
)
def test_the_newest_patch_comes_first(nowhere, folder, file):
    for patch in (2, 10, 9):
        wrapper(nowhere / folder.format(f"{OWN}.{patch}") / file)
    assert interpreters.find(OWN) == nowhere / folder.format(f"{OWN}.10") / file


def test_another_minor_release_is_not_taken_for_it(nowhere):
    """3.1 is the beginning of 3.13."""
    for name in (f"uv/cpython-{OWN}0.1-linux/bin/python{OWN}0", f"pyenv/versions/{OWN}0.1/bin/python"):
        wrapper(nowhere / name)
    places = [str(path) for path in interpreters.candidates(OWN) if str(nowhere) in str(path)]
    assert places == [str(nowhere / f"bin/python{OWN}")]


def test_one_that_is_missing_is_named_with_how_to_get_it(nowhere):
    with pytest.raises(InterpreterMissing) as error:
        interpreters.require("3.99")
    assert "CPython 3.99 is not here" in str(error.value) and "`pyenv install 3.99`" in str(error.value)
