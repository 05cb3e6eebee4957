"""Processes that others start for a part of their work, and what is said when one of them fails."""

from __future__ import annotations

import signal
import subprocess
import sys


class ChildFailed(RuntimeError):
    """A child did not end with status 0. `signal` is the name of the signal that ended it, or None."""

    def __init__(self, status, task):
        self.signal = None
        if status < 0:
            self.signal = "signal {}".format(-status)
            if -status in {int(number) for number in signal.Signals}:
                self.signal = signal.Signals(-status).name
        how = self.signal or "exit status {}".format(status)
        super().__init__("{} in the child that {}".format(how, task))


def run_python(module, arguments, task):
    """Run `python -m module arguments` with this interpreter.

    Raises ChildFailed, which says how the child ended and its `task` ("traces eager"), and neither its arguments nor
    the names of temporary files: the same failure reads the same in every run.
    """
    status = subprocess.call([sys.executable, "-m", module] + list(arguments))
    if status:
        raise ChildFailed(status, task)
