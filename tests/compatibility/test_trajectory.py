"""Every way of writing the training, from the same variables on the same batches: the same as TensorFlow 1.15?"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

import checkpoints
from gan import subject
from gan.child import ChildFailed
from gan.data import training_batches
from gan.modes import MODES, make, unsupported
from gan.trace import first_difference, largest_difference, trace

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
    return compare(train(mode, artifact, **changed), load(artifact), record_property)


def load(artifact):
    """The trace of TensorFlow 1.15."""
    with np.load(os.path.join(artifact, TRACE)) as arrays:
        return {name: arrays[name] for name in arrays.files}


def train(mode, artifact, **changed):
    """Every loss and every weight of every step of subject.TRAJECTORY, with some settings `changed`."""
    settings = dataclasses.replace(subject.TRAJECTORY, **changed)
    reason = unsupported(mode, settings)
    if reason:
        pytest.skip("unsupported: " + reason)
    return trace(mode, os.path.join(artifact, "model.ckpt"), settings)


def compare(here, reference, record_property):
    """The largest differences of any loss and of any weight of two traces."""
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


@pytest.mark.consumes("tf1-trajectory")
def test_both_updates_at_once_do_not_follow_and_are_the_same_in_every_mode(artifact, record_property):
    """In one session.run, or from two tapes, each network is updated against the other as it was: another training.

    And no race: where variables are references, all gradients are there before anything is updated.
    """
    reference = load(artifact)
    ways = ("static_graph", "monitored_session", "keras_static_graph", "eager", "function")
    modes = [mode for mode in ways if not unsupported(mode)]
    traces = {mode: train(mode, artifact, together=True) for mode in modes}
    away = largest_difference(traces[modes[0]], reference)
    apart = max(largest_difference(traces[mode], traces[modes[0]]) for mode in modes)
    record_property("away", "{:.1e}".format(away))
    record_property("modes apart", "{:.1e}".format(apart))
    assert first_difference(train(modes[0], artifact, together=True), traces[modes[0]]) is None, "a race"
    assert away > 1000 * subject.TRAJECTORY_WEIGHTS
    assert apart <= subject.TRAJECTORY_WEIGHTS


@pytest.mark.consumes("tf1-trajectory")
def test_keras_legacy_optimizer_follows(artifact, record_property):
    """Keras 2.11 to 2.15 has two Adams: the one that the other cells use, and the one from before."""
    here = train("function", artifact, optimizer="keras_legacy")
    assert first_difference(here, train("function", artifact)) is not None, "the same Adam twice"
    losses, weights = compare(here, load(artifact), record_property)
    assert weights <= subject.TRAJECTORY_WEIGHTS
    assert losses <= subject.TRAJECTORY_LOSSES


@pytest.mark.consumes("tf1-trajectory")
def test_xla_follows(artifact, record_property):
    losses, weights = follow("function", artifact, record_property, xla=True)
    assert is_compiled(xla=True) and not is_compiled(xla=False)
    assert weights <= subject.TRAJECTORY_WEIGHTS
    assert losses <= subject.TRAJECTORY_LOSSES


def is_compiled(xla):
    """Whether the step is marked for XLA, which may well compute the same bits."""
    settings = dataclasses.replace(subject.TRAJECTORY, xla=xla)
    with make("function", settings) as gan:
        traced = gan._compiled.get_concrete_function(*map(tf.constant, next(iter(training_batches(settings)))))
        marks = traced.function_def.attr
        return any(marks[name].b for name in ("_XlaMustCompile", "_XlaCompile"))  # the second in 2.1


@pytest.mark.consumes("tf1-trajectory")
def test_onednn_switched_follows(artifact, environment, record_property):
    """Off where the release has it on, which is since 2.9, and on before."""
    release = tuple(int(part) for part in environment["tensorflow"].split(".")[:2])
    onednn = "off" if release >= (2, 9) else "on"
    record_property("oneDNN", onednn)
    try:
        losses, weights = follow("keras_static_graph", artifact, record_property, onednn=onednn)
    except ChildFailed as failed:
        if failed.signal and onednn == "on":
            train("keras_static_graph", artifact, onednn="off")  # or this is what the cell fails with
            record_property("with oneDNN off", "it ends as it should")
        raise
    assert weights <= subject.TRAJECTORY_WEIGHTS
    assert losses <= subject.TRAJECTORY_LOSSES


@pytest.mark.consumes("tf1-trajectory")
def test_a_device_that_was_asked_for_and_not_used_is_found_out(artifact, monkeypatch):
    """Else a GPU that TensorFlow passes by would follow to the last bit."""
    monkeypatch.setattr("gan.modes.unsupported", lambda *asked: None)
    monkeypatch.setattr("gan.settings.Settings.placement", "/CPU:0")
    settings = dataclasses.replace(subject.TRAJECTORY, device="gpu", steps=1)
    for mode in ["keras_static_graph"] + ["function"] * tf.executing_eagerly():
        with pytest.raises(RuntimeError, match=r"computed on .*CPU:0, not on the gpu"):
            trace(mode, os.path.join(artifact, "model.ckpt"), settings)


@pytest.mark.consumes("tf1-trajectory")
@pytest.mark.parametrize("mode", ["keras_static_graph", "function"])
def test_gpu_follows(artifact, mode, record_property):
    """In float32 as it is: TensorFloat-32, which TensorFlow uses on a GPU that has it, keeps 10 bits of 23."""
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0", "what runs a cell switches it off"
    assert tf.config.experimental.list_physical_devices("GPU"), "nvidia-smi shows a GPU, and TensorFlow finds none"
    losses, weights = follow(mode, artifact, record_property, device="gpu")
    assert weights <= subject.TRAJECTORY_WEIGHTS
    assert losses <= subject.TRAJECTORY_LOSSES
