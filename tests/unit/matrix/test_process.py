"""Processes that are waited for while signals come."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from matrix.engine.process import kill, spawn


class Stopped(BaseException):
    """What a signal's handler raises."""


class Interrupting:
    """Popen's own lock, whose taker gets a signal as soon as he has it."""

    def __init__(self, lock):
        self.lock = lock

    def acquire(self, *arguments):
        taken = self.lock.acquire(*arguments)
        signal.raise_signal(signal.SIGTERM)
        return taken

    def release(self):
        self.lock.release()


@pytest.fixture
def stopping():
    def stop(number, frame):
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def process(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process = spawn([sys.executable, "-c", "import time; time.sleep(60)"], log)
    yield process
    kill(process)
    process.stdin.close()


@pytest.mark.parametrize(
    "how", [lambda process: process.poll(), lambda process: process.wait(10)], ids=["poll", "wait"]
)
def test_signal_leaves_no_lock(process, stopping, how):
    lock = process._waitpid_lock
    process._waitpid_lock = Interrupting(lock)
    with pytest.raises(Stopped):
        how(process)
    process._waitpid_lock = lock
    assert not lock.locked(), "whoever waits for this process now would do so for ever"


def test_wait_gives_up(process):
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
