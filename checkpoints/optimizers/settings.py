"""Hyperparameters: those that a file or its graph tells, against those of the optimizer that goes on."""

from __future__ import annotations

import math
import re
from typing import Any, Mapping

from ..checkpoint import Checkpoint
from ..object_slots import IN_ARCHIVE, IN_HDF5
from ..objects import GRAPH
from .file_slots import FileSlots, Sources
from .keras_slots import Held

# TF 1's defaults: what was most likely set where no graph tells.
_EPSILON = {"adam": 1e-8, "rmsprop": 1e-10, "adagrad": 0.0}
_PLAIN_ADAM = re.compile(r"/adam_[mv]$")
_OLD_RMS = re.compile(r"(/rms(/\.ATTRIBUTES/VARIABLE_VALUE)?|training/RMSprop/(Variable|accumulator_\d+)(_\d+)?)$")
# What is compared, under Keras's names.
_COMPARED = {
    "adam": ("learning_rate", "beta_1", "beta_2", "epsilon"),
    "momentum": ("learning_rate", "momentum", "nesterov"),
    "rmsprop": ("learning_rate", "rho", "momentum", "epsilon", "centered"),
    "adagrad": ("learning_rate",),
    "ftrl": ("learning_rate", "learning_rate_power"),
    "sgd": ("learning_rate", "momentum"),
}
_ALIASES = {"lr": "learning_rate"}


def compare_settings(slots: FileSlots, held: Held, sources: Sources, steps: int | None) -> list[str]:
    """Notes on hyperparameters that are not what they were, and on those that no file tells."""
    checkpoint = slots.checkpoint
    notes = _kinds_that_differ(checkpoint, held) + _looked_up_rows(slots, held, sources)
    there, where = _settings_there(slots, sources)
    for name in _COMPARED.get(held.kind, ()):
        here = held.setting(name)
        if name in there and here is not None and not math.isclose(here, there[name], rel_tol=1e-5, abs_tol=1e-12):
            notes.append(f"{name} is {here:g} here, {there[name]:g} in {where}")
    if there.get("decay") and not held.rate()[1]:
        notes.append(f"the learning rate decays in {where} (decay {there['decay']:g}), and does not change here")
    notes += _schedule(slots, held, sources, steps)
    by_keras = any(name == GRAPH or name.startswith((IN_HDF5, IN_ARCHIVE)) for name in checkpoint.tensors)
    # What Keras wrote was written with Keras's defaults.
    by_keras = by_keras or any(role.kind == "hyperparameter" and role.optimizer for role in slots.roles.values())
    wanted = None if by_keras or "epsilon" in there else _EPSILON.get(held.kind)
    epsilon = held.setting("epsilon") or 0.0
    if wanted is not None and not math.isclose(epsilon, wanted, rel_tol=1e-3, abs_tol=1e-12):
        notes.append(
            f"epsilon is {epsilon:g} here, {wanted:g} by default in TF 1, and no file stores it: set what was set "
            "there to continue alike"
        )
    return notes


def _settings_there(slots: FileSlots, sources: Sources) -> tuple[Mapping[str, float], str]:
    """The hyperparameters that the file or its graph gives the optimizer, and which of the two it is."""
    found: dict[str, float] = {}
    for update in slots.updates_for(sources):
        found.update(update.settings)
    if found:
        return found, "the graph"
    settings: dict[str, Any] = slots.checkpoint.optimizer_settings if slots.by_keras else {}
    told = {
        _ALIASES.get(name, name): float(value)
        for name, value in settings.items()
        if isinstance(value, (int, float)) and not callable(value)
    }
    return told, "the file"


def _schedule(slots: FileSlots, held: Held, sources: Sources, steps: int | None) -> list[str]:
    """Notes on a learning rate that the graph computed from a counter, where the optimizer does otherwise."""
    updates = slots.updates_for(sources)
    roles = slots.roles
    followed = {name for update in updates for name in update.follows if roles[name].kind == "counter"}
    if not followed:
        return []
    name = min(followed)
    if held.kind != "sgd" and not held.rate()[1]:
        return [f"the learning rate follows {name} in the graph, and does not change here"]
    value = int(slots.checkpoint.read(name).reshape(-1)[0])
    if steps is None or value == steps:
        return []
    return [f"the learning rate follows {name} in the graph, which is {value}, and here the {steps} steps"]


def _looked_up_rows(slots: FileSlots, held: Held, sources: Sources) -> list[str]:
    """Notes on embeddings, which the optimizer updates otherwise than TF 1's does: see `Held.rows`."""
    updates = slots.updates_for(sources)
    sparse = [update.variable for update in updates if update.sparse]
    if not updates and not slots.by_keras:
        # Without a graph: what a Keras model looks rows up in.
        sparse = [source for source in sources if slots.is_embedding(source)]
    told = held.rows()
    if not sparse or not told:
        return []
    own = type(held.optimizer).__name__
    return [f"{', '.join(sparse)}: of its rows TF 1 updates {told[0]}, {own} here {told[1]}: they go on differently"]


def _kinds_that_differ(checkpoint: Checkpoint, held: Held) -> list[str]:
    """Notes on optimizers that bear the same name and compute something else."""
    notes = []
    if held.kind == "adam" and any(_PLAIN_ADAM.search(name) for name in checkpoint.tensors):
        notes.append(
            "slots called adam_m and adam_v are those of an Adam without bias correction, as BERT's is, whose "
            "epsilon is 1e-6: Keras's corrects, which is the same only from some thousand steps on"
        )
    if held.kind == "rmsprop" and any(_OLD_RMS.search(name) for name in checkpoint.tensors):
        if not held.legacy and not held.v1:
            notes.append(
                "Keras before 2.11 added RMSprop's epsilon outside the root, this one adds it inside: 1e-7 there is "
                "about 1e-14 here"
            )
    return notes
