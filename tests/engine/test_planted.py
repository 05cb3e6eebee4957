"""What tests stand on: the processes that they start, and what becomes of them."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.engine import planted
from tests.engine.planted import Planted, end_all, start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_child_is_ended_by_a_signal(number):
    """Also where this process ignores it: under nohup, or in the background of a script."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        words = [sys.executable, "-c", "import sys, time; print('here', flush=True); time.sleep(60)"]
        process = start(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        process.communicate(timeout=30)
    finally:
        signal.signal(number, before)
    assert process.returncode == -number


def test_what_a_failed_test_left_is_ended(tmp_path):
    process = start([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.PIPE, text=True)
    planted.STARTED.append((Planted(tmp_path, "venv"), process))
    end_all()
    assert process.returncode == -signal.SIGTERM and not planted.STARTED
