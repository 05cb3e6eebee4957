"""How many rows the tables of a graph have: what ids may be fed to it, so that more than the first rows are looked up.

Source: what `tf.nn.embedding_lookup` makes of ids, for one table and for one in slices ("mod" and "div").
"""

from __future__ import annotations

from typing import Any

# What hands ids on as they are.
_PASSING = frozenset(
    ("Identity", "StopGradient", "Reshape", "Cast", "ExpandDims", "Squeeze", "Transpose", "Pack", "Unpack", "ConcatV2")
    + ("Split", "SplitV", "Slice", "StridedSlice", "Unique", "Enter", "Exit", "Switch", "Merge", "NextIteration")
    + ("TensorArrayScatterV3", "TensorArrayReadV3", "TensorArrayGatherV3")
)
# What tells the slice of a table that an id is in, and its row there.
_COUNTING = frozenset(("FloorMod", "FloorDiv", "Sub", "Add", "AddV2", "Maximum", "Minimum", "Select", "SelectV2"))
_COUNTING_TOO = frozenset(("Less", "GreaterEqual"))
_GATHERS = {"Gather": 1, "GatherV2": 1, "ResourceGather": 1}
_AS_THEY_ARE, _COUNTED, _SORTED = range(3)


def id_limit(tensor: Any) -> int | None:
    """The number of rows in the smallest table that `tensor` picks rows of; None if there is none, or it is not known.

    A table in slices counts as one.
    """
    whole: list[int | None] = []
    slices: dict[str, int | None] = {}
    pending, seen = [(tensor, _AS_THEY_ARE)], set()
    while pending:
        current, state = pending.pop()
        for op in current.consumers():
            if (op.name, state) in seen:
                continue
            place = next(number for number, value in enumerate(op.inputs) if value is current)
            if (op.type == "OneHot" and place == 0) or _GATHERS.get(op.type) == place:
                rows = _rows(op)
                if state == _SORTED:
                    slices[op.name] = rows
                else:
                    # Rows of what was counted from ids are in a range that is not known.
                    whole.append(rows if state == _AS_THEY_ARE else None)
                continue
            seen.add((op.name, state))
            pending += [(output, _behind(op.type, state)) for output in op.outputs if _behind(op.type, state) >= 0]
    if slices:
        counts = [count for count in slices.values() if count is not None]
        whole.append(sum(counts) if len(counts) == len(slices) else None)
    known = [count for count in whole if count is not None]
    return min(known) if known and len(known) == len(whole) else None


def _behind(kind: str, state: int) -> int:
    """What becomes of ids in an operation of that type; -1 if they end there."""
    if kind in _PASSING:
        return state
    if kind == "DynamicPartition":
        return _SORTED
    return max(state, _COUNTED) if kind in _COUNTING or kind in _COUNTING_TOO else -1


def _rows(op: Any) -> int | None:
    """The rows of the table, or of the identity matrix, that `op` picks from; None if the graph does not say."""
    from tensorflow.python.framework import tensor_util  # type: ignore[import-untyped,import-not-found,unused-ignore]

    if op.type == "OneHot":
        depth = tensor_util.constant_value(op.inputs[1])
        return None if depth is None else int(depth)
    if op.type == "ResourceGather":
        handle = op.inputs[0].op
        dims = handle.get_attr("shape").dim if handle.type == "VarHandleOp" else ()
        return int(dims[0].size) if dims and dims[0].size > 0 else None
    shape = op.inputs[0].shape
    extent = shape[0] if shape.ndims else None
    extent = getattr(extent, "value", extent)
    return int(extent) if extent else None
