"""Train in one of the modes and keep every loss and every weight of every step: what comparing modes needs.

    python -m gan.trace MODE CHECKPOINT OUT.npz     from the variables of CHECKPOINT, with subject.TRAJECTORY

A process of its own is what eager execution in TensorFlow 1 asks for, and oneDNN: both are switched before anything
else, for good.
"""

from __future__ import annotations

import argparse
import os
import tempfile

import numpy as np

from gan.child import run_python
from gan.data import training_batches
from gan.modes import MODES, begin, is_eager, make
from gan.settings import add_options, choose_onednn, from_options, to_arguments


def trace(mode, initial, settings):
    """{"losses": (steps, 2), variable name: (steps + 1, *shape)}, from the variables of the checkpoint `initial`."""
    import tensorflow as tf

    if (is_eager(mode) and not tf.executing_eagerly()) or settings.onednn != "default":
        return _in_a_process(mode, initial, settings)
    return _trace(mode, initial, settings)


def _trace(mode, initial, settings):
    with make(mode, settings, initial) as gan:
        weights, losses = [gan.weights()], []
        for batches in training_batches(settings):
            losses.append(gan.step(*batches))
            weights.append(gan.weights())
        _check_switches(gan, batches, settings)
    arrays = {name: np.array([step[name] for step in weights]) for name in weights[0]}
    return dict(arrays, losses=np.array(losses))


def _check_switches(gan, batches, settings):
    """Raise RuntimeError if it was computed otherwise than asked for.

    TensorFlow says nothing when it moves to the CPU what a device cannot do, nor when it has other kernels.
    """
    products, wanted = _products(gan, *batches), "DEVICE:{}:0".format(settings.device.upper())
    elsewhere = {device for _, device in products if wanted not in device.upper()}
    if settings.device != "any" and (elsewhere or not products):
        raise RuntimeError("computed on {}, not on the {}".format(", ".join(sorted(elsewhere)), settings.device))
    onednn = any(op.startswith("_Mkl") for op, _ in products)
    if hasattr(gan, "session") and settings.onednn == ("off" if onednn else "on"):
        raise RuntimeError("oneDNN was to be {}: {}".format(settings.onednn, sorted({op for op, _ in products})))


def _products(gan, real, z, _):
    """Where the weights are multiplied, as (op, device): in a session as its run says, eagerly where they are."""
    import tensorflow.compat.v1 as tf

    if not hasattr(gan, "session"):
        from gan.keras_models import inner  # which a program of TensorFlow 1 alone has not

        return [("", variable.device) for variable in inner(gan.variables.values())]
    metadata, options = tf.RunMetadata(), tf.RunOptions(output_partition_graphs=True)
    gan.session.run(gan.g_loss, {gan.x: real, gan.z: z}, options=options, run_metadata=metadata)
    nodes = [node for graph in metadata.partition_graphs for node in graph.node]
    return [(node.op, node.device) for node in nodes if "MatMul" in node.op]


def _in_a_process(mode, initial, settings):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "trace.npz")
        switched = "" if settings.onednn == "default" else " with oneDNN " + settings.onednn
        run_python("gan.trace", [mode, initial, out] + to_arguments(settings), "traces " + mode + switched)
        with np.load(out) as arrays:
            return {name: arrays[name] for name in arrays.files}


def first_difference(trace, reference):
    """(step, variable name) of the first weight of `trace` that is not bit for bit that of `reference`, or None."""
    names = [name for name in reference if name != "losses"]
    for step in range(len(reference[names[0]])):
        for name in names:
            if trace[name][step].tobytes() != reference[name][step].tobytes():
                return step, name
    return None


def largest_difference(trace, reference):
    """The largest absolute difference of any weight at any step."""
    return float(np.max([np.max(np.abs(trace[name] - reference[name])) for name in reference if name != "losses"]))


def main():
    """The command line above; each of the Settings is an option."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=sorted(MODES))
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    add_options(parser)
    options = parser.parse_args()
    settings = from_options(options)
    choose_onednn(settings)
    begin(options.mode)
    np.savez(options.out, **_trace(options.mode, options.checkpoint, settings))


if __name__ == "__main__":
    main()
