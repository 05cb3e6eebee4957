"""Making a plan: the names of a checkpoint against the variables of a model, by rules and by what names tell."""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple, Pattern, Sequence

from . import dtypes
from .checkpoint import Checkpoint, TensorInfo
from .errors import CheckpointError, MappingError
from .nearest import nearest
from .plan import AnyRule, Ignore, Plan, Row, Rule, group_by_target
from .roles import Role, infer_roles
from .slices import check_tiling
from .transforms import Box, Piece, pieces_of, whole
from .wire import WireError


class Target(NamedTuple):
    """A variable of the model, as far as planning goes."""

    shape: tuple[int, ...]
    dtype: str


def describe_targets(targets: Mapping[str, Any]) -> dict[str, Target]:
    """Shape and type of every variable; CheckpointError for a type TensorFlow does not have or a shape not known."""
    described = {}
    for name, variable in targets.items():
        dtype = dtypes.name_of(variable.dtype)
        if dtype is None:
            raise CheckpointError(f"model variable {name}: unknown type {variable.dtype}")
        described[name] = Target(_shape_of(name, variable), dtype)
    return described


def _shape_of(name: str, variable: Any) -> tuple[int, ...]:
    try:
        return tuple(int(extent) for extent in variable.shape)
    except (TypeError, ValueError):
        raise CheckpointError(f"model variable {name}: its shape {variable.shape} is not known") from None


def make_plan(checkpoint: Checkpoint, targets: Mapping[str, Any], rules: Sequence[AnyRule] = ()) -> Plan:
    """The plan that carries `checkpoint` into `targets`, a mapping from name to anything with a shape and a dtype.

    Rules come first, in their order. What none of them mentions goes to the target of the same name if there is one,
    and is left in the file if it is a slot of a variable in the file, a counter or bookkeeping. Nothing else is
    guessed. Raises MappingError with every problem there is: sources without a place, targets without a value, targets
    with two, shapes and types that differ.
    """
    return _Planner(checkpoint, describe_targets(targets), rules).plan()


class _Planner:
    def __init__(self, checkpoint: Checkpoint, targets: dict[str, Target], rules: Sequence[AnyRule]) -> None:
        self._path = checkpoint.path
        self._tensors = checkpoint.tensors
        self._targets = targets
        self._rules = [(rule, _compile(rule)) for rule in rules]
        self._roles = infer_roles(checkpoint.tensors)
        self._problems: list[str] = []
        self._used = [False] * len(self._rules)

    def plan(self) -> Plan:
        """Runs the rules over every tensor, then checks the result as a whole."""
        rows: list[Row] = []
        unmapped: list[TensorInfo] = []
        for info in self._tensors.values():
            found = self._by_rules(info) or self._by_name_or_role(info)
            rows.extend(found)
            if not found:
                unmapped.append(info)
        groups = group_by_target(rows)
        self._check_sources(rows)
        missing = self._check_targets(groups)
        self._report_unmapped(unmapped, missing)
        self._report_missing(missing, unmapped)
        self._report_unused()
        if self._problems:
            raise MappingError(self._problems, f"{self._path} does not map onto the model")
        return Plan(tuple(rows))

    def _by_rules(self, info: TensorInfo) -> list[Row]:
        rows: list[Row] = []
        for place, (rule, pattern) in enumerate(self._rules):
            match = pattern.fullmatch(info.name)
            if match is None:
                continue
            self._used[place] = True
            if isinstance(rule, Ignore):
                return rows or [_ignored(info, rule.reason)]
            row, partial = self._apply(info, rule, match.expand(rule.target))
            rows.append(row)
            if not partial:
                return rows
        return rows

    def _apply(self, info: TensorInfo, rule: Rule, name: str) -> tuple[Row, bool]:
        """The row of one rule, whether or not it fits, and whether it leaves a part of the source to later rules."""
        reason = f"rule {rule.pattern}"
        target = self._targets.get(name)
        row = Row(info.name, name, "load", rule.transform, rule.dtype, reason, info.shape, info.dtype)
        if target is None:
            near = nearest(name, {key: value.shape for key, value in self._targets.items()}, info.shape)
            self._problems.append(
                f"{info.name} goes to {name} by {rule.pattern!r}, which the model does not have{_list_near(near)}"
            )
            return row._replace(action="missing"), False
        row = row._replace(target_shape=target.shape, target_dtype=target.dtype)
        self._check_dtype(row)
        pieces = self._pieces(row, report=True)
        return row, bool(pieces) and [piece.source for piece in pieces] != [whole(info.shape)]

    def _by_name_or_role(self, info: TensorInfo) -> list[Row]:
        role = self._roles[info.name]
        target = self._targets.get(info.name)
        if target is not None:
            row = Row(info.name, info.name, "load", "identity", None, "the same name", info.shape, info.dtype)
            row = row._replace(target_shape=target.shape, target_dtype=target.dtype)
            self._check_dtype(row)
            self._pieces(row, report=True)
            return [row]
        if role.kind != "variable" and role.kind != "shadow":
            return [_ignored(info, _why_left(role))]
        return []

    def _check_dtype(self, row: Row) -> None:
        have = row.dtype or row.source_dtype
        if have == row.target_dtype:
            return
        settle = Rule(re.escape(row.source), row.target or "", row.transform, row.target_dtype)
        told = f"{row.dtype} by its rule" if row.dtype else f"{row.source_dtype} in the file"
        self._problems.append(
            f"{row.source} is {told}, but {row.target_dtype} in the model ({row.target})\n{show(settle)}"
        )

    def _pieces(self, row: Row, report: bool = False) -> list[Piece]:
        try:
            return pieces_of(row.transform, row.source_shape, row.target_shape)
        except ValueError as error:
            if report:
                sides = f"{row.source} {list(row.source_shape)} does not fit {row.target} {list(row.target_shape)}"
                self._problems.append(f"{sides} by {row.transform}: {error}")
            return []

    def _check_sources(self, rows: Sequence[Row]) -> None:
        """Transforms that take a part of a tensor must take all of it together, each part once."""
        parts: dict[str, list[Row]] = {}
        for row in rows:
            if row.action == "load":
                parts.setdefault(row.source, []).append(row)
        for name, group in parts.items():
            boxes: list[Box] = [piece.source for row in group for piece in self._pieces(row)]
            problem = _tiling(boxes, group[0].source_shape)
            if boxes and problem and all(self._pieces(row) for row in group):
                used = ", ".join(f"{row.transform} to {row.target}" for row in group)
                self._problems.append(f"{name} is not carried over whole and once ({used}): {problem}")

    def _check_targets(self, groups: dict[str, list[Row]]) -> list[str]:
        """Reports collisions and gaps; returns the targets that get nothing at all."""
        for name, group in groups.items():
            boxes: list[Box] = [piece.target for row in group for piece in self._pieces(row)]
            problem = _tiling(boxes, group[0].target_shape)
            if not boxes or not problem or not all(self._pieces(row) for row in group):
                continue
            sources = " and ".join(row.source for row in group)
            if len(group) == 1:
                self._problems.append(f"{name} is only partly assigned, by {sources}: {problem}")
                continue
            settle = ["or ".ljust(3) + show(Ignore(re.escape(row.source), "why it stays")) for row in group]
            self._problems.append(
                "collision: {} is assigned by {} ({})\n{}".format(name, sources, problem, "\n".join(settle)[3:])
            )
        return [name for name in self._targets if name not in groups]

    def _report_unmapped(self, unmapped: Sequence[TensorInfo], missing: Sequence[str]) -> None:
        free = {name: self._targets[name].shape for name in missing}
        for info in unmapped:
            near = nearest(info.name, free, info.shape)
            fits = [name for name in near if free[name] == info.shape]
            settle = show(Rule(re.escape(info.name), fits[0])) + "\nor " if fits else ""
            settle += show(Ignore(re.escape(info.name), "why it stays"))
            role = "" if self._roles[info.name].kind == "variable" else f" ({self._roles[info.name]})"
            head = f"{info.name} {list(info.shape)} {info.dtype}{role} has no place in the model"
            self._problems.append(f"{head}{_list_near(near)}\n{settle}")

    def _report_missing(self, missing: Sequence[str], unmapped: Sequence[TensorInfo]) -> None:
        free = {info.name: info.shape for info in unmapped}
        for name in missing:
            target = self._targets[name]
            near = nearest(name, free, target.shape)
            fits = [source for source in near if free[source] == target.shape]
            settle = "\n" + show(Rule(re.escape(fits[0]), name)) if fits else ""
            self._problems.append(
                f"{name} {list(target.shape)} {target.dtype} of the model gets no value{_list_near(near)}{settle}"
            )

    def _report_unused(self) -> None:
        # A rule that matches nothing is only worth a word where something else is wrong: catalogues of rules are
        # written for many files.
        if not self._problems:
            return
        unused = [rule.pattern for (rule, _), used in zip(self._rules, self._used) if not used]
        if unused:
            self._problems.append("these rules match nothing in the file: {}".format(", ".join(unused)))


def _compile(rule: AnyRule) -> Pattern[str]:
    try:
        pattern = re.compile(rule.pattern)
        if isinstance(rule, Rule):
            # Finds a reference to a group that the pattern lacks before any tensor is looked at.
            re.sub(pattern, rule.target, "")
            _check_template(pattern, rule.target)
    except (re.error, IndexError) as error:
        raise CheckpointError(f"rule {rule.pattern!r}: {error}") from None
    return pattern


def _check_template(pattern: Pattern[str], template: str) -> None:
    for reference in re.findall(r"\\(\d+)", template):
        if int(reference) > pattern.groups:
            raise re.error(f"the target refers to group {reference}, the pattern has {pattern.groups}")


def _tiling(boxes: Sequence[Box], shape: tuple[int, ...]) -> str | None:
    try:
        check_tiling(boxes, shape)
    except WireError as error:
        return str(error).replace("its slices", "the parts")
    return None


def _ignored(info: TensorInfo, reason: str) -> Row:
    return Row(info.name, None, "ignore", "identity", None, reason, info.shape, info.dtype)


def _why_left(role: Role) -> str:
    return str(role)


def _list_near(names: Sequence[str]) -> str:
    return "; nearest: {}".format(", ".join(names)) if names else ""


def show(rule: AnyRule) -> str:
    """`rule` as Python source, defaults left out, ready to paste."""
    if isinstance(rule, Ignore):
        return f"Ignore({_raw(rule.pattern)}, {_raw(rule.reason)})"
    text = "Rule({}, {}".format(_raw(rule.pattern), _raw(rule.target.replace("\\", "\\\\")))
    if rule.transform != "identity":
        text += f", transform={_raw(rule.transform)}"
    if rule.dtype is not None:
        text += f", dtype={_raw(rule.dtype)}"
    return text + ")"


def _raw(text: str) -> str:
    if "\\" in text and '"' not in text and not text.endswith("\\"):
        return f'r"{text}"'
    return f'"{text}"' if '"' not in text and "\\" not in text and text.isprintable() else repr(text)
