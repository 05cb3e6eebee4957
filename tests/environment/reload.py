"""Exported networks loaded again in a process of its own, which has nothing of what wrote them.

    python -m tests.environment.reload OUT.json FOLDER...

Each FOLDER has golden.npz and, for each network there, NETWORK.pb (a frozen graph; tensors.json says where it is fed
and read) or NETWORK (a SavedModel). OUT.json gets {FOLDER: {NETWORK: {"seconds": to load, "bytes": of its files,
"same": as the golden outputs bit for bit, "ulps": how far, in ulp of the largest}}}, or the error of a FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np
import tensorflow as tf

import checkpoints


def load_frozen_graph(path, source, sink):
    """The frozen graph at `path` as a function from an array for the tensor `source` to an array of `sink`."""
    graph_def = tf.compat.v1.GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    if tf.executing_eagerly():
        imported = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph_def, name=""), [])
        pruned = imported.prune(imported.graph.as_graph_element(source), imported.graph.as_graph_element(sink))
        return lambda array: pruned(tf.constant(array)).numpy()
    with tf.Graph().as_default():
        tf.import_graph_def(graph_def, name="")
        session = tf.compat.v1.Session()
    return lambda array: session.run(sink, {source: array})


def load_saved_model(path):
    """The signature `serving_default` of the SavedModel at `path` as a function from an array to an array."""
    if tf.executing_eagerly():
        loaded = tf.saved_model.load(path)
        signature = loaded.signatures["serving_default"]
        (name,) = signature.structured_input_signature[1]
        return lambda array, loaded=loaded: next(iter(signature(**{name: tf.constant(array)}).values())).numpy()
    with tf.Graph().as_default():
        session = tf.compat.v1.Session()
        signature = tf.compat.v1.saved_model.load(session, ["serve"], path).signature_def["serving_default"]
    ((source, sink),) = zip(signature.inputs.values(), signature.outputs.values())
    return lambda array: session.run(sink.name, {source.name: array})


def reload(folder):
    """{network: how it was loaded and what it computes} of every network in `folder`."""
    with np.load(os.path.join(folder, "golden.npz")) as arrays:
        golden = {name: arrays[name] for name in arrays.files}
    tensors = {}
    if os.path.exists(os.path.join(folder, "tensors.json")):
        with open(os.path.join(folder, "tensors.json")) as file:
            tensors = json.load(file)
    return {
        name[len("outputs_") :]: _reload(folder, name[len("outputs_") :], tensors, golden)
        for name in golden
        if name.startswith("outputs_")
    }


def _reload(folder, network, tensors, golden):
    path = os.path.join(folder, network + ".pb" if tensors else network)
    begun = time.perf_counter()
    compute = load_frozen_graph(path, *tensors[network]) if tensors else load_saved_model(path)
    seconds = time.perf_counter() - begun
    output, expected = compute(golden["inputs_" + network]), golden["outputs_" + network]
    return {
        "seconds": seconds,
        "bytes": size(path),
        "same": output.tobytes() == expected.tobytes(),
        "ulps": float(checkpoints.ulps_of_largest(output, expected)),
    }


def size(path):
    """The bytes of the file at `path`, or of all files in the folder."""
    files = [os.path.join(top, name) for top, _, names in os.walk(path) for name in names]
    return sum(map(os.path.getsize, files or [path]))


def main(out, *folders):
    """The command line above."""
    found = {}
    for folder in folders:
        try:
            found[folder] = reload(folder)
        except Exception as error:  # whatever it is, the other folders have their own cells
            found[folder] = "{}: {}".format(type(error).__name__, (str(error).splitlines() or [""])[0])
    with open(out, "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
