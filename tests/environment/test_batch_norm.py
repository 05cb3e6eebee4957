"""Batch normalization in a static graph and eagerly: the facts that docs/eager-collapse.md rests on, in seconds."""

from __future__ import annotations

import numpy as np
import pytest

from gan.convolutional.experiment import run
from gan.convolutional.settings import Settings

STEPS = 10

#: How far losses and final weights may be from the eager ones: docs/eager-collapse.md says what was measured.
LOSSES, WEIGHTS = 1e-6, 1e-5


@pytest.mark.parametrize("training", ["False", "mixed"])
def test_static_graph_follows_eager_when_its_updates_run(training, record_property):
    """`False`: no call moves the statistics, nothing is to run. `mixed`: some calls move them and others use them."""
    settings = Settings(training, "raw", steps=STEPS)
    eager, static, updated = (run(mode, settings) for mode in ("eager", "static", "static-updates"))
    apart = {name: difference(found, eager) for name, found in (("static", static), ("with updates", updated))}
    for name, (losses, weights) in apart.items():
        record_property(name, "{:.1e} in losses, {:.1e} in weights".format(losses, weights))

    assert static["statistics"].tolist() == [[0.0, 1.0]] * (STEPS + 1)
    assert (eager["statistics"][-1].tolist() != [0.0, 1.0]) == (training == "mixed")
    assert apart["with updates"][0] <= LOSSES and apart["with updates"][1] <= WEIGHTS
    assert np.allclose(updated["statistics"], eager["statistics"], rtol=1e-5, atol=1e-6)
    if training == "mixed":
        assert apart["static"][0] > 100 * LOSSES and apart["static"][1] > 10 * WEIGHTS
    else:
        assert apart["static"][0] <= LOSSES and apart["static"][1] <= WEIGHTS


def difference(found, reference):
    """The largest of any loss, and of any trained variable at the end."""
    trained = [name for name in reference if name.endswith(("/kernel", "/gamma", "/beta"))]
    losses = np.max(np.abs(found["losses"] - reference["losses"]))
    return losses, max(np.max(np.abs(found[name] - reference[name])) for name in trained)
