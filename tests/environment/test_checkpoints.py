"""The tests of `checkpoints` itself, with the Keras, the NumPy and the Python of this environment."""

from __future__ import annotations

import re
import subprocess
import sys

from gan.child import ChildFailed

TESTS = "tests/unit/checkpoints"
EXAMPLES = TESTS + "/test_examples.py"
# No framework has a part in these, and they take as long as all others: the project's own tests run them.
ELSEWHERE = tuple(TESTS + "/test_" + name + ".py" for name in ("hostile_files", "audit", "fuzz", "budget", "terminal"))


def run_pytest(record_property, *arguments):
    """Run pytest in a process of its own, which shares no state of TensorFlow with other cells; how many passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"] + list(arguments)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    print(done.stdout)
    if done.returncode < 0:
        raise ChildFailed(done.returncode, "runs the tests of checkpoints")
    counted = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped)", done.stdout)}
    for word, number in counted.items():
        record_property(word, number)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    assert done.returncode == 0, "; ".join(failed[:3]) or done.stdout[-300:]
    return counted.get("passed", 0)


def test_its_own_tests_pass_here(record_property):
    ignored = ["--ignore=" + path for path in (EXAMPLES,) + ELSEWHERE]
    assert run_pytest(record_property, TESTS, *ignored) > 200


def test_the_examples_of_its_help_work(record_property):
    """Each is a process that imports TensorFlow: once, in the newest generation of Keras."""
    assert run_pytest(record_property, EXAMPLES) >= 8
