"""The tests of `checkpoints` itself, with the Keras, the NumPy and the Python of this environment."""

from __future__ import annotations

import re
import subprocess
import sys


def test_its_own_tests_pass_here(record_property):
    """In a process of their own: they must not share TensorFlow's state with other cells."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/checkpoints"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    print(done.stdout)
    counted = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped)", done.stdout)}
    for word, number in counted.items():
        record_property(word, number)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    assert done.returncode == 0, "; ".join(failed[:3]) or done.stdout[-300:]
    assert counted.get("passed", 0) > 100
