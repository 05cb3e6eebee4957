"""Carrying values along a plan: from a checkpoint into variables, and from variables back to the file's names."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence, Tuple

import numpy as np

from . import dtypes
from .checkpoint import Checkpoint, TensorInfo, element_count
from .errors import CheckpointError, MappingError
from .keras_models import assign, value_of
from .plan import Plan, Row, group_by_target
from .planner import describe_targets
from .slices import check_tiling
from .source import Source
from .transforms import Box, apply, apply_inverse, pieces_of
from .wire import WireError

_Side = Tuple[Tuple[int, ...], str]


def load(
    plan: Plan,
    checkpoint: Checkpoint,
    variables: Mapping[str, Any],
    loaded: Callable[[str], None] = lambda name: None,
) -> None:
    """Assigns every target of `plan` once, with values from `checkpoint`, and reads each back.

    `variables` is what `model_variables` gave for the model. Plan, file and model are compared first: MappingError
    lists all that differs, and nothing is assigned then. Raises CheckpointError if a variable does not hold, bit for
    bit, what was assigned to it. Holds one variable's values at a time; `loaded` is called with each name that is done.
    """
    _check_against(plan, checkpoint, variables)
    for name, rows in group_by_target(plan.rows).items():
        value = _assemble(rows, checkpoint.read, inverted=False)
        written = assign(variables[name], value)
        standing = value_of(variables[name])
        if standing.shape != written.shape or not _same_bits(standing, written):
            narrowed = "" if standing.dtype == written.dtype else f": it is {standing.dtype}, not {written.dtype}"
            raise CheckpointError(
                "{}: {} was assigned from {}, but does not hold what was written{}".format(
                    checkpoint.path, name, ", ".join(row.source for row in rows), narrowed
                )
            )
        loaded(name)


def planned(plan: Plan, checkpoint: Checkpoint, variables: Mapping[str, Any]) -> Source:
    """What the model would hold after `load`, under the targets' names, computed when it is asked for.

    Raises what `load` raises for a plan that does not fit, and CheckpointError where `variables` have no value to keep.
    """
    _check_against(plan, checkpoint, variables)
    groups = group_by_target(plan.rows)
    targets = {row.target or "": row for row in plan.rows if row.action != "ignore"}
    infos = {
        name: TensorInfo(
            name,
            row.target_dtype,
            row.target_shape,
            element_count(row.target_shape) * dtypes.BY_NAME[row.target_dtype].size,
        )
        for name, row in sorted(targets.items())
    }
    for name in sorted(plan.kept()):
        if isinstance(variables[name], TensorInfo):
            raise CheckpointError(f"{name} is to keep its value, but only the model itself has one, not a file of it")

    def read(name: str) -> np.ndarray[Any, Any]:
        if name in groups:
            return _assemble(groups[name], checkpoint.read, inverted=False)
        return value_of(variables[name])

    return Source(infos, read)


def export(plan: Plan, variables: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The values of `variables` under the names, shapes and types that the checkpoint of `plan` had.

    Takes the plan that loaded them, or its inverse. What the plan left in the file is not there. Raises MappingError
    if variables are missing or have changed their shape or type, or if the plan says of a part of one of them, or of a
    tensor, nothing or two things.
    """
    back, forward = (plan, plan.inverse()) if plan.inverted else (plan.inverse(), plan)
    described = describe_targets(variables)
    problems = _not_whole(forward.assigned(), both=True)
    if not plan.inverted:
        # The way back of a plan has no rows for what it filled.
        groups = group_by_target(plan.rows)
        known = {*groups, *plan.kept()}
        problems += [f"{name}: the plan does not know it" for name in described if name not in known]
    for row in back.loads():
        have = described.get(row.source)
        if have is None:
            problems.append(f"{row.source}: the model has no such variable")
        elif (have.shape, have.dtype) != (row.source_shape, row.source_dtype):
            problems.append(_changed(row.source, have, (row.source_shape, row.source_dtype)))
    if problems:
        raise MappingError(problems, "the plan does not fit the model")
    groups = group_by_target(back.rows)
    return {
        name: _assemble(groups[name], lambda source: value_of(variables[source]), inverted=True)
        for name in sorted(groups)
    }


def _check_against(plan: Plan, checkpoint: Checkpoint, variables: Mapping[str, Any]) -> None:
    """Raises MappingError unless the plan gives every variable a whole value, of tensors that are as it says."""
    if plan.inverted:
        raise CheckpointError("this plan leads from the model to the file; load with its inverse()")
    described = describe_targets(variables)
    groups = group_by_target(plan.rows)
    kept = plan.kept()
    problems = [f"{name}: the plan gives it no value" for name in described if name not in groups and name not in kept]
    problems += [f"{name}: the model has no such variable" for name in sorted(kept - set(described))]
    problems += _not_whole(plan.assigned())
    for name, rows in groups.items():
        have = described.get(name)
        want = (rows[0].target_shape, rows[0].target_dtype)
        if have is None:
            problems.append(f"{name}: the model has no such variable")
        elif (have.shape, have.dtype) != want:
            problems.append(_changed(name, have, want))
    for row in plan.loads():
        info = checkpoint.tensors.get(row.source)
        if info is None:
            problems.append(f"{row.source}: the file has no such tensor")
        elif (info.shape, info.dtype) != (row.source_shape, row.source_dtype):
            problems.append(_changed(row.source, (info.shape, info.dtype), (row.source_shape, row.source_dtype)))
    if problems:
        raise MappingError(problems, f"{checkpoint.path}: the plan does not fit")


def _not_whole(rows: Sequence[Row], both: bool = False) -> list[str]:
    """What keeps rows from giving every target one whole value; with `both` from taking every source whole, too.

    A plan that was made does; one that was saved may have been edited since.
    """
    problems: list[str] = []
    ends: dict[tuple[bool, str], tuple[_Side, list[Box]]] = {}
    for row in rows:
        source, target = (row.source_shape, row.source_dtype), (row.target_shape, row.target_dtype)
        load = row.action == "load"
        if load and not row.dtype and source[1] != target[1]:
            problems.append(f"{row.source} is {source[1]}, {row.target} is {target[1]}, and no cast is asked for")
        try:
            pieces = pieces_of(row.transform, source[0], target[0])
        except (ValueError, IndexError) as error:
            problems.append(f"{row.source or 'a constant'} to {row.target} by {row.transform}: {error}")
            continue
        sides = [(False, row.target or "", target, [piece.target for piece in pieces])]
        if load and both:
            sides.append((True, row.source, source, [box for piece in pieces for box in piece.sources()]))
        for taken, name, side, boxes in sides:
            first, every = ends.setdefault((taken, name), (side, []))
            every += boxes
            if first != side:
                problems.append(
                    f"{name}: is {list(first[0])} {first[1]} in one row, {list(side[0])} {side[1]} in another"
                )
    for (taken, name), ((shape, _), boxes) in ends.items() if not problems else ():
        try:
            check_tiling(boxes, shape)
        except WireError as error:
            why = str(error).replace("its slices", "the rows of the plan")
            problems.append(f"{name}: is not {'taken' if taken else 'given a value'} whole and once: {why}")
    return problems


def _changed(name: str, have: _Side, want: _Side) -> str:
    return f"{name}: is {list(have[0])} {have[1]}, was {list(want[0])} {want[1]} when the plan was made"


def _assemble(rows: Sequence[Row], read: Callable[[str], np.ndarray[Any, Any]], inverted: bool) -> np.ndarray[Any, Any]:
    """The value of one target out of all rows that lead to it; CheckpointError where a cast or transform fails."""
    first = rows[0]
    values: list[np.ndarray[Any, Any]] = []
    for row in rows:
        value = read(row.source) if row.action == "load" else np.empty(0, dtypes.numpy_dtype(row.target_dtype))
        try:
            values.append(dtypes.cast(value, row.target_dtype) if row.dtype else value)
        except TypeError as error:
            raise CheckpointError(f"{row.source}: {error}") from None
    if len(rows) == 1 and first.action == "load" and first.transform == "identity":
        return values[0]
    target = np.empty(first.target_shape, dtypes.numpy_dtype(first.target_dtype))
    for row, value in zip(rows, values):
        try:
            if inverted:
                for piece in pieces_of(row.transform, row.target_shape, row.source_shape):
                    apply_inverse(piece, value, target)
            else:
                for piece in pieces_of(row.transform, row.source_shape, row.target_shape):
                    apply(piece, value, target)
        except ValueError as error:
            raise CheckpointError(f"{row.source} to {row.target} by {row.transform}: {error}") from None
    return target


def _same_bits(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> bool:
    if left.dtype.itemsize != right.dtype.itemsize:
        return False
    if left.dtype.kind == "O" or right.dtype.kind == "O":
        return bool(np.array_equal(left, right))
    flat_left, flat_right = (np.ascontiguousarray(side).reshape(-1).view(np.uint8) for side in (left, right))
    return bool(np.array_equal(flat_left, flat_right))
