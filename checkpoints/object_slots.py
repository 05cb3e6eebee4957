"""Which variable each slot in an object-based checkpoint belongs to, by the names that every generation of Keras gave.

`fc/kernel` has the slot `Adam/fc/kernel/m` with the legacy optimizers of Keras 2, `Adam/m/fc/kernel` or `m/fc/kernel`
with its new ones, and `adam/fc_kernel_momentum` in Keras 3. The slots get the names that TF 1's have.
"""

from __future__ import annotations

from typing import Mapping, NamedTuple

_SLOTS: dict[str, dict[str, str]] = {
    "adam": {"m": "m", "v": "v", "vhat": "vhat", "momentum": "m", "velocity": "v", "velocity_hat": "vhat"},
    "rmsprop": {"velocity": "rms", "momentum": "momentum", "average_gradient": "mg"},
    "adagrad": {"accumulator": "accumulator"},
    "ftrl": {"accumulator": "accumulator", "linear": "linear"},
}
_ANY = {slot for slots in _SLOTS.values() for slot in slots}


class ObjectSlot(NamedTuple):
    """A slot, the name of its variable, and the optimizer's name, which is empty where the file does not say it."""

    of: str
    slot: str
    optimizer: str


def find_slots(names: Mapping[str, str]) -> dict[str, ObjectSlot]:
    """The slots among the tensors of an object-based checkpoint: key to slot. `names` gives their full names by key.

    Keras's momentum is not TF 1's (it has the learning rate in it), so SGD's slots keep the name they have.
    """
    owners = {name: key for key, name in names.items()}
    flat: dict[str, list[str]] = {}
    for name, key in owners.items():
        flat.setdefault(name.replace("/", "_"), []).append(key)
    found = {}
    for key, name in names.items():
        if "/_variables/" in key:
            parsed = _keras_2(name, owners) or _keras_3(name, flat)
            if parsed is not None:
                found[key] = parsed
    # Some releases leave the optimizer's name out; its slots tell which one it was.
    unnamed = {slot.slot for slot in found.values() if not slot.optimizer}
    guess = "Adam" if {"m", "v"} <= unnamed else "RMSprop" if "velocity" in unnamed else ""
    # Keras 3 calls RMSprop rm_sprop.
    return {key: _named_as_in_tf1(slot, slot.optimizer.replace("_", "") or guess) for key, slot in found.items()}


def _keras_2(name: str, owners: Mapping[str, str]) -> ObjectSlot | None:
    first, _, rest = name.partition("/")
    for optimizer, text in (("", name), (first, rest)):
        slot, _, of = text.partition("/")
        if slot in _ANY and of in owners:
            return ObjectSlot(owners[of], slot, optimizer)
    return None


def _keras_3(name: str, flat: Mapping[str, list[str]]) -> ObjectSlot | None:
    optimizer, _, rest = name.partition("/")
    for slot in _ANY:
        keys = flat.get(rest[: -len(slot) - 1], []) if rest.endswith("_" + slot) else []
        if len(keys) == 1:
            return ObjectSlot(keys[0], slot, optimizer)
    return None


def _named_as_in_tf1(slot: ObjectSlot, optimizer: str) -> ObjectSlot:
    for kind, slots in _SLOTS.items():
        if kind in optimizer.lower():
            return ObjectSlot(slot.of, slots.get(slot.slot, slot.slot), optimizer)
    return slot._replace(optimizer=optimizer)
