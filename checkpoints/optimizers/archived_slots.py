"""Slots that a Keras file holds in an order, without saying whose they are: `.keras`, `.weights.h5`, old `.h5`."""

from __future__ import annotations

from typing import Mapping, Sequence

from ..checkpoint import Checkpoint, TensorInfo
from ..object_slots import IN_ARCHIVE, IN_HDF5
from ..optimizer_kinds import fits, is_index, kind_of_name
from ..plan import Row
from .keras_slots import Held

# Slots that Keras makes for a variable at once with another one.
_TOGETHER = {"v": "m", "linear": "accumulator"}


def of_another_kind(checkpoint: Checkpoint, held: Held, name: str | None) -> list[str]:
    """What speaks against the state in a file, which names no slots, being that of an optimizer like `held`."""
    own, written = type(held.optimizer).__name__, checkpoint.optimizer
    if not any(tensor.startswith(IN_ARCHIVE + "1") for tensor in checkpoint.tensors) and not unnamed(checkpoint):
        return []
    if not written:
        told = f'the file does not say which optimizer its slots are of; if it was {own}, give name="{own}"'
        return [] if name is not None else [told]
    if not fits(written, held.kind) and name != written:
        return [
            f"the file holds the state of {written}, not of {own}"
            + ("" if kind_of_name(written) else f'; if it is of this kind, give name="{written}"')
        ]
    centered = bool(checkpoint.optimizer_settings.get("centered"))
    if held.kind == "rmsprop" and centered != bool(held.setting("centered")):
        return [f"centered is {centered} in the file, and not in this {own}: their slots differ"]
    return []


def numbered_slots(
    tensors: Mapping[str, TensorInfo], wanted: Sequence[tuple[str, str]], rows: Mapping[str, Sequence[Row]]
) -> tuple[dict[tuple[str, str], str], list[str]]:
    """The tensor of each slot in a .keras archive, which numbers them and names none; and what does not fit.

    `wanted` are (variable, slot) with the variables in the model's order, which is the order of the file: the count of
    steps, from Keras 3 on the learning rate, then the slots, one kind of them after the other, but for Adam's m and v
    and Ftrl's two, which go variable by variable. Source: `build` of these optimizers in Keras 2.12 to 3.
    """
    names = [(name[len(IN_ARCHIVE) :], name) for name in tensors if name.startswith(IN_ARCHIVE)]
    numbered = sorted((int(number), name) for number, name in names if is_index(number))
    if not numbered:
        return {}, []
    head = (
        2 if len(numbered) > 1 and not tensors[numbered[1][1]].shape and tensors[numbered[1][1]].dtype != "int64" else 1
    )
    groups: dict[str, dict[str, list[str]]] = {}
    for variable, slot in wanted:
        groups.setdefault(_TOGETHER.get(slot, slot), {}).setdefault(variable, []).append(slot)
    places = [(variable, slot) for group in groups.values() for variable, slots in group.items() for slot in slots]
    return _in_order(tensors, places, [name for _, name in numbered[head:]], rows)


def unnamed(checkpoint: Checkpoint) -> list[str]:
    """The optimizer's state in a file of Keras before 2.4 and outside of TensorFlow, in its order, without counters.

    There a slot is called `training/Adam/Variable_7` or `training/Adam/m_2_1`; the file lists them in their order.
    """
    roles = checkpoint.roles()
    order = [name for name in checkpoint.state_order if name.startswith(IN_HDF5) and checkpoint.tensors[name].shape]
    return order if order and all(roles[name].of == "a variable" for name in order) else []


def listed_slots(
    checkpoint: Checkpoint, wanted: Sequence[tuple[str, str]], rows: Mapping[str, Sequence[Row]]
) -> tuple[dict[tuple[str, str], str], list[str]]:
    """The tensor of each slot in such a file; and what does not fit.

    One kind of slots follows the other, each in the order of the trained weights, which is that of the file. Adam's
    vhat is there from 2.1.3 on, of one element where it is not used. Source: `get_updates` of these optimizers in Keras
    2.0 to 2.3.
    """
    order = unnamed(checkpoint)
    if not order:
        return {}, []
    sources = {row.source: name for name, each in rows.items() for row in each if row.action == "load"}
    kinds = list(dict.fromkeys(slot for _, slot in wanted))
    trained = {variable for variable, _ in wanted}
    variables = [sources[name] for name in checkpoint.listed_variables() if sources.get(name) in trained]
    places = [(variable, slot) for slot in kinds for variable in variables]
    unused = order[len(places) :]
    if kinds == ["m", "v"] and len(unused) == len(variables):
        if all(checkpoint.tensors[name].shape == (1,) for name in unused):
            order = order[: len(places)]
    return _in_order(checkpoint.tensors, places, order, rows)


def _in_order(
    tensors: Mapping[str, TensorInfo],
    places: Sequence[tuple[str, str]],
    names: Sequence[str],
    rows: Mapping[str, Sequence[Row]],
) -> tuple[dict[tuple[str, str], str], list[str]]:
    if len(places) != len(names):
        return {}, [f"the file has {len(names)} slots, the optimizer {len(places)}: another one, or not all variables"]
    problems = []
    for (variable, slot), name in zip(places, names):
        shapes = [row.source_shape for row in rows.get(variable, ()) if row.action == "load"]
        if shapes != [tensors[name].shape]:
            problems.append(
                f"{name} {list(tensors[name].shape)} is where slot {slot} of {variable} would be, and not of its shape"
            )
    return dict(zip(places, names)), problems
