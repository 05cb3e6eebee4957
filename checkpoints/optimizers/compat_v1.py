"""TF 1's own optimizers (`tf.compat.v1.train`) in eager mode: their slots, and the powers that Adam keeps.

They offer no way to set a slot before the first step, so the methods that `apply_gradients` itself calls are used to
make them: `_create_slots` and `_get_beta_accumulators`, which TF 1.15 has as 2.21 does. In a static graph nothing is
done: there a Saver restores them from the file as it stands.
"""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from ..checkpoint import Checkpoint
from ..errors import CheckpointError, MappingError
from ..keras_models import assign
from .adam_steps import power_after

NAMES = {
    ("adam", "m"): "m",
    ("adam", "v"): "v",
    ("momentum", "accumulator"): "momentum",
    ("rmsprop", "rms"): "rms",
    ("rmsprop", "momentum"): "momentum",
    ("rmsprop", "mg"): "mg",
    ("adagrad", "accumulator"): "accumulator",
    ("ftrl", "accumulator"): "accum",
    ("ftrl", "linear"): "linear",
}
"""What these optimizers call a slot, by kind and by the name that `optimizer_kinds.SLOTS` gives it."""

_KINDS = {
    "AdamOptimizer": "adam",
    "MomentumOptimizer": "momentum",
    "RMSPropOptimizer": "rmsprop",
    "AdagradOptimizer": "adagrad",
    "FtrlOptimizer": "ftrl",
    "GradientDescentOptimizer": "sgd",
}


def is_v1(optimizer: Any) -> bool:
    """Whether `optimizer` is one of `tf.compat.v1.train`: it makes slots but counts no steps."""
    return hasattr(optimizer, "_create_slots") and not hasattr(optimizer, "iterations")


def kind_of(optimizer: Any) -> str:
    """Its kind, by its class or the nearest one above. CheckpointError for one whose slots are not known."""
    for parent in type(optimizer).__mro__:
        if parent.__name__ in _KINDS:
            return _KINDS[parent.__name__]
    raise CheckpointError(f"optimizer {type(optimizer).__name__}: only {', '.join(sorted(_KINDS))} are known of TF 1's")


def targets(
    optimizer: Any, kind: str, variables: Mapping[str, Any], slots: Mapping[str, Any]
) -> list[tuple[str, str, Any]]:
    """(variable's name, slot, the optimizer's variable), made for `variables` where they were not there yet.

    Raises CheckpointError in a static graph.
    """
    inner = {name: _inner(variable) for name, variable in variables.items()}
    for name, variable in inner.items():
        if not hasattr(variable, "assign") or type(variable).__name__ == "RefVariable" or _in_a_graph(variable):
            raise CheckpointError(
                f"optimizer {type(optimizer).__name__}: {name} belongs to a static graph: restore it with a Saver there"
            )
    optimizer._create_slots(list(inner.values()))
    names = optimizer.get_slot_names()
    known = [(slot, NAMES[kind, slot]) for slot in slots if NAMES.get((kind, slot)) in names]
    return [(name, slot, optimizer.get_slot(v, own)) for slot, own in known for name, v in inner.items()]


def _inner(variable: Any) -> Any:
    """The tf.Variable: Keras 3 wraps it."""
    return variable.value if hasattr(variable, "path") else variable


def _in_a_graph(variable: Any) -> bool:
    try:
        variable.numpy()
    except (AttributeError, NotImplementedError, RuntimeError):
        return True
    return False


def assign_powers(optimizer: Any, checkpoint: Checkpoint, tensors: Mapping[int, str], steps: int | None) -> None:
    """Assigns Adam's running powers: those in `tensors`, by the number of their beta, or those after `steps` if given.

    Raises MappingError where one of them is needed and not there.
    """
    if not hasattr(optimizer, "_get_beta_accumulators"):
        return
    for number, power in enumerate(optimizer._get_beta_accumulators(), 1):
        if steps is not None:
            value = power_after(steps, getattr(optimizer, f"_beta{number}"))
        elif number in tensors:
            value = checkpoint.read(tensors[number]).astype(np.float32).reshape(())
        else:
            problem = f"beta{number}_power: the file holds none: say with steps=... how many steps were made"
            raise MappingError([problem], f"{checkpoint.path}: the optimizer's state does not carry over")
        assign(power, value)
