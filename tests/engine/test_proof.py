"""The cells that prove what an environment is: they pass in a real one, and see each thing that is planted in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def proven(tmp_path):
    """A virtual environment that is what its lock says, and `failures(**row)`: the cells that fail in it."""

    class Proven:
        folder = tmp_path / "venv"
        packages = folder / "lib" / f"python{PYTHON}" / "site-packages"
        lock = tmp_path / "lock.txt"

        def uv(self, *arguments):
            command = [sys.executable, "-m", "uv", *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        def failures(self, extra=None, **row):
            environment = {"lock": str(self.lock), "python": PYTHON, "tensorflow": "", "base": "", "keras": 3, **row}
            (tmp_path / "plan.json").write_text(json.dumps({"environment": environment}))
            environ = {"PATH": os.environ["PATH"], "CARRYOVER_OUT": str(tmp_path), "COLUMNS": "2000", **(extra or {})}
            command = [self.folder / "bin/python", "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider"]
            tests = "tests/environment/test_environment.py"
            done = subprocess.run([*command, tests], cwd=CHECKOUT, env=environ, capture_output=True, text=True)
            assert done.returncode in (0, 1), done.stdout + done.stderr
            return {line.partition("::")[2] for line in done.stdout.splitlines() if line.startswith("FAILED")}

    made = Proven()
    made.uv("venv", "-q", "--python", sys.executable, str(made.folder))
    made.uv("pip", "install", "-q", "--python", str(made.folder / "bin/python"), "pytest", "numpy")
    made.lock.write_text(made.uv("pip", "freeze", "--python", str(made.folder / "bin/python")))
    return made


VERSIONS = "test_versions_are_the_rows_own"  # fails throughout: there is no Keras here


def found(failures, name):
    return [line for line in failures if line.startswith(f"test_{name} ")]


def test_an_environment_like_its_lock_passes_and_what_is_planted_is_seen(proven, tmp_path):
    clean = proven.failures()
    assert {line.split()[0] for line in clean} == {VERSIONS}

    lock = proven.lock.read_text()
    proven.lock.write_text(lock.replace("pytest==", "pytest==0."))
    assert found(proven.failures(), "what_is_installed_is_what_the_lock_says")
    proven.lock.write_text(lock + "vanished==1.0\n")
    assert found(proven.failures(), "what_is_installed_is_what_the_lock_says")
    proven.lock.write_text("".join(line for line in lock.splitlines(True) if not line.startswith("pluggy")))
    assert found(proven.failures(), "what_is_installed_is_what_the_lock_says")
    proven.lock.write_text(lock)

    stray = proven.packages / "sitecustomize.py"
    stray.write_text("")
    assert "sitecustomize.py" in found(proven.failures(), "nothing_else_is_on_the_path")[0]
    stray.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert str(elsewhere) in found(proven.failures({"PYTHONPATH": str(elsewhere)}), "nothing_else_is_on_the_path")[0]

    (version,) = found(proven.failures(python="3.99"), "versions_are_the_rows_own")
    assert "3.99" in version
    proven.lock.write_text(lock.replace("numpy==", "numpy==0."))
    (version,) = found(proven.failures(), "versions_are_the_rows_own")
    assert "0." in version
