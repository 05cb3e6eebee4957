"""The trained networks exported to files, from which a process that has nothing else computes the same."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

import checkpoints
from gan import export, subject
from gan.child import run_python

WRITERS = {"frozen-graph": export.write_frozen_graphs, "saved-model": export.write_saved_models}


@pytest.fixture(scope="module")
def trained(committed):
    """The committed checkpoint in what this release exports from: TensorFlow 1's static graph, or Keras models."""
    if tf.executing_eagerly():
        from gan.function import FunctionGAN as GAN
    else:
        from gan.static_graph import StaticGraphGAN as GAN
    with GAN(subject.CHECKPOINT, committed("tf1-saver")) as gan:
        yield gan


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """{kind: (folder, how far the outputs are from the network's in ulp, what a process of its own found in it)}."""
    inputs = subject.sample_inputs()
    network = export.outputs(trained, inputs)
    folders, ulps = {}, {}
    for kind, write in WRITERS.items():
        folders[kind] = str(tmp_path_factory.mktemp(kind))
        outputs = write(trained, folders[kind], inputs)
        ulps[kind] = max(checkpoints.ulps_of_largest(outputs[name], network[name]) for name in network)
        golden = {"inputs_" + name: value for name, value in inputs.items()}
        golden.update({"outputs_" + name: value for name, value in outputs.items()})
        np.savez(os.path.join(folders[kind], "golden.npz"), **golden)
    out = str(tmp_path_factory.mktemp("reload") / "out.json")
    run_python("tests.environment.reload", [out] + list(folders.values()), "loads the exported networks again")
    with open(out) as file:
        found = json.load(file)
    return {kind: (folder, ulps[kind], found[folder]) for kind, folder in folders.items()}


def check(kind, exported, new_artifact, record_property):
    folder, ulps, found = exported[kind]
    assert isinstance(found, dict), found
    assert sorted(found) == sorted(subject.sample_inputs())
    changed = {name: row["ulps"] for name, row in found.items() if not row["same"]}
    assert not changed, "not bit for bit what the export computed where it was written: {} ulp".format(changed)
    record_property("bytes", sum(row["bytes"] for row in found.values()))
    record_property("loaded in s", round(sum(row["seconds"] for row in found.values()), 3))
    record_property("ulps", ulps)
    record_property("bound", subject.ULPS)
    assert ulps <= subject.ULPS
    directory = new_artifact(kind)
    for name in os.listdir(folder):
        shutil.move(os.path.join(folder, name), os.path.join(directory, name))


def test_frozen_graph_computes_the_same_in_a_fresh_process(exported, new_artifact, record_property):
    check("frozen-graph", exported, new_artifact, record_property)


def test_saved_model_computes_the_same_in_a_fresh_process(exported, new_artifact, record_property):
    check("saved-model", exported, new_artifact, record_property)
