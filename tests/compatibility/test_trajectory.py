"""Every way of writing the training, from the same variables on the same batches: the same as TensorFlow 1.15?"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

import checkpoints
from gan import subject
from gan.trace import MODES, first_difference, largest_difference, trace

TRACE = "trace.npz"


def test_static_graph_writes_every_step(new_artifact):
    directory = new_artifact("tf1-trajectory")
    prefix = os.path.join(directory, "model.ckpt")
    subject.write_initial(prefix)
    arrays = trace("static_graph", prefix, subject.TRAJECTORY)
    assert len(arrays["losses"]) == subject.TRAJECTORY.steps
    assert all(np.isfinite(values).all() for values in arrays.values())
    np.savez(os.path.join(directory, TRACE), **arrays)


def follow(mode, artifact, record_property, **changed):
    """The largest differences of any loss and of any weight from TensorFlow 1.15's static graph."""
    reason = subject.unsupported(mode)
    if reason:
        pytest.skip("unsupported: " + reason)
    with np.load(os.path.join(artifact, TRACE)) as arrays:
        reference = {name: arrays[name] for name in arrays.files}
    settings = dataclasses.replace(subject.TRAJECTORY, **changed)
    here = trace(mode, os.path.join(artifact, "model.ckpt"), settings)
    assert sorted(here) == sorted(reference)
    first = first_difference(here, reference)
    if first is None:
        record_property("weights", "bit for bit")
    else:
        step, name = first
        ulps = checkpoints.max_ulps(here[name][step], reference[name][step])
        record_property("first", "step {}: {}, {} ulp".format(step, name, ulps))
    weights = largest_difference(here, reference)
    losses = float(np.max(np.abs(here["losses"] - reference["losses"])))
    record_property("largest", "{:.1e} in weights, {:.1e} in losses".format(weights, losses))
    return losses, weights


@pytest.mark.consumes("tf1-trajectory")
@pytest.mark.parametrize("mode", sorted(MODES))
def test_follows_tensorflow_1(artifact, mode, record_property):
    losses, weights = follow(mode, artifact, record_property)
    assert weights <= subject.TRAJECTORY_WEIGHTS
    assert losses <= subject.TRAJECTORY_LOSSES


@pytest.mark.consumes("tf1-trajectory")
@pytest.mark.parametrize("mode", ["eager", "function"])
def test_follows_tensorflow_1_with_its_own_adam(artifact, mode, record_property):
    """The optimizer of TensorFlow 1 under tf.GradientTape."""
    losses, weights = follow(mode, artifact, record_property, optimizer="tf1")
    assert weights <= subject.TRAJECTORY_WEIGHTS
    assert losses <= subject.TRAJECTORY_LOSSES


@pytest.mark.consumes("tf1-trajectory")
def test_keras_default_epsilon_does_not_follow(artifact, record_property):
    """Adam's epsilon of 1e-7 is a difference by definition, and one that the bounds above see."""
    _, weights = follow("eager", artifact, record_property, epsilon=1e-7)
    assert weights > 10 * subject.TRAJECTORY_WEIGHTS
