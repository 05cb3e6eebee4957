"""tf_upgrade_v2, run over the subject's TensorFlow 1 source: does what it writes train to the same numbers?"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import sys

import numpy as np
import pytest

from gan import subject
from gan.trace import first_difference, largest_difference, trace
from tests.compatibility import upgrade

TOOL = os.path.join(os.path.dirname(sys.executable), "tf_upgrade_v2")

_seen = {}  # releases convert to the same text: each text is trained once


def follow(folder, committed, record_property):
    """Train the package `folder`/gan in both modes; each must stay within the bounds of TensorFlow 1.15's run."""
    key = tuple(sorted(upgrade.texts(folder).items()))
    if key not in _seen:
        _seen[key] = {mode: differences(folder, mode, committed("tf1-trajectory")) for mode in upgrade.MODES}
    for mode, (first, losses, weights) in _seen[key].items():
        numbers = "{:.1e} in weights, {:.1e} in losses".format(weights, losses)
        record_property(mode, "bit for bit" if first is None and not losses else numbers)
    for mode, (_, losses, weights) in _seen[key].items():
        assert weights <= subject.TRAJECTORY_WEIGHTS, mode
        assert losses <= subject.TRAJECTORY_LOSSES, mode


def differences(folder, mode, prefix):
    """(first difference, of losses, of weights) of the package's run from the one written beside `prefix`."""
    with np.load(os.path.join(os.path.dirname(prefix), "trace.npz")) as arrays:
        reference = {name: arrays[name] for name in arrays.files}
    with upgrade.in_place_of_ours(folder):
        here = trace(mode, prefix, subject.TRAJECTORY)
        assert sys.modules["gan.static_graph"].__file__.startswith(folder), "not the package that is meant"
    losses = float(np.max(np.abs(here["losses"] - reference["losses"])))
    return first_difference(here, reference), losses, largest_difference(here, reference)


def test_source_before_conversion_is_what_tensorflow_1_trained(tmp_path, committed, record_property):
    upgrade.write_tf1_source(str(tmp_path))
    assert not upgrade.missing_names(str(tmp_path))
    follow(str(tmp_path), committed, record_property)


@pytest.fixture
def converted(tmp_path, monkeypatch):
    """A folder with tf1/gan, what the tool makes of it in tf2/gan, and its report.

    It is the installed command, run in this process, which has TensorFlow already.
    """
    upgrade.write_tf1_source(str(tmp_path / "tf1"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [TOOL, "--intree", "tf1", "--outtree", "tf2", "--reportfile", "report.txt"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(TOOL, run_name="__main__")
    assert not end.value.code
    return str(tmp_path)


def test_tool_converts_the_tf1_source(converted, committed, new_artifact, environment, record_property):
    """What it writes is published, unless it is the very text that TensorFlow 1's tool wrote and that is committed."""
    before, after = (upgrade.texts(os.path.join(converted, name)) for name in ("tf1", "tf2"))
    assert sorted(after) == sorted(before)
    with open(os.path.join(converted, "report.txt")) as file:
        report = file.read()
    record_property("renamed", report.count("INFO: Renamed"))
    record_property("keywords added", report.count("INFO: Added keywords"))
    record_property("to check by hand", int(re.search(r"Detected (\d+) issues", report).group(1)))
    tf1 = environment["tensorflow"].startswith("1.")
    same = not tf1 and after == upgrade.texts(os.path.dirname(committed("upgraded-source")))
    record_property("source", "as committed" if same else "published")
    if not same:
        directory = new_artifact("upgraded-source")
        for name in ("tf1", "report.txt"):
            shutil.move(os.path.join(converted, name), os.path.join(directory, name))
        shutil.move(os.path.join(converted, "tf2", "gan"), os.path.join(directory, "gan"))


def test_committed_source_is_converted_again_the_same(converted, committed):
    there = os.path.dirname(committed("upgraded-source"))
    for here, name in (("tf1", "tf1"), ("tf2", "")):
        again, before = upgrade.texts(os.path.join(converted, here)), upgrade.texts(os.path.join(there, name))
        changed = sorted(file for file in {*again, *before} if again.get(file) != before.get(file))
        assert not changed, "{} changed in gan/ since it was converted: nox -s fixtures".format(changed)


@pytest.mark.consumes("upgraded-source")
def test_converted_source_trains_the_same(artifact, tmp_path, committed, record_property):
    """As it is, or after what the tool has left to do by hand: names that TensorFlow 2 only has in compat.v1."""
    import tensorflow as tf

    missing = upgrade.missing_names(artifact)
    left = {name: "tf.compat.v1." + name[len("tf.") :] for name in sorted(missing) if "compat.v1" not in name}
    gone = [name for name in missing if not upgrade.resolves(tf, left.get(name, name))]
    if gone:
        reason = subject.unsupported("static_graph")
        assert reason, "neither in tf nor in tf.compat.v1: {}".format(", ".join(gone))
        instead = "; by hand: the package tf_keras, and TF_USE_LEGACY_KERAS=1 (the rows called -legacy)"
        pytest.skip("unsupported: {}: {}{}".format(", ".join(gone), reason, instead))
    by_hand = ["{} x {} -> {}".format(missing[name], name, left[name]) for name in left]
    record_property("by hand", "; ".join(by_hand) or "nothing")
    upgrade.edit_by_hand(artifact, str(tmp_path), left)
    follow(str(tmp_path), committed, record_property)
