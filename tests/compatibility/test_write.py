"""TensorFlow 1 writes a checkpoint for others to read."""

from __future__ import annotations

import os

import numpy as np

import checkpoints
from gan import subject


def write(directory):
    """The subject's checkpoint and its golden values in `directory`, and the prefix of the checkpoint."""
    prefix = os.path.join(str(directory), "model.ckpt")
    outputs = subject.train_static_graph(subject.CHECKPOINT, prefix)
    golden = {"inputs_" + name: value for name, value in subject.sample_inputs().items()}
    golden.update({"outputs_" + name: value for name, value in outputs.items()})
    np.savez(os.path.join(str(directory), "golden.npz"), **golden)
    return prefix


def test_saver_writes_a_checkpoint_with_slots_and_golden_outputs(new_artifact, record_property):
    prefix = write(new_artifact("tf1-saver"))
    with checkpoints.open_checkpoint(prefix) as written:
        names = set(written.tensors)
        trained = {name[: -len("/Adam")] for name in names if name.endswith("/Adam")}
        assert trained and trained <= names
        assert {name + "/Adam_1" for name in trained} <= names
        assert written.read("global_step") == subject.CHECKPOINT.steps
    record_property("tensors", len(names))


def test_committed_checkpoint_is_made_again_the_same(committed, tmp_path, record_property):
    """Bit for bit on a processor like the one it was made on; elsewhere within a bound, and the record says so."""
    again, before = write(tmp_path), committed("tf1-saver")
    with open(again + ".meta", "rb") as new, open(before + ".meta", "rb") as old:
        assert new.read() == old.read(), "the graph is another one"
    with checkpoints.open_checkpoint(again) as new, checkpoints.open_checkpoint(before) as old:
        assert list(new.tensors) == list(old.tensors)
        pairs = {name: (old.read(name), new.read(name)) for name in old.tensors}
    for golden in map(os.path.dirname, (again, before)):
        with np.load(os.path.join(golden, "golden.npz")) as values:
            for name in values.files:
                pairs[name] = pairs.get(name, ()) + (values[name],)
    changed = {name: float(np.max(np.abs(a - b))) for name, (a, b) in pairs.items() if a.tobytes() != b.tobytes()}
    record_property("committed", "differs by {:.1e}".format(max(changed.values())) if changed else "bit for bit")
    assert all(difference <= 1e-5 for difference in changed.values()), changed
