"""Runs of `python -m gan` in processes of their own, forked from one that has imported TensorFlow and no more.

An import takes seconds, and many processes are needed here: each mode in TensorFlow 1 needs another, and a process
that is killed is gone. TensorFlow starts its threads with the first op, so that a fork before it is a fresh process.

    python -m tests.environment.forks      a JSON object {"arguments", "death"} a line in, {"status", "output"} out
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback

import numpy as np

#: The most that a file may grow to once a death by FILE_SIZE is due: less than the values of a checkpoint.
FILE_SIZE = 60000


class Forks:
    """The process to fork from, as a context manager."""

    def __enter__(self):
        command = [sys.executable, "-W", "ignore", "-m", "tests.environment.forks"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True
        )
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def run(self, arguments, death=None):
        """(status, output) of `python -m gan` with `arguments`; a negative status is the signal that ended it.

        `death` is (step, "SIGKILL"): it is killed when that step is done, before its checkpoint if one is due; or
        (step, "SIGXFSZ"): the kernel kills it in the middle of the next file that grows beyond FILE_SIZE after it; or
        (step, "NAN"): what is generated after that step is no number; or
        (step, "EFBIG"): a file cannot grow beyond FILE_SIZE after it, which is an error and no signal; or
        (step, "SIGINT"): Ctrl-C in that step, in a session when the discriminator is updated and the generator is not.
        """
        self._process.stdin.write(json.dumps({"arguments": list(map(str, arguments)), "death": death}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["status"], answer["output"]


class _Interrupting:
    """What a session is fed with: Ctrl-C is pressed when it looks."""

    def __array__(self, *wanted):
        os.kill(os.getpid(), signal.SIGINT)


def _plant(mode, death):
    """Let the class of `mode` die as Forks.run says."""
    from gan.modes import MODES, is_eager

    step_of_death, signal_name = death
    way = getattr(importlib.import_module("gan." + mode), MODES[mode])
    original = way.step

    def step(gan, *batches):
        current = gan.steps_done + 1
        if current == step_of_death and signal_name in ("SIGXFSZ", "EFBIG"):
            if signal_name == "SIGXFSZ":
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
        if current == step_of_death and signal_name == "SIGINT":
            signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may ignore it
            if not is_eager(mode):
                batches = (*batches[:2], _Interrupting())
        losses = original(gan, *batches)
        if current == step_of_death and signal_name == "NAN":
            gan.generate = lambda z: np.full((len(z), 1), np.nan, np.float32)
        if current == step_of_death and signal_name in ("SIGKILL", "SIGINT"):
            os.kill(os.getpid(), getattr(signal, signal_name))
        return losses

    way.step = step


def _child(request, output):
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    status = 70
    try:
        if request["death"]:
            _plant(request["arguments"][request["arguments"].index("--mode") + 1], request["death"])
        status = importlib.import_module("gan.cli").main(request["arguments"])
    except SystemExit as stop:  # argparse
        status = stop.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main():
    """Serve until standard input ends."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("tensorflow.compat.v1", "gan.cli"):
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as output:
            pid = os.fork()
            if pid == 0:
                _child(json.loads(line), output)
            _, status = os.waitpid(pid, 0)
            output.seek(0)
            ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            print(json.dumps({"status": ended, "output": output.read()}), file=answers, flush=True)


if __name__ == "__main__":
    main()
