"""Keras variables written under their TensorFlow 1 names, for TensorFlow 1's own Saver to restore."""

from __future__ import annotations

import os

import numpy as np
import pytest

import checkpoints
from gan import subject


def read(prefix, name):
    """The value of a variable in a checkpoint, as TensorFlow itself reads it where there is one."""
    try:
        import tensorflow as tf
    except ImportError:
        with checkpoints.open_checkpoint(prefix) as source:
            return source.read(name)
    return tf.train.load_variable(prefix, name)


@pytest.mark.consumes("tf1-saver")
def test_keras_variables_are_written_under_their_tf1_names(artifact, new_artifact, record_property):
    models = subject.keras_models()
    variables = checkpoints.model_variables(models)
    with checkpoints.open_checkpoint(os.path.join(artifact, "model.ckpt")) as source:
        plan = checkpoints.make_plan(source, variables, subject.RULES)
        checkpoints.load(plan, source, variables)
        renamed = checkpoints.export(plan, variables)
        for name, value in renamed.items():
            assert value.tobytes() == source.read(name).tobytes(), name

    # What goes back is not what came: every value is changed first, so that restoring the old file cannot pass.
    for variable in variables.values():
        variable.assign(variable.numpy() * np.float32(1.5) + np.float32(0.25))
    directory = new_artifact("keras-as-tf1", of=artifact)
    prefix = os.path.join(directory, "model.ckpt")
    renamed = checkpoints.export(plan, variables)
    checkpoints.write_saver(prefix, renamed)
    golden = {
        "outputs_" + name: outputs for name, outputs in subject.outputs_of(models, subject.sample_inputs()).items()
    }
    np.savez(os.path.join(directory, "golden.npz"), **golden)
    np.savez(os.path.join(directory, "variables.npz"), **renamed)

    for name, value in renamed.items():
        assert read(prefix, name).tobytes() == value.tobytes(), name
    record_property("written", len(renamed))


@pytest.mark.consumes("keras-as-tf1")
def test_saver_restores_what_keras_wrote(artifact, record_property):
    values, outputs = subject.restore_static_graph(os.path.join(artifact, "model.ckpt"))
    with np.load(os.path.join(artifact, "variables.npz")) as written:
        assert sorted(written.files) == sorted(values)
        changed = [name for name in values if values[name].tobytes() != written[name].tobytes()]
        record_property("restored", len(values))
    assert not changed, "not restored bit for bit: {}".format(changed)
    with np.load(os.path.join(artifact, "golden.npz")) as golden:
        ulps = {name: checkpoints.ulps_of_largest(outputs[name], golden["outputs_" + name]) for name in outputs}
    record_property("ulps", max(ulps.values()))
    record_property("bound", subject.ULPS)
    assert all(distance <= subject.ULPS for distance in ulps.values()), ulps
