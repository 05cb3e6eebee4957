"""What was loaded against what was written: variables, outputs, and training continued. Loaded is not enough."""

from __future__ import annotations

import os

import numpy as np

from checkpoints.ulps import ulps_of_largest
from tests.pairs.steps import CONTINUED, STEPS

#: How far outputs may be, in units in the last place of the largest output (docs/bounds.md).
ULPS = 18

#: How far any weight may be after three more steps from what the writer made of it. Over all pairs of
#: releases that is at most 6.0e-8 where the optimizer's state was kept, and at least 4.5e-3 where it was lost.
CONTINUED_BOUND = 5e-6


def read_golden(folder):
    """The arrays of golden.npz by name; `weights` and `continued` are lists in the order of the network."""
    with np.load(os.path.join(folder, "golden.npz")) as file:
        arrays = {name: file[name] for name in file.files}
    golden = {"inputs": arrays["inputs"], "outputs": arrays["outputs"]}
    for what in ("weights", "continued"):
        golden[what] = [arrays[name] for name in sorted(arrays) if name.startswith(what + "_")]
    return golden


def _restored(loaded, golden):
    """How many of the writer's weights are there, bit for bit; None where nothing like them is listed.

    A function captures what it needs, and need not list it: a frozen graph has constants, and a SavedModel of
    TensorFlow 1 lists nothing in TensorFlow 2, nor does one that tf.saved_model.save made of a model of Keras 3.
    """
    if hasattr(loaded, "weights"):
        pairs = zip(loaded.weights(), golden["weights"])
        return sum(np.asarray(here).tobytes() == there.tobytes() for here, there in pairs)
    here = [(value.shape, value.tobytes()) for value in loaded.found or ()]
    if not {value.shape for value in golden["weights"]} & {shape for shape, _ in here}:
        return None
    return sum((value.shape, value.tobytes()) in here for value in golden["weights"])


def problem(loaded, golden, note):
    """What is silently wrong with `loaded`, in a line, or None. `note(name, value)` takes the figures."""
    total = len(golden["weights"])
    restored = _restored(loaded, golden)
    if restored is not None:
        note("restored", "{} of {}".format(restored, total))
        if restored < total:
            return "{} of {} variables restored".format(restored, total)
    ulps = ulps_of_largest(loaded.predict(golden["inputs"]), golden["outputs"])
    note("ulps", ulps)
    if not ulps <= ULPS:
        return "outputs off by {:.0f} ulp of the largest, bound {}".format(ulps, ULPS)
    if golden["continued"] and hasattr(loaded, "train"):
        loaded.train(STEPS, CONTINUED)
        pairs = zip(loaded.weights(), golden["continued"])
        off = float(np.max([np.max(np.abs(here - there)) for here, there in pairs]))
        note("continued", off)
        if not off <= CONTINUED_BOUND:
            return "training goes on otherwise: weights off by {:.1e} after {} steps, bound {:.0e}".format(
                off, CONTINUED, CONTINUED_BOUND
            )
    return None
