"""Read any TensorFlow checkpoint without TensorFlow, say how it maps onto a model, load it, and write it back.

    with open_checkpoint("model.ckpt") as checkpoint:
        variables = model_variables({"generator": model})
        plan = make_plan(checkpoint, variables, [Rule(r"gen/(.*)", r"generator/\\1")])
        print(plan.table())
        load(plan, checkpoint, variables)

Needs NumPy; TensorFlow, Keras and h5py are used only where a caller brings them. Names are looked up when they are
first asked for, so that a listing does not pay for what it does not use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import Checkpoint, TensorInfo
    from .errors import CheckpointError, MappingError
    from .keras_models import model_variables
    from .open import open_checkpoint
    from .optimizers.export import export_optimizer
    from .optimizers.restore import load_optimizer
    from .plan import Ignore, Keep, Layer, Plan, Row, Rule
    from .planner import make_plan
    from .roles import Role, infer_roles
    from .rules import load_rules
    from .saver import write_saver
    from .transfer import export, load
    from .ulps import max_ulps, ulps_of_largest

_HOMES = {
    "Checkpoint": "checkpoint",
    "CheckpointError": "errors",
    "Ignore": "plan",
    "Keep": "plan",
    "Layer": "plan",
    "MappingError": "errors",
    "Plan": "plan",
    "Role": "roles",
    "Row": "plan",
    "Rule": "plan",
    "TensorInfo": "checkpoint",
    "export": "transfer",
    "export_optimizer": "optimizers.export",
    "infer_roles": "roles",
    "load": "transfer",
    "load_optimizer": "optimizers.restore",
    "load_rules": "rules",
    "make_plan": "planner",
    "max_ulps": "ulps",
    "ulps_of_largest": "ulps",
    "model_variables": "keras_models",
    "open_checkpoint": "open",
    "write_saver": "saver",
}

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Ignore",
    "Keep",
    "Layer",
    "MappingError",
    "Plan",
    "Role",
    "Row",
    "Rule",
    "TensorInfo",
    "export",
    "export_optimizer",
    "infer_roles",
    "load",
    "load_optimizer",
    "load_rules",
    "make_plan",
    "max_ulps",
    "model_variables",
    "open_checkpoint",
    "ulps_of_largest",
    "write_saver",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("." + home, __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
