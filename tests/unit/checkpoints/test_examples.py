"""The examples in `--help`, as printed: pasted into a shell in a checkout, again and again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from checkpoints.cli import COMMANDS

from .support import HERE

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
STATUS = {"diff": 1}


def examples(command, needing_tensorflow):
    """The commands under "example:" or "examples that need TensorFlow:" in the help."""
    output = subprocess.check_output(
        [sys.executable, "-m", "checkpoints", command, "--help"], cwd=ROOT, universal_newlines=True
    )
    title = "examples that need TensorFlow:" if needing_tensorflow else "example:"
    blocks = re.findall(rf"^{title}\n((?:  .*\n)+)", output, re.MULTILINE)
    return re.findall(r"^  (python (?:.*\\\n)*.*)$", "".join(blocks), re.MULTILINE)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A directory with all of the project that examples name, which they may write to; `python` is this one."""
    for name in ("checkpoints", "gan", "tests"):
        os.symlink(os.path.join(ROOT, name), str(tmp_path / name))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin") + os.pathsep + os.environ["PATH"])
    return tmp_path


def check(command, lines, checkout):
    assert lines, f"{command} --help has no example"
    for line in lines:
        for _ in range(2 if "--to" in line else 1):
            process = subprocess.Popen(
                line, shell=True, cwd=str(checkout), stderr=subprocess.PIPE, stdout=subprocess.PIPE
            )
            output, errors = process.communicate(timeout=300)
            assert output and process.returncode == STATUS.get(command, 0), errors.decode()


needs_a_shell = pytest.mark.skipif(shutil.which("sh") is None, reason="examples are for a shell")


@needs_a_shell
@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"verify", "golden"}))
def test_the_example_in_the_help_works_as_it_stands(command, checkout):
    check(command, examples(command, needing_tensorflow=False), checkout)


@needs_a_shell
@pytest.mark.parametrize("command", ["convert", "golden", "plan", "verify"])
def test_the_examples_that_need_tensorflow_work_as_they_stand(command, checkout):
    pytest.importorskip("tensorflow")
    check(command, examples(command, needing_tensorflow=True), checkout)
