"""What an optimizer of Keras or of `tf.compat.v1.train` holds: its slots by variable, its hyperparameters.

Keras has three generations of optimizers: legacy ones, which know their slots by variable and name; those of TF 2.11 to
2.15 and those of Keras 3, which hold a list for each kind of slot, in the order of the variables they were built for.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

from ..errors import CheckpointError
from ..optimizer_kinds import kind_of, plain_value
from . import compat_v1

# The attribute of each slot's list, by kind.
LISTS = {
    "adam": {"m": "_momentums", "v": "_velocities", "vhat": "_velocity_hats"},
    "momentum": {"accumulator": "momentums"},
    "rmsprop": {"rms": "_velocities", "momentum": "_momentums", "mg": "_average_gradients"},
    "adagrad": {"accumulator": "_accumulators"},
    "ftrl": {"accumulator": "_accumulators", "linear": "_linears"},
}
_LEGACY = {("momentum", "accumulator"): "momentum"}
# What `tf.compat.v1.train` calls a hyperparameter of Keras's.
_V1_NAMES = {
    "beta_1": ("_beta1",),
    "beta_2": ("_beta2",),
    "epsilon": ("_epsilon",),
    "learning_rate": ("_learning_rate", "_lr"),
    "momentum": ("_momentum",),
    "nesterov": ("_use_nesterov",),
    "rho": ("_decay",),
    "centered": ("_centered",),
}
_BETAS = {1: 0.9, 2: 0.999}


class Slot(NamedTuple):
    """The optimizer's `variable` for the slot called `slot` (as in `optimizer_kinds.SLOTS`) of the variable `name`."""

    name: str
    slot: str
    variable: Any


class Held:
    """An optimizer that keeps state: its `kind`, whether it is one of TF 1's own (`v1`), its slots and settings."""

    def __init__(self, optimizer: Any) -> None:
        """Raises CheckpointError for an optimizer that is not known."""
        self.optimizer = optimizer
        self.v1 = compat_v1.is_v1(optimizer)
        if not self.v1 and not hasattr(optimizer, "iterations"):
            kind = type(optimizer).__name__
            raise CheckpointError(f"optimizer {kind}: only those of Keras and of tf.compat.v1.train are known")
        self.kind = compat_v1.kind_of(optimizer) if self.v1 else kind_of(optimizer)
        self.legacy = not self.v1 and hasattr(optimizer, "get_slot")

    def slots(self, variables: Mapping[str, Any]) -> list[Slot]:
        """All slots of `variables`, made where they were not there yet.

        Raises CheckpointError in a static graph, and where the optimizer was built for other variables.
        """
        optimizer = self.optimizer
        if self.v1:
            made = compat_v1.targets(optimizer, self.kind, variables, LISTS.get(self.kind, {}))
            return [Slot(*each) for each in made]
        if self.legacy:
            return self._legacy_slots(variables)
        ordered = list(variables.items())
        if not getattr(optimizer, "built", False) and hasattr(optimizer, "build"):
            optimizer.build([variable for _, variable in ordered])
        names = _built_for(optimizer, ordered)
        found = []
        for slot, attribute in LISTS.get(self.kind, {}).items():
            held = getattr(optimizer, attribute, None) or getattr(optimizer, "_" + attribute, None) or []
            if held and len(held) != len(names):
                raise CheckpointError(f"the optimizer holds {len(held)} of {attribute} for {len(names)} variables")
            found += [Slot(name, slot, variable) for name, variable in zip(names, held) if variable is not None]
        return found

    def trained(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `variables` that the optimizer keeps state for; CheckpointError if it was made for none yet.

        One without slots may not tell; then it is all of them.
        """
        optimizer = self.optimizer
        if self.v1 or self.legacy:
            names = list(optimizer.get_slot_names())
            found = {name: v for name, v in variables.items() if not names or self._has_slot(v, names[0])}
        else:
            built = getattr(optimizer, "built", False) or getattr(optimizer, "_index_dict", None)
            found = {name: variables[name] for name in _built_for(optimizer, list(variables.items()))} if built else {}
        if not found:
            raise CheckpointError(f"optimizer {type(optimizer).__name__}: holds no state yet of any of these variables")
        return found

    def _has_slot(self, variable: Any, slot: str) -> bool:
        variable = variable.value if self.v1 and hasattr(variable, "path") else variable
        try:
            return self.optimizer.get_slot(variable, slot) is not None
        except KeyError:
            return False

    def _legacy_slots(self, variables: Mapping[str, Any]) -> list[Slot]:
        optimizer = self.optimizer
        if hasattr(optimizer, "_create_all_weights"):
            optimizer._create_all_weights(list(variables.values()))
        else:
            optimizer._create_hypers()
            optimizer._create_slots(list(variables.values()))
        names = list(optimizer.get_slot_names())
        found = []
        for slot in LISTS.get(self.kind, {}):
            legacy = _LEGACY.get((self.kind, slot), slot)
            if legacy in names:
                found += [Slot(name, slot, optimizer.get_slot(v, legacy)) for name, v in variables.items()]
        return found

    def setting(self, name: str) -> float | None:
        """The hyperparameter that Keras calls `name`; None if the optimizer has none, or one that is computed."""
        for attribute in _V1_NAMES.get(name, ()) if self.v1 else (name,):
            value = getattr(self.optimizer, attribute, None)
            if value is not None and not callable(value):
                return float(np.asarray(plain_value(value)))
        return None

    def rows(self) -> tuple[str, str] | None:
        """Which rows of an embedding TF 1 updates in a step, and which this does; None if it is alike.

        Measured with 1.15, 2.15, and Keras 3 on TensorFlow and JAX, each continuing what 1.15 began.
        """
        classes = type(self.optimizer).__mro__
        on_tensorflow = any(each.__name__ == "TFOptimizer" for each in classes)
        # One that makes tensors of its gradients, as Keras does on JAX, is somebody's own.
        on_tensorflow = on_tensorflow and not any(
            "apply" in vars(each) for each in classes if not each.__module__.startswith("keras")
        )
        lazy = self.kind in ("momentum", "rmsprop") and not self.legacy
        if self.legacy and self.kind == "rmsprop":
            lazy = not self.setting("momentum")
        if lazy and not self.v1:
            return "those that the batch looks up", "all"
        if on_tensorflow and self.kind == "adam":
            return "all", "those that the batch looks up"
        if on_tensorflow and self.kind in ("adagrad", "ftrl"):
            return "one that is looked up twice with the sum of both gradients", "it with one after the other"
        return None

    def betas(self) -> dict[int, float]:
        """Adam's betas, by number."""
        found = dict(_BETAS)
        for number in found:
            beta = self.setting(f"beta_{number}")
            found[number] = found[number] if beta is None else beta
        return found

    def rate(self) -> tuple[float, bool]:
        """The learning rate of the next step, and whether it follows a schedule or decays."""
        optimizer = self.optimizer
        rate: Any = getattr(optimizer, "_learning_rate", None)
        # Legacy optimizers have it among their hyperparameters, and there also a decay of their own.
        rate = rate if callable(rate) else getattr(optimizer, "learning_rate", rate)
        decays = bool(getattr(optimizer, "_initial_decay", 0))
        if not callable(rate) and not decays:
            return self.setting("learning_rate") or 0.0, False
        if hasattr(optimizer, "_decayed_lr"):
            value = optimizer._decayed_lr("float32")
        elif any(parent.__name__ == "LearningRateSchedule" for parent in type(rate).__mro__):
            value = rate(optimizer.iterations)
        else:
            value = rate()
        return float(np.asarray(plain_value(value))), True


def _built_for(optimizer: Any, ordered: list[tuple[str, Any]]) -> list[str]:
    """The names of the variables that the optimizer's lists follow."""
    held = getattr(optimizer, "_trainable_variables", None)
    names = {id(variable): name for name, variable in ordered}
    if held:
        unknown = [str(getattr(v, "name", v)) for v in held if id(v) not in names]
        if unknown:
            raise CheckpointError("the optimizer was built for other variables: {}".format(", ".join(unknown[:5])))
        return [names[id(variable)] for variable in held]
    index = getattr(optimizer, "_index_dict", None)
    if index:
        places = {name: index[variable._unique_id] for name, variable in ordered if variable._unique_id in index}
        return sorted(places, key=places.__getitem__)
    return [name for name, _ in ordered]
