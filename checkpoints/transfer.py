"""Carrying values along a plan: from a checkpoint into variables, and from variables back to the file's names."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

import numpy as np

from . import dtypes
from .checkpoint import Checkpoint, TensorInfo, element_count
from .errors import CheckpointError, MappingError
from .keras_models import assign, value_of
from .plan import Plan, Row, group_by_target
from .planner import describe_targets
from .source import Source
from .transforms import apply, apply_inverse, pieces_of


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
    if plan.inverted:
        raise CheckpointError("this plan leads from the model to the file; load with its inverse()")
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


def planned(plan: Plan, checkpoint: Checkpoint) -> Source:
    """What `load` would assign, under the targets' names, computed from `checkpoint` when it is asked for."""
    groups = group_by_target(plan.rows)
    infos = {
        name: TensorInfo(
            name,
            rows[0].target_dtype,
            rows[0].target_shape,
            element_count(rows[0].target_shape) * dtypes.BY_NAME[rows[0].target_dtype].size,
        )
        for name, rows in sorted(groups.items())
    }
    return Source(infos, lambda name: _assemble(groups[name], checkpoint.read, inverted=False))


def export(plan: Plan, variables: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The values of `variables` under the names, shapes and types that the checkpoint of `plan` had.

    Takes the plan that loaded them, or its inverse. What the plan left in the file is not there. Raises MappingError
    if variables are missing or have changed their shape or type.
    """
    back = plan if plan.inverted else plan.inverse()
    described = describe_targets(variables)
    problems = []
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
    described = describe_targets(variables)
    groups = group_by_target(plan.rows)
    problems = [f"{name}: the plan gives it no value" for name in described if name not in groups]
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


def _changed(name: str, have: tuple[tuple[int, ...], str], want: tuple[tuple[int, ...], str]) -> str:
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
