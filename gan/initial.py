"""Beginning from the variables of a TensorFlow 1 checkpoint, whatever they are called here."""

from __future__ import annotations

import checkpoints
from gan.rules import RULES


def check_fit(prefix, variables):
    """Raise checkpoints.MappingError, which names all that does not fit, unless `prefix` holds all `variables`.

    Raises checkpoints.CheckpointError for a file that cannot be read, before TensorFlow tries to.
    """
    initial_values(prefix, variables)


def initial_values(prefix, variables):
    """The values for `variables` in the TensorFlow 1 checkpoint at `prefix`, by their names.

    Raises checkpoints.CheckpointError for a file that cannot be read, and checkpoints.MappingError.
    """
    with checkpoints.open_checkpoint(prefix) as source:
        plan = checkpoints.make_plan(source, variables, RULES)
        return {row.target: source.read(row.source) for row in plan.rows if row.target is not None}
