"""What each tensor of a checkpoint is: a variable, an optimizer's slot of one, a counter, bookkeeping.

TF 1 names a slot after its variable, `<variable>/<optimizer>` and then `<variable>/<optimizer>_1`, with whatever scope
the optimizer was made in before it. So a tensor is a slot if a variable of its shape stands under some ending of the
name that encloses it; the optimizer's name only says which slot it is.
"""

from __future__ import annotations

import re
from typing import Mapping, NamedTuple

from .checkpoint import TensorInfo
from .object_slots import find_slots, marked_slots, names_in_hdf5, optimizer_paths, slots_by_name
from .objects import AGAIN, VALUE, unique_names
from .optimizer_kinds import count_slots, is_index, kind_of_name, numbered_slot
from .partitioned_slots import partition_owner

_SHADOW = "ExponentialMovingAverage"
_BOOKKEEPING = ("_CHECKPOINTABLE_OBJECT_GRAPH", "/.ATTRIBUTES/OBJECT_CONFIG_JSON", "_LAYER_METADATA")
_NO_NUMBERS = ("string", "variant", "resource")
_POWER = re.compile(r"beta[12]_power(_\d+)?")
_STEP = re.compile(r"(.*_)?(steps?|iter|iterations?|save_counter)(_\d+)?")


class Role(NamedTuple):
    """What a tensor is, and where it is a slot or a shadow, `of` which variable.

    `kind` is variable, slot, shadow, counter, hyperparameter, constant (of a graph), string or bookkeeping.
    """

    kind: str
    of: str = ""
    slot: str = ""
    optimizer: str = ""

    def short(self) -> str:
        """As `str`, without the variable that it is a slot or a shadow of."""
        if self.kind == "slot":
            return f"slot {self.slot} ({self.optimizer})"
        return "moving average" if self.kind == "shadow" else str(self)

    def __str__(self) -> str:
        if self.kind == "slot":
            return f"slot {self.slot} of {self.of} ({self.optimizer})"
        if self.kind == "shadow":
            return f"moving average of {self.of}"
        if self.kind == "counter" and self.optimizer:
            return f"counter ({self.optimizer})"
        return self.kind


_VARIABLE = Role("variable")
# Names without any of these are told by their ends alone.
_MARKS = (*_BOOKKEEPING, VALUE, "optimizer_weights/", "optimizer/vars/", "metrics/")


def infer_roles(
    tensors: Mapping[str, TensorInfo], names: Mapping[str, str] | None = None, optimizer: str = ""
) -> dict[str, Role]:
    """The role of every tensor, by name. `names` gives the full names of an object-based checkpoint's tensors.

    `optimizer` is the one whose state is in a Keras file without names.
    """
    names = names or {}
    every = "\n".join(tensors)
    marked = any(mark in every for mark in _MARKS)
    optimizers = optimizer_paths(tensors) if VALUE in every else set()
    # A slot's variable bears the name of the scope that the slot is in, so it ends as that does.
    ends = {name.rpartition("/")[2] for name in tensors}
    roles = {}
    for name, info in tensors.items():
        scope = name.rpartition("/")[0]
        # Most tensors of most files are variables, and thousands of them are asked about.
        likely = not info.shape or scope[-1:].isdigit() or scope.rpartition("/")[2] in ends
        if marked or likely or info.dtype in _NO_NUMBERS:
            roles[name] = _infer(info, tensors, optimizers)
        else:
            roles[name] = _VARIABLE
    if "iter" in ends or "iteration" in ends:
        slots, others = slots_by_name(tensors)
        roles.update((name, Role("slot", *slot)) for name, slot in slots.items())
        for name, optimizer in others.items():
            roles[name] = Role("hyperparameter" if tensors[name].dtype != "int64" else "counter", optimizer=optimizer)
    if marked:
        own = unique_names(names) if names else names_in_hdf5(tensors)
        every_name = {**dict.fromkeys(tensors, ""), **names}
        for name, slot in {**marked_slots(every_name), **find_slots(own, optimizers)}.items():
            if name in roles:
                roles[name] = Role("slot", *slot)
    if optimizer:
        unnamed = [name for name, role in roles.items() if role.optimizer == "optimizer"]
        roles.update((name, roles[name]._replace(optimizer=optimizer)) for name in unnamed)
    return roles


def is_bookkeeping(name: str) -> bool:
    """Whether `name` is that of a tensor which describes objects, and holds no value of any."""
    return any(mark in name for mark in _BOOKKEEPING)


def _infer(info: TensorInfo, tensors: Mapping[str, TensorInfo], optimizers: set[str]) -> Role:
    name = info.name
    if is_bookkeeping(name):
        return Role("bookkeeping")
    if info.dtype in _NO_NUMBERS:
        return Role("string" if info.dtype == "string" else "bookkeeping")
    if name.endswith(VALUE):
        return _infer_object(info, optimizers)
    last = name.rpartition("/")[2]
    if name.startswith(("optimizer_weights/", "optimizer/vars/")):
        # In Keras's own files the optimizer's state has a place of its own.
        if not info.shape and info.dtype == "int64":
            return Role("counter")
        if not info.shape:
            return Role("hyperparameter", optimizer="optimizer")
        return Role("slot", "a variable", "state", "optimizer")
    if name.startswith("metrics/"):
        return Role("bookkeeping")
    if not info.shape:
        if _POWER.fullmatch(last):
            return Role("counter", optimizer=f"power of Adam's {last[:5]}")
        if _STEP.fullmatch(last) and info.dtype in ("int64", "int32"):
            return Role("counter")
        if last == "learning_rate":
            return Role("hyperparameter")
    owner = _owner(info, tensors) or partition_owner(info, tensors)
    if owner is not None:
        return _slot_role(info.name, owner, tensors)
    return Role("variable")


def _infer_object(info: TensorInfo, optimizers: set[str]) -> Role:
    """The role of a tensor of an object-based checkpoint, by the path through the objects.

    `optimizers` are the paths of those, whatever attributes they are under.
    """
    path = info.name[: -len(VALUE)]
    if "/.OPTIMIZER_SLOT/" in path:
        # Which one, `marked_slots` knows, which is asked about all of them together.
        return Role("slot")
    last = path.rpartition("/")[2].lstrip("_")
    if not info.shape and _POWER.fullmatch(last):
        return Role("counter", optimizer=f"power of Adam's {last[:5]}")
    if _STEP.fullmatch(last) and info.dtype in ("int64", "int32") and not info.shape:
        return Role("counter")
    parts = path.split("/")
    if "optimizer" in parts[:-1] and "_trainable_variables" not in parts:
        if "_variables" in parts:
            return Role("slot", "a variable", "state", "optimizer")
        return Role("hyperparameter", optimizer="optimizer")
    above = path.rpartition("/")[0]
    if above in optimizers and not info.shape:
        return Role("hyperparameter", optimizer=above.rpartition("/")[2])
    if above.endswith("/_variables") and above[: -len("/_variables")] in optimizers:
        return Role("slot", "a variable", "state", above.split("/")[-2])
    if parts[0] == AGAIN or "keras_api" in parts or "metrics" in parts:
        return Role("bookkeeping")
    return Role("variable")


def _owner(info: TensorInfo, tensors: Mapping[str, TensorInfo]) -> str | None:
    """The variable that `info` is a slot of: the longest enclosing name, cut from the left, that has its shape."""
    enclosing = info.name.rpartition("/")[0]
    while enclosing:
        owner = tensors.get(enclosing)
        if owner is not None and owner.shape == info.shape:
            return enclosing
        enclosing = enclosing.partition("/")[2]
    return None


def _slot_role(name: str, owner: str, tensors: Mapping[str, TensorInfo]) -> Role:
    scope, _, last = name.rpartition("/")
    if last.startswith(_SHADOW):
        return Role("shadow", of=owner)
    plain, _, index = last.rpartition("_")
    if plain and index in ("m", "v"):
        return Role("slot", owner, index, plain)
    if not is_index(index) or f"{scope}/{plain}" not in tensors:
        plain, index = last, "0"
    count = count_slots(f"{scope}/{plain}", tensors)
    optimizer, slot = numbered_slot(kind_of_name(plain), plain, int(index), count)
    return Role("slot", owner, slot, optimizer)
