"""What a training run has seen, in a file that any program can read and `python -m gan.plot` draws.

history.jsonl holds a JSON object a line: first what the run is (mode, settings, release, and the histogram of real
samples), then one for each reported step: the losses, and how near the generated samples are to the real ones.
"""

from __future__ import annotations

import dataclasses
import json
import os

import numpy as np

from gan.data import latent_batch, real_batch, wasserstein
from gan.settings import Settings

NAME = "history.jsonl"

#: Samples that a report generates. The distance of two real samples of this size is 0.03.
SAMPLES = 4096

EDGES = np.linspace(-4.0, 12.0, 65)

#: What may be different when a run goes on.
_FREE = ("steps", "checkpoint_every", "report_every")


class NoRun(Exception):
    """A folder holds no run to go on with, another one, or one that was not asked for."""


def report(gan, step, losses=(None, None)):
    """The row of `step`: {"step", "d_loss", "g_loss", "wasserstein", "mean", "deviation", "generated": [counts]}.

    The losses are those before the step, and there are none before the first.
    """
    random = np.random.RandomState(7)
    generated, real = gan.generate(latent_batch(random, SAMPLES)), real_batch(random, SAMPLES)
    return {
        "step": step,
        "d_loss": losses[0] if losses[0] is None else float(losses[0]),
        "g_loss": losses[1] if losses[1] is None else float(losses[1]),
        "wasserstein": wasserstein(generated, real),
        "mean": float(np.mean(generated, dtype=np.float64)),
        "deviation": float(np.std(generated, dtype=np.float64)),
        "generated": _counts(generated),
    }


def _counts(samples):
    """How many samples are in each bin; those beyond the edges are in the outermost."""
    return np.histogram(np.clip(samples, EDGES[0], EDGES[-1]), EDGES)[0].tolist()


def head(mode, settings, initial):
    """The first line of a history: what the run is."""
    import tensorflow as tf

    real = _counts(real_batch(np.random.RandomState(7), SAMPLES))
    return {
        "mode": mode,
        "settings": dataclasses.asdict(settings),
        "initial": initial,
        "tensorflow": tf.__version__,
        "edges": EDGES.tolist(),
        "real": real,
    }


def read(folder):
    """(head, rows) of the run in `folder`, without a last line that a killed process left unfinished.

    Raises NoRun.
    """
    path = os.path.join(folder, NAME)
    try:
        with open(path) as file:
            first, *rows = file.read().splitlines()
        return json.loads(first), [json.loads(row) for row in rows if row.endswith("}")]
    except (OSError, ValueError) as error:
        raise NoRun("{} cannot be read as the history of a run: {}".format(path, error)) from None


def check_same(folder, head, mode, settings):
    """Raise NoRun, which names all that differs, unless the run with this `head` can go on with these settings."""
    import tensorflow as tf

    before = dict(head["settings"], mode=head["mode"], TensorFlow=_release(head["tensorflow"]))
    now = dict(dataclasses.asdict(settings), mode=mode, TensorFlow=_release(tf.__version__))
    fields = ["TensorFlow", "mode"] + [field.name for field in dataclasses.fields(Settings) if field.name not in _FREE]
    other = [
        "{} {!r}, not {!r}".format(name, before.get(name), now[name])
        for name in fields
        if before.get(name) != now[name]
    ]
    if other:
        raise NoRun("{} holds a run with {}".format(folder, "; ".join(other)))


def _release(version):
    return ".".join(version.split(".")[:2])


class History:
    """The rows of a run and the file that they are in, which grows by a line a row."""

    def __init__(self, folder, head, rows):
        """Write `head` and `rows` in the place of what is there, whole or not at all."""
        self.rows = list(rows)
        path = os.path.join(folder, NAME)
        with open(path + ".new", "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in [head] + self.rows)
        os.replace(path + ".new", path)
        self._file = open(path, "a")

    def add(self, row):
        """Append a row, at once."""
        self.rows.append(row)
        self._file.write(json.dumps(row, allow_nan=False) + "\n")
        self._file.flush()

    def close(self):
        """No more rows."""
        self._file.close()
