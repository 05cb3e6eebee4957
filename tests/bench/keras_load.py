"""Loads a checkpoint into a Keras model of the same size and says what memory that took.

    python -m tests.bench.keras_load PREFIX COUNT WIDTH

The model is COUNT dense layers of WIDTH x WIDTH without biases. Its memory is what the process holds once it is
built; the peak is counted from there on (Linux can reset it), so what TensorFlow took before is no part of it. A
second copy of all weights would show as a peak of the model's own size on top.
"""

from __future__ import annotations

import json
import re
import sys
import time


def status(name):
    """A line of /proc/self/status in bytes: VmRSS is what the process holds, VmHWM the most it has held."""
    with open("/proc/self/status", encoding="ascii") as stream:
        return int(re.search(rf"^{name}:\s+(\d+) kB", stream.read(), re.MULTILINE)[1]) * 1024


def build(count, width):
    """The model, its weights initialised (so that their memory is really there)."""
    import keras

    layers = [keras.layers.Dense(width, use_bias=False, name=f"layer_{n:05d}") for n in range(count)]
    return keras.Sequential([keras.Input((width,)), *layers])


def main():
    """Prints the figures as JSON."""
    prefix, count, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    from checkpoints import Rule, load, make_plan, model_variables, open_checkpoint

    model = build(count, width)
    variables = model_variables({"": model})
    with open_checkpoint(prefix) as checkpoint:
        # What is imported or set up once is not the load's.
        model.weights[0].assign(checkpoint.read(next(iter(checkpoint.tensors))))
        plan = make_plan(checkpoint, variables, [Rule(r".*/(layer_\d+/kernel)", r"\1")])
        held = status("VmRSS")
        with open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
            stream.write("5")
        begun = time.perf_counter()
        load(plan, checkpoint, variables)
        seconds = time.perf_counter() - begun
        peak = status("VmHWM")
    weights = sum(info.nbytes for info in checkpoint.tensors.values())
    print(json.dumps({"weights": weights, "held": held, "peak": peak, "seconds": seconds}))


if __name__ == "__main__":
    main()
