"""Which variable each slot in an object-based checkpoint belongs to, by the names that every generation of Keras gave.

`fc/kernel` has the slot `Adam/fc/kernel/m` with the legacy optimizers of Keras 2, `Adam/m/fc/kernel` or `m/fc/kernel`
with its new ones, and `adam/fc_kernel_momentum` in Keras 3. The slots get the names that TF 1's have.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Container, Iterable, Mapping, NamedTuple

from .objects import VALUE
from .optimizer_kinds import is_index, kind_of_name

if TYPE_CHECKING:
    from .checkpoint import TensorInfo

_SLOTS: dict[str, dict[str, str]] = {
    "adam": {"m": "m", "v": "v", "vhat": "vhat", "momentum": "m", "velocity": "v", "velocity_hat": "vhat"},
    "rmsprop": {"velocity": "rms", "momentum": "momentum", "average_gradient": "mg"},
    "adadelta": {"accum_grad": "accum", "accumulated_grad": "accum"},
    "adagrad": {"accumulator": "accumulator"},
    "ftrl": {"accumulator": "accumulator", "linear": "linear"},
    # Not TF 1's accumulator: it has the learning rate in it.
    "sgd": {"m": "velocity", "momentum": "velocity"},
}
IN_HDF5 = "optimizer_weights/"
IN_ARCHIVE = "optimizer/vars/"
_BY_NAME = {slot for slots in _SLOTS.values() for slot in slots} | {"rms", "mg", "accum_var"}


# Of a slot's name. To try every word of a very long name takes the square of its length.
_MOST_WORDS = 16


class ObjectSlot(NamedTuple):
    """A slot, the name of its variable, and the optimizer's name, which is empty where the file does not say it."""

    of: str
    slot: str
    optimizer: str


def find_slots(names: Mapping[str, str], optimizers: Container[str] = ()) -> dict[str, ObjectSlot]:
    """The slots among the tensors of an object-based checkpoint or HDF5 file: key to slot, by the full names by key.

    `optimizers` are the paths of objects that are optimizers for certain: what these keep is a slot, whatever its name.
    """
    owners = {name: key for key, name in names.items()}
    if any(key.startswith(IN_HDF5) for key in names):
        # HDF5 puts a variable below its layer's group, under a name that the layer may have had before.
        owners.update({name.partition("/")[2]: key for name, key in owners.items() if name.count("/") > 1})
    flat: dict[str, list[str]] = {}
    for name, key in owners.items():
        flat.setdefault(name.replace("/", "_"), []).append(key)
    found = {}
    for key, name in names.items():
        if "/_variables/" in key or key.startswith(IN_HDF5):
            parsed = _behind_slot(name, owners) or _behind_owner(name, owners) or _joined(name, flat)
            certain = key.startswith(IN_HDF5) or optimizer_of(key) in optimizers
            if parsed is not None and (certain or parsed.slot in _BY_NAME):
                found[key] = parsed
    # Some releases leave the optimizer's name out; its slots tell which one it was.
    guess = _guess({slot.slot for slot in found.values() if not slot.optimizer})
    # Keras 3 calls RMSprop rm_sprop.
    return {
        key: _named_as_in_tf1(slot, slot.optimizer.replace("rm_sprop", "rmsprop") or guess)
        for key, slot in found.items()
    }


def marked_slots(names: Mapping[str, str]) -> dict[str, ObjectSlot]:
    """What an object-based checkpoint itself marks as slots: key to slot. `names` gives their full names by key.

    Keras calls them `Adam/fc/kernel/m`, in a graph `training/Adam/fc/kernel/m`; TF 1's own optimizers `fc/kernel/Adam`
    and `fc/kernel/Adam_1`, and what each of these is, the key says. The optimizer of one without a name is called as
    the attribute that it is under.
    """
    found: dict[str, ObjectSlot] = {}
    own: dict[str, str] = {}
    for key, name in names.items():
        owner, marked, path = key.partition("/.OPTIMIZER_SLOT/")
        if not marked:
            continue
        variable, slot = names.get(owner + VALUE, ""), path[: -len(VALUE)].rpartition("/")[2]
        before, _, _ = name.partition(f"/{variable}/")
        if variable and name.startswith(variable + "/") and "/" not in name[len(variable) + 1 :]:
            own[key] = name[len(variable) + 1 :]
            found[key] = ObjectSlot(owner + VALUE, slot, own[key])
        elif variable and before != name:
            found[key] = ObjectSlot(owner + VALUE, slot, before.rpartition("/")[2])
        else:
            found[key] = ObjectSlot(owner + VALUE, slot, optimizer_of(key).rpartition("/")[2])
    # Of several slots of one optimizer, the first bears its name, the others that and a number.
    first = {(found[key].of, optimizer_of(key), name) for key, name in own.items()}
    for key, name in own.items():
        plain, _, number = name.rpartition("_")
        if is_index(number) and (found[key].of, optimizer_of(key), plain) in first:
            found[key] = found[key]._replace(optimizer=plain)
        elif is_index(number) and kind_of_name(plain):
            found[key] = found[key]._replace(optimizer=plain)
    return {key: _with_rate(slot) if key not in own else slot for key, slot in found.items()}


def _with_rate(slot: ObjectSlot) -> ObjectSlot:
    """Keras's momentum is not TF 1's: it has the learning rate in it."""
    return slot._replace(slot="velocity") if kind_of_name(slot.optimizer) == "sgd" else slot


def optimizer_of(name: str) -> str:
    """The path of the optimizer that keeps the slot `name` of an object-based checkpoint; nothing if it is no slot."""
    if not name.endswith(VALUE):
        return ""
    _, marked, slot = name.partition("/.OPTIMIZER_SLOT/")
    if marked:
        # A path in one component of another one: its slashes are escaped.
        path = slot[: -len(VALUE)].rpartition("/")[0]
        return re.sub(r"\.(.)", lambda escaped: "/" if escaped.group(1) == "S" else escaped.group(1), path)
    path, marked, _ = name.rpartition("/_variables/")
    return path


def optimizer_paths(tensors: Iterable[str]) -> set[str]:
    """The paths of all optimizers in an object-based checkpoint: their counters stand beside their settings."""
    names = {name[: -len(VALUE)] for name in tensors if name.endswith(VALUE)}
    paths = {optimizer_of(name + VALUE) for name in names if "/.OPTIMIZER_SLOT/" in name}
    for name in names:
        path, _, last = name.rpartition("/")
        beside = {path + "/learning_rate", path + "/decay"}
        if last == "_iterations" or (last == "iter" and beside & names):
            paths.add(path)
    return paths - {""}


def slots_by_name(tensors: Mapping[str, TensorInfo]) -> tuple[dict[str, ObjectSlot], dict[str, str]]:
    """The slots of Keras's optimizers in a file that a Saver wrote, and what else is theirs, with the optimizer's name.

    In a static graph Keras 2 calls them `training/Adam/fc/kernel/m`, beside `training/Adam/iter`, from 2.11 on
    `m/fc/kernel`, beside `iteration`; both have a `learning_rate` there. Source: `OptimizerV2.add_slot` of 1.15,
    `Optimizer.add_variable_from_reference` of 2.11.
    """
    slots: dict[str, ObjectSlot] = {}
    others: dict[str, str] = {}
    for name, info in tensors.items():
        start, _, last = name.rpartition("/")
        rate = tensors.get(f"{start}/learning_rate" if start else "learning_rate")
        if last not in ("iter", "iteration") or info.shape or info.dtype != "int64" or rate is None or rate.shape:
            continue
        own = start + "/" if start else ""
        if start:
            others.update((key, start) for key, value in tensors.items() if _is_setting(key, own, value))
        else:
            others.update({name: "", "learning_rate": ""})
        for key, value in tensors.items():
            rest = key[len(own) :] if key.startswith(own) else ""
            first, _, after = rest.partition("/")
            before, _, slot = rest.rpartition("/")
            for of, kind in ((after, first), (before, slot)):
                if kind in _BY_NAME and of in tensors and tensors[of].shape == value.shape and (start or of == after):
                    slots[key] = ObjectSlot(of, kind, start)
    unnamed = _guess({slot.slot for slot in slots.values() if not slot.optimizer})
    return {key: _named_as_in_tf1(slot, slot.optimizer or unnamed) for key, slot in slots.items()}, others


def _is_setting(name: str, start: str, info: TensorInfo) -> bool:
    return name.startswith(start) and "/" not in name[len(start) :] and not info.shape


def _guess(slots: set[str]) -> str:
    """The optimizer that has these slots, where the file leaves its name out."""
    return "Adam" if {"m", "v"} <= slots else "RMSprop" if "velocity" in slots else "SGD" if "m" in slots else ""


def _behind_slot(name: str, owners: Mapping[str, str]) -> ObjectSlot | None:
    """`m/fc/kernel` and `Adam/m/fc/kernel`."""
    parts = name.split("/")
    for place in (1, 2):
        of = owners.get("/".join(parts[place:]))
        if of is not None and owners.get(name) != of:
            return ObjectSlot(of, parts[place - 1], parts[0] if place == 2 else "")
    return None


def _behind_owner(name: str, owners: Mapping[str, str]) -> ObjectSlot | None:
    """`Adam/fc/kernel/m`, in TF 1 `training/Adam/fc/kernel/m`: what stands before the variable names the optimizer."""
    path, _, slot = name.rpartition("/")
    parts = path.split("/")
    for place in range(1, len(parts)):
        of = owners.get("/".join(parts[place:]))
        if of is not None:
            return ObjectSlot(of, slot, parts[place - 1])
    return None


def names_in_hdf5(tensors: Iterable[str]) -> dict[str, str]:
    """The names to tell slots by in Keras's HDF5, where the optimizer's weights have a group of their own."""
    names = list(tensors)
    if not any(name.startswith(IN_HDF5) for name in names):
        return {}
    return {name: name[len(IN_HDF5) :] if name.startswith(IN_HDF5) else name for name in names}


def _joined(name: str, flat: Mapping[str, list[str]]) -> ObjectSlot | None:
    """`adam/fc_kernel_momentum`: the variable is the longest that the name can begin with."""
    optimizer, _, rest = name.partition("/")
    parts = rest.rsplit("_", _MOST_WORDS)
    for place in range(len(parts) - 1, 0, -1):
        keys = flat.get("_".join(parts[:place]), [])
        if len(keys) == 1:
            return ObjectSlot(keys[0], "_".join(parts[place:]), optimizer)
        if keys:
            return None
    return None


def _named_as_in_tf1(slot: ObjectSlot, optimizer: str) -> ObjectSlot:
    slots = _SLOTS.get(kind_of_name(optimizer))
    if slots is not None:
        return ObjectSlot(slot.of, slots.get(slot.slot, slot.slot), optimizer)
    return slot._replace(optimizer=optimizer)
