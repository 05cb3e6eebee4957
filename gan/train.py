"""A whole training run in a folder: batches, checkpoints, event files, the history; begun, or gone on with."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil

import checkpoints
from gan import history
from gan.data import training_batches
from gan.modes import make

#: What TensorFlow calls a file, or a folder of parts, until it is whole.
_TORN = re.compile(
    r"(model\.)?ckpt-\d+(_temp(_[0-9a-f]+)?|\.[\w-]+\.tempstate\d+|\.meta\.tmp[0-9a-f]{32})"
    r"|(checkpoint|graph\.pbtxt)\.tmp[0-9a-f]{32}"
)


class Diverged(Exception):
    """A loss is no longer finite; the message says at which step."""


def train(mode, settings, folder, initial=None, resume=False, say=lambda row: None):
    """Train in `mode` until `settings.steps` are done, and return the rows of the history (gan.history).

    `folder` is made, and must hold no run unless this is to `resume` it: from its newest checkpoint, to the same
    numbers as if it had never stopped. `initial` is the prefix of a TensorFlow 1 checkpoint to begin from; `say` is
    called with each row as it is written.
    Raises what gan.modes.make does, history.NoRun, and Diverged.
    """
    head, rows = _begin(mode, settings, folder, initial, resume)
    if resume:
        initial = None if _newest_checkpoint(folder) else head["initial"]
    gan = make(mode, settings, initial, folder)
    os.makedirs(folder, exist_ok=True)
    if not resume:
        history.History(folder, head, []).close()  # before any checkpoint: whenever it is killed, it can go on
    with gan:
        done = gan.steps_done
        record = history.History(folder, head, [row for row in rows if row["step"] <= done])
        with contextlib.closing(record):
            if done == 0:
                gan.keep()
                if not record.rows:
                    record.add(_report(gan, 0))
            for step, batches in enumerate(training_batches(settings, done), done + 1):
                losses = _step(gan, step, batches)
                if not all(map(math.isfinite, losses)):
                    raise Diverged("the losses of step {} are {} and {}".format(step, *losses))
                last = step == settings.steps
                if last or step % settings.report_every == 0:
                    record.add(_report(gan, step, losses))
                    gan.summarize(step, losses, batches[0], batches[1])
                    say(record.rows[-1])
                if last or step % settings.checkpoint_every == 0:
                    gan.keep()
    if record.rows[-1]["step"] < settings.steps:  # MonitoredSession takes some errors for the end of the data
        raise OSError("{} cannot be written: the session ended before step {}".format(folder, settings.steps))
    return record.rows


def _step(gan, step, batches):
    try:
        return gan.step(*batches)
    except Exception as error:
        if "in summary histogram" in str(error):  # TensorFlow's hooks have seen it first
            raise Diverged("what is generated in step {} is not finite".format(step)) from None
        raise


def _report(gan, step, *losses):
    row = history.report(gan, step, *losses)
    if not math.isfinite(row["mean"]):
        raise Diverged("what is generated after step {} is not finite".format(step))
    return row


def _begin(mode, settings, folder, initial, resume):
    """The head and the rows that the history begins with."""
    there = os.path.exists(os.path.join(folder, history.NAME))
    if not resume:
        if there:
            raise history.NoRun("{} holds a run: go on with --resume, or choose another folder".format(folder))
        if os.path.exists(os.path.join(folder, "checkpoint")):
            raise history.NoRun("{} holds checkpoints of something else: choose another folder".format(folder))
        return history.head(mode, settings, initial and os.path.abspath(initial)), []
    if not there:
        raise history.NoRun("{} holds no run to go on with".format(folder))
    head, rows = history.read(folder)
    history.check_same(folder, head, mode, settings)
    if rows and rows[-1]["step"] > settings.steps:
        words = "{} holds a run of {} steps, more than {}"
        raise history.NoRun(words.format(folder, rows[-1]["step"], settings.steps))
    return head, rows


def _newest_checkpoint(folder):
    """The prefix of the newest checkpoint in `folder`, or None. Raises checkpoints.CheckpointError if it is damaged.

    What a killed process was writing is removed.
    """
    import tensorflow as tf

    for name in filter(_TORN.fullmatch, os.listdir(folder)):
        torn = os.path.join(folder, name)
        shutil.rmtree(torn) if os.path.isdir(torn) else os.remove(torn)
    state = tf.train.get_checkpoint_state(folder)
    if state is None:
        return None
    with checkpoints.open_checkpoint(state.model_checkpoint_path) as newest:
        for name in newest.tensors:
            newest.read(name)
    return state.model_checkpoint_path
