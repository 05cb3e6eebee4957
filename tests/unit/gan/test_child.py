"""What is said of a process that fails, whatever its files are called."""

from __future__ import annotations

import pytest

from gan.child import ChildFailed, run_python

DYING = """
import os, resource, signal
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.kill(os.getpid(), signal.SIGFPE)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """`module(source)` is the name of a module that children can run."""

    def make(source):
        (tmp_path / "planted.py").write_text(source)
        return "planted"

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return make


def test_signal_is_named(module):
    name = module(DYING)
    with pytest.raises(ChildFailed) as failed:
        run_python(name, ["/tmp/tmpabc/trace.npz"], "traces eager with oneDNN on")
    assert str(failed.value) == "SIGFPE in the child that traces eager with oneDNN on"
    assert failed.value.signal == "SIGFPE"


def test_exit_status_is_named(module):
    with pytest.raises(ChildFailed) as failed:
        run_python(module("raise SystemExit(3)"), [], "traces eager")
    assert (str(failed.value), failed.value.signal) == ("exit status 3 in the child that traces eager", None)


def test_success_is_silent(module):
    run_python(module("import sys\nassert sys.argv[1:] == ['a']"), ["a"], "traces eager")
