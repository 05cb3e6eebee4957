"""Trains on request inside an environment, for `tests.bench.steps`: one JSON question a line, one answer a line.

    python -m tests.bench.trainer graph|eager

Which modes: those with a Session, which make their graph the default one, or those without. On one thread in each.
The first answer says what this is; [MODE, BATCH, SECONDS] trains for so long (at least one step) and is answered with
the seconds that a step took. Python 3.7 or newer, as everything in an environment.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import time

import numpy as np
import tensorflow as tf

from gan import subject
from gan.data import training_batches
from gan.settings import Settings
from gan.trace import MODES

EAGER = ("eager", "function")
BATCHES = 16  # made beforehand and used in turn, so that NumPy's part in it is no part of the figures


def answer(value):
    """One line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Trainer:
    """One mode at one batch size, open from the first question on and warm."""

    def __init__(self, mode, batch, stack):
        module = __import__("gan." + mode, fromlist=[MODES[mode]])
        settings = Settings(steps=BATCHES, batch=batch)
        self.gan = stack.enter_context(getattr(module, MODES[mode])(settings))
        self.batches = itertools.cycle(list(training_batches(settings)))
        for _ in range(3):
            self.gan.step(*next(self.batches))

    def seconds_a_step(self, seconds):
        """Train for `seconds` and return what a step takes: the duration that a tenth of them stay below.

        Whatever else the machine does can only make a step longer, so this says more than a mean where it is busy.
        """
        taken = []
        while not taken or sum(taken) < seconds:
            begun = time.perf_counter()
            losses = self.gan.step(*next(self.batches))
            taken.append(time.perf_counter() - begun)
        if not np.isfinite(losses).all():
            raise SystemExit(f"the losses are {losses}")
        return float(np.percentile(taken, 10))


def main(kind):
    """The command line above."""
    if kind == "eager":
        tf.compat.v1.enable_eager_execution()  # TensorFlow 1 wants this first
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    modes = [mode for mode in sorted(MODES) if (mode in EAGER) == (kind == "eager")]
    answer([tf.__version__, {mode: subject.unsupported(mode) for mode in modes}])
    trainers = {}
    with contextlib.ExitStack() as stack:
        for line in sys.stdin:
            mode, batch, seconds = json.loads(line)
            if (mode, batch) not in trainers:
                trainers[mode, batch] = Trainer(mode, int(batch), stack)
            answer(trainers[mode, batch].seconds_a_step(float(seconds)))


if __name__ == "__main__":
    main(sys.argv[1])
