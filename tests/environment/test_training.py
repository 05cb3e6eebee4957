"""Does the subject train here, and does it learn?"""

from __future__ import annotations

import math

from gan import subject


def check(training, record_property):
    record_property("wasserstein", "{:.2f} -> {:.2f}".format(training.before, training.after))
    bad = [step for step, losses in enumerate(training.losses) if not all(map(math.isfinite, losses))]
    assert len(training.losses) == subject.LEARNING.steps
    assert not bad, "the losses of step {} are not finite: {}".format(bad[0], training.losses[bad[0]])
    assert training.after * subject.LEARNING_FACTOR <= training.before


def test_static_graph_learns(record_property):
    check(subject.train_static_graph()[0], record_property)


def test_keras_models_learn(record_property):
    check(subject.train_keras(), record_property)
