"""What a build runs under: it ends with the host, and takes along all that the build has started."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from matrix.engine import guard

GUARD = [sys.executable, "-I", "-S", guard.__file__]
# It starts another in a session of its own, as podman does, and says which.
BUILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.exit(child.wait())
"""
SLEEPS = "import time; print(flush=True); time.sleep(600)"
ENDS_IN_ORDER = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open(PATH, "w").close(), sys.exit(3)))
print(flush=True)
time.sleep(600)
"""
IGNORES = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"


def start(child):
    """The guard of a build, and the process id of what that has started."""
    words = [*GUARD, sys.executable, "-c", BUILD.replace("CHILD", repr(child))]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    return process, int(process.stdout.readline())


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", ["the host is gone", "SIGTERM"])
@pytest.mark.parametrize("child", [SLEEPS, IGNORES], ids=["sleeps", "ignores"])
def test_all_of_it_ends(child, how):
    process, pid = start(child)
    if how == "SIGTERM":
        process.terminate()
    else:
        process.stdin.close()
    process.wait(60)
    while is_running(pid):
        time.sleep(0.01)
    process.stdout.close()


def test_children_are_told_first(tmp_path):
    """`podman build` dies of a signal at once, and its child would leave a container running."""
    process, pid = start(ENDS_IN_ORDER.replace("PATH", repr(str(tmp_path / "told"))))
    process.stdin.close()
    process.wait(60)
    assert (tmp_path / "told").exists() and not is_running(pid)
    process.stdout.close()


@pytest.mark.parametrize(("code", "status"), [("", 0), ("import sys; sys.exit(7)", 7), ("import os; os.abort()", 134)])
def test_its_status_is_the_builds(code, status):
    with subprocess.Popen([*GUARD, sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.wait(60) == status


def test_output_and_variables_pass_through():
    words = [*GUARD, sys.executable, "-c", "import os; print(os.environ['A'], os.environ.get('PYTHONHASHSEED'))"]
    environ = {"A": "b", "PYTHONHASHSEED": "5"}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True) as process:
        assert process.stdout.read() == "b 5\n"
