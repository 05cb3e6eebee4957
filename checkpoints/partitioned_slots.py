"""The names of slots of partitioned variables, which TF 1 cuts in a wrong place.

The variable `w` of several parts has operations called `w/part_0`, ..., and its slots are `SCOPE/w/part_0/Adam`, within
the variable scope that the optimizer was called in. To name them in the file, TF 1 takes away as many characters from
the left as `w/part_0/` has, SCOPE or not, and puts `w/` in front. So what is left of `dnn/w/part_0/Adam` is
`w/t_0/Adam`: of `SCOPE/w/part_0` as many characters as the scope is long.
Source: `_create_slot_var` in `tensorflow/python/training/slot_creator.py`, 0.12 to 1.15.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Mapping

from .optimizer_kinds import kind_of_name

if TYPE_CHECKING:
    from .checkpoint import TensorInfo

_PART = re.compile(r"(?:.*part_|[part]*_?)?(\d+)", re.DOTALL)


def partition_owner(info: TensorInfo, tensors: Mapping[str, TensorInfo]) -> str | None:
    """The variable that `info` is a slot of, or a part of one, if its name is one of those; else None."""
    scope, _, last = info.name.rpartition("/")
    number = _PART.fullmatch(scope.rpartition("/")[2])
    if number is None:
        return None
    position = info.name.find("/")
    while 0 < position < len(scope):
        owner, cut = info.name[:position], scope[position + 1 :]
        variable = tensors.get(owner)
        if variable is not None and variable.shape == info.shape and _is_cut(cut, f"/{owner}/part_{number.group(1)}"):
            # Of a scope of one or two letters, only a number is left, which much else may be.
            if "t_" in cut or info.slices or kind_of_name(last):
                return owner
        position = info.name.find("/", position + 1)
    return None


def _is_cut(cut: str, whole: str) -> bool:
    """Whether `cut` is the end of `SCOPE/w/part_0` for some scope; `whole` is `/w/part_0`."""
    return bool(cut) and (whole.endswith(cut) or cut.endswith(whole))
