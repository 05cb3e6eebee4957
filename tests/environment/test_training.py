"""Does the subject train here in every way of writing it: does it learn, can TensorBoard show it, does it go on?

All of it is `python -m gan`, as people run it, in processes of its own.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import shutil

import numpy as np
import pytest

import checkpoints
from gan import history, subject
from gan.data import REAL_DEVIATION, REAL_MEAN
from gan.modes import MODES, is_eager
from gan.settings import Settings, to_arguments
from tests.environment.forks import Forks

REAL = {"wasserstein": 0.0, "mean": REAL_MEAN, "deviation": REAL_DEVIATION}

UNSUPPORTED, BAD_CHECKPOINT, OTHER_NETWORK, OTHER_RUN, DIVERGED, NOT_WRITTEN, STOPPED = 5, 3, 4, 6, 7, 8, 130

#: Few steps, a checkpoint after every fourth. A GPU sums in any order, and no two runs there are the same bit for bit.
SHORT = Settings(steps=12, batch=8, learning_rate=1e-3, checkpoint_every=4, report_every=12, device="cpu")


@pytest.fixture(scope="module")
def forks():
    with Forks() as forks:
        yield forks


def command(mode, settings, folder, *more):
    return ["--mode", mode, "--out", str(folder)] + to_arguments(settings) + list(map(str, more))


def succeed(forks, *arguments, **planted):
    """The output of a run that must end well; a release that cannot do it skips the cell with its words."""
    status, output = forks.run(command(*arguments), **planted)
    if status == UNSUPPORTED:
        pytest.skip("unsupported: " + output.splitlines()[-1].partition("python -m gan: ")[2])
    # The first line of this becomes the cell's reason, and the last of a traceback says what was wrong.
    said = output.strip().rpartition("\n")[2]
    assert status == 0, "exit status {}: {}\n{}".format(status, said, output[-2000:])
    return output


@pytest.fixture(scope="module")
def learned(forks, tmp_path_factory, plan):
    """`learned(mode)` is the folder of a run with subject.LEARNING, made once."""
    folders, initial = {}, os.path.join(plan["artifacts"]["tf1-trajectory"]["committed"], "model.ckpt")

    def run(mode):
        if mode not in folders:
            folder = tmp_path_factory.mktemp(mode)
            succeed(forks, mode, subject.LEARNING, folder, "--checkpoint", initial)
            folders[mode] = str(folder)
        return folders[mode]

    return run


@pytest.mark.parametrize("mode", sorted(MODES))
def test_learns(learned, mode, new_artifact, record_property):
    _, rows = history.read(learned(mode))
    before, after = rows[0], rows[-1]
    record_property("wasserstein", "{:.2f} -> {:.2f}".format(before["wasserstein"], after["wasserstein"]))
    record_property("mean", "{:.2f} -> {:.2f}".format(before["mean"], after["mean"]))
    record_property("deviation", "{:.2f} -> {:.2f}".format(before["deviation"], after["deviation"]))
    shutil.copy(os.path.join(learned(mode), history.NAME), new_artifact("history", of=mode))
    assert (before["step"], after["step"]) == (0, subject.LEARNING.steps)
    missing = {name: abs(after[name] - wanted) for name, wanted in REAL.items()}
    assert all(missing[name] <= bound for name, bound in subject.LEARNED.items()), missing
    assert all(missing[name] < abs(before[name] - wanted) for name, wanted in REAL.items()), "it was nearer before"


@pytest.mark.parametrize("mode", sorted(MODES))
def test_tensorboard_reads_the_events(learned, mode, record_property):
    folder = learned(mode)
    pytest.importorskip("tensorboard", reason="unsupported: tensorboard is not among what this release asks for")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(folder, size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    _, rows = history.read(folder)
    expected = {row["step"]: row for row in rows if row["step"]}
    for loss in ("d_loss", "g_loss"):
        if is_eager(mode):
            seen = {event.step: float(make_ndarray(event.tensor_proto)) for event in events.Tensors(loss)}
            assert seen == pytest.approx({step: row[loss] for step, row in expected.items()}, rel=1e-6)
        else:  # computed once more after the update, and by a hook at the steps that it chooses
            seen = {event.step: event.value for event in events.Scalars(loss)}
            assert len(seen) >= len(expected)
        assert all(map(np.isfinite, seen.values()))
    graphs = traced_graphs(events) if is_eager(mode) else [events.Graph()]
    operations = {node.op for graph in graphs for node in graph.node}
    record_property("scalars", len(seen))
    record_property("operations", len(operations))
    assert "MatMul" in operations
    if mode != "eager":  # which has no graph of its training
        assert operations & {"ApplyAdam", "ResourceApplyAdam", "AssignAddVariableOp"}, sorted(operations)


def traced_graphs(events):
    """The GraphDefs that tf.summary.trace_export has written."""
    from tensorboard.compat.proto.config_pb2 import RunMetadata

    found = []
    for tag in events.PluginTagToContent("graph_run_metadata_graph"):
        for event in events.Tensors(tag):
            metadata = RunMetadata.FromString(event.tensor_proto.string_val[0])
            found += list(metadata.partition_graphs)
            found += [functions.pre_optimization_graph for functions in metadata.function_graphs]
    return found


@pytest.mark.parametrize("mode", sorted(MODES))
def test_a_killed_run_goes_on_to_the_same_numbers(forks, mode, tmp_path, record_property):
    """Killed before any checkpoint but the first, stopped with half of a step done, killed in the middle of writing."""
    goes_on(forks, mode, SHORT, tmp_path, record_property)


@pytest.mark.parametrize("optimizer", ["tf1", "keras_legacy"])
def test_a_killed_run_with_another_adam_goes_on(forks, optimizer, tmp_path, record_property):
    """TensorFlow 1's knows no variable of Keras 3, and would forget its slots."""
    goes_on(forks, "function", dataclasses.replace(SHORT, optimizer=optimizer), tmp_path, record_property)


def goes_on(forks, mode, settings, tmp_path, record_property):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    succeed(forks, mode, settings, whole)
    deaths = [(3, "SIGKILL"), (6, "SIGINT"), (8, "SIGXFSZ")]
    for number, death in enumerate(deaths):
        resume = ["--resume"] if number else []
        status, output = forks.run(command(mode, settings, killed, *resume), death=death)
        stopped = status == STOPPED if death[1] == "SIGINT" else status < 0
        assert stopped, "did not end at step {}, but with {}: {}".format(death, status, output[-2000:])
        if death[1] == "SIGINT":
            assert "--resume goes on" in output and "Traceback" not in output
        elif death[1] == "SIGXFSZ":
            assert torn(killed), "was not killed while it wrote a checkpoint"
    mine = [killed / "temperatures.csv", killed / "templates"]
    mine[0].write_text("")
    mine[1].mkdir()
    succeed(forks, mode, settings, killed, "--resume")
    assert all(path.exists() for path in mine), "what the run has not written is gone"
    variables = compare(newest(whole), newest(killed))
    assert history.read(str(whole))[1][1:] == history.read(str(killed))[1][1:]
    assert not torn(killed), "what was being written when it was killed is still there"
    record_property("killed at", ", ".join(str(step) for step, _ in deaths))
    record_property("same bit for bit", variables)


def torn(folder):
    """What TensorFlow has not finished writing, by its names for it."""
    return [name for name in os.listdir(str(folder)) if "ckpt" in name and "temp" in name]


def newest(folder):
    with open(str(folder / "checkpoint")) as state:
        return str(folder / state.readline().split('"')[1])


def compare(first, second):
    """How many tensors of two checkpoints are the same; fails on the first that is not."""
    with checkpoints.open_checkpoint(first) as one, checkpoints.open_checkpoint(second) as two:
        assert list(one.tensors) == list(two.tensors)
        bookkeeping = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE")
        names = [name for name in one.tensors if name not in bookkeeping]
        changed = [name for name in names if one.read(name).tobytes() != two.read(name).tobytes()]
        assert not changed
    return len(names)


@pytest.mark.parametrize("mode", sorted(MODES))
def test_wrong_wishes_end_before_any_training(forks, mode, tmp_path, committed):
    """Each with an exit status of its own and one line that says what is wrong; nothing is left behind."""
    out = tmp_path / "out"

    def refuse(status, words, *more, **changed):
        settings = dataclasses.replace(SHORT, **changed)
        got, output = forks.run(command(mode, settings, out, *more))
        if got == UNSUPPORTED:
            pytest.skip("unsupported: " + output.splitlines()[-1].partition("python -m gan: ")[2])
        assert got == status, (got, output.strip().rpartition("\n")[2], output)
        assert all(word in output for word in words), output
        assert "Traceback" not in output and "step 1" not in output
        assert not out.exists() or not os.listdir(str(out))

    other = write_another_network(committed("tf1-trajectory"), tmp_path)
    refuse(OTHER_NETWORK, ["generator/fc2/kernel", "discriminator/D/bias"], "--checkpoint", other)
    refuse(BAD_CHECKPOINT, ["nowhere"], "--checkpoint", tmp_path / "nowhere")
    refuse(BAD_CHECKPOINT, ["damaged.ckpt"], "--checkpoint", damage(committed("tf1-trajectory"), tmp_path))
    refuse(OTHER_RUN, ["holds no run"], "--resume")
    bad = (("--batch", 0), ("--batch", -3), ("--steps", 0), ("--learning-rate", -0.001), ("--learning-rate", "nan"))
    for name, value in bad:
        got, output = forks.run(command(mode, SHORT, out, name, value))
        assert got == 2 and name[2:].replace("-", "_") in output, output


@pytest.mark.parametrize("mode", sorted(MODES))
def test_what_cannot_go_on_says_why(forks, mode, tmp_path):
    (tmp_path / "file").write_text("")
    ends = [
        (DIVERGED, "the losses of step", "late", ["--learning-rate", 1e30], None),
        (DIVERGED, "step 12 is not finite", "at the end", [], (12, "NAN")),
        (DIVERGED, "step", "in a hook", ["--learning-rate", 1e30, "--report-every", 1], None),
        (NOT_WRITTEN, "file", "file/run", [], None),
        (NOT_WRITTEN, "full cannot be written", "full", [], (8, "EFBIG")),
    ]
    for status, words, folder, more, death in ends:
        got, output = forks.run(command(mode, SHORT, tmp_path / folder, *more), death=death)
        if got == UNSUPPORTED:
            pytest.skip("unsupported: " + output.splitlines()[-1].partition("python -m gan: ")[2])
        said = output.strip().rpartition("\n")[2]
        # A thread of TensorFlow's that writes events has a traceback of its own when it cannot.
        assert got == status and words in said and ("Traceback" not in output or death), (got, said, output)


def damage(prefix, folder):
    """A copy of the checkpoint with bytes of its values changed."""
    for path in glob.glob(prefix + ".*"):
        shutil.copy(path, str(folder / ("damaged.ckpt" + path[len(prefix) :])))
    (data,) = glob.glob(str(folder / "damaged.ckpt.data-*"))
    flip(data)
    return folder / "damaged.ckpt"


def flip(path):
    with open(path, "r+b") as file:
        values = bytearray(file.read())
        values[::256] = bytes(byte ^ 1 for byte in values[::256])
        file.seek(0)
        file.write(values)


def write_another_network(prefix, folder):
    """A checkpoint without one variable of both networks, and with another that has another shape."""
    with checkpoints.open_checkpoint(prefix) as source:
        values = {name: source.read(name) for name in source.tensors}
    del values["discriminator/D/bias"]
    values["generator/fc2/kernel"] = values["generator/fc2/kernel"][:, :32]
    checkpoints.write_saver(str(folder / "other.ckpt"), values)
    return folder / "other.ckpt"


def test_a_folder_is_not_overwritten_nor_gone_on_with_differently(forks, tmp_path):
    """With a mode that every release has."""
    mode = "keras_static_graph"
    succeed(forks, mode, SHORT, tmp_path)
    before = {name: os.path.getmtime(str(tmp_path / name)) for name in os.listdir(str(tmp_path))}
    for more, words in (
        ((), "--resume"),
        (("--resume", "--batch", 16), "batch 8, not 16"),
        (("--resume", "--steps", 4), "12 steps, more than 4"),
    ):
        status, output = forks.run(command(mode, SHORT, tmp_path, *more))
        assert status == OTHER_RUN and words in output, output
    assert before == {name: os.path.getmtime(str(tmp_path / name)) for name in os.listdir(str(tmp_path))}
    flip(newest(tmp_path) + ".data-00000-of-00001")
    status, output = forks.run(command(mode, SHORT, tmp_path, "--resume", "--steps", 14))
    assert status == BAD_CHECKPOINT and "model.ckpt-12" in output and "Traceback" not in output, output
    os.remove(newest(tmp_path) + ".index")
    status, output = forks.run(command(mode, SHORT, tmp_path, "--resume", "--steps", 14))
    assert status == BAD_CHECKPOINT and "model.ckpt-12" in output, output

    text = (tmp_path / history.NAME).read_text()
    (tmp_path / history.NAME).write_text(re.sub('"tensorflow": "[^"]+"', '"tensorflow": "1.9.0"', text, count=1))
    status, output = forks.run(command(mode, SHORT, tmp_path, "--resume"))
    assert status == OTHER_RUN and "TensorFlow '1.9'" in output, output
    (tmp_path / history.NAME).unlink()
    status, output = forks.run(command(mode, SHORT, tmp_path))
    assert status == OTHER_RUN and "choose another folder" in output, output
