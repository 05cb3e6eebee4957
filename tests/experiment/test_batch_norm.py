"""What docs/eager-collapse.md reports of a release: minutes, so it is run by `nox -s experiment` only."""

from __future__ import annotations

import os

import numpy as np
import pytest

from gan.convolutional.experiment import MODES, collapsed, train_all

KEPT = ("losses", "statistics", "distance")


@pytest.mark.parametrize("mode", list(MODES))
def test_train(mode, new_artifact, record_property):
    directory = new_artifact("batch-norm-" + mode)
    found = train_all(mode)
    assert all(np.isfinite(values).all() for values in found.values())
    np.savez(os.path.join(directory, "runs.npz"), **{n: v for n, v in found.items() if n.rpartition("/")[2] in KEPT})
    losses = [values[:, 0] for name, values in found.items() if name.endswith("/losses")]
    record_property("collapsed", "{} of {} runs".format(sum(map(collapsed, losses)), len(losses)))
