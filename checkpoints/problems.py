"""What keeps a plan from being made: all of it, with the nearest candidates and rules that settle it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Iterable, Mapping, Sequence

from .checkpoint import element_count
from .inference import Candidate, Group, refusal, same_kind
from .nearest import in_common, natural, nearest
from .plan import AnyRule, Ignore, Keep, Layer, Row, Rule, group_by_target
from .slices import check_tiling
from .transforms import Box, Piece, pieces_of
from .wire import WireError

if TYPE_CHECKING:
    from .checkpoint import TensorInfo
    from .layouts.keras_cudnn import CuDNNLayer
    from .planner import Target
    from .roles import Role
    from .series import Join, Shift


# Every problem is told, but where there are hundreds, only the first come with hints, which take time to find.
_MOST_HINTS = 200


class Problems:
    """Collects problems."""

    def __init__(self, path: str, targets: Mapping[str, Target], roles: Mapping[str, Role]) -> None:
        self.found: list[str] = []
        self._path = path
        self._targets = targets
        self._roles = roles
        self._told_sources: set[str] = set()
        self._told_targets: set[str] = set()

    def add(self, problem: str) -> None:
        """One problem in so many words."""
        self.found.append(problem)

    def no_target(self, row: Row, kept: Row | None) -> None:
        """A rule leads to a variable that the model does not have, or that keeps its value by another rule."""
        if kept is not None:
            self.add(f"{row.source} goes to {row.target} by {row.reason}, which is to keep its value: {kept.reason}")
            return
        shapes = {key: value.shape for key, value in self._targets.items()}
        near = _list_near(nearest(row.target or "", shapes, row.source_shape), shapes)
        self.add(f"{row.source} goes to {row.target} by {row.reason}, which the model does not have{near}")

    def keeps_nothing(self, rules: Iterable[Keep], targets: Mapping[str, Target]) -> None:
        """Rules by which variables keep their value, and the model has none of that name."""
        shapes = {name: target.shape for name, target in targets.items()}
        for rule in rules:
            near = _list_near(nearest(rule.pattern, shapes, (-1,)), shapes)
            self.add(f"rule {rule.pattern!r} matches no variable of the model{near}; fix or remove it")

    def converted(self, row: Row, group: Group) -> None:
        """A rule that copies a tensor which the layer of the file stores otherwise than a Keras layer."""
        path = (row.target or "").rpartition("/")[0]
        self.add(
            f"{row.source} would be copied to {row.target} as it is by {row.reason}, but it belongs to a layer in the "
            f'layout "{group.layout.name}", and Keras has another: give the rule for the layer instead, or say '
            f'transform="identity" to copy it all the same\n{show(Layer(re.escape(group.scope), path))}'
        )

    def unused(self, rule: Rule | Layer, kind: str, names: Iterable[str]) -> None:
        """A rule that is about nothing in the file."""
        near = nearest(rule.pattern, dict.fromkeys(names, ()), (-1,))
        self.add(f"rule {rule.pattern!r} matches no {kind} of the file{_list_near(near)}; mend it or take it out")

    def check_dtype(self, row: Row) -> None:
        """A type that differs, and no cast asked for."""
        if row.action == "fill" or (row.dtype or row.source_dtype) == row.target_dtype:
            return
        settle = Rule(re.escape(row.source), row.target or "", _shown(row.transform), row.target_dtype)
        told = f"{row.dtype} by its rule" if row.dtype else f"{row.source_dtype} in the file"
        narrow = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}
        jax = "jax" in sys.modules and narrow.get(row.dtype or row.source_dtype) == row.target_dtype
        why = "; JAX has types of 64 bits only with JAX_ENABLE_X64=1" if jax else ""
        self.add(f"{row.source} is {told}, but {row.target_dtype} in the model ({row.target}){why}\n{show(settle)}")

    def pieces(self, row: Row) -> list[Piece]:
        """The pieces of a row; none, and a problem, if the shapes do not fit."""
        try:
            return pieces_of(row.transform, row.source_shape, row.target_shape)
        except ValueError as error:
            sides = f"{row.source} {list(row.source_shape)} does not fit {row.target} {list(row.target_shape)}"
            self.add(f"{sides} by {row.transform}: {error}")
            return []

    def no_choice(self, shadows: Sequence[str]) -> None:
        """Moving averages are there, and nobody said whether to take them."""
        self.add(
            f"{len(shadows)} moving averages are in the file ({shadows[0]}, ...): "
            'choose averages="raw" for the variables themselves or averages="shadow" for their averages'
        )

    def shifted(self, shifts: Sequence[Shift]) -> None:
        """Layers that the same names would put out of the order that their numbers give."""
        for shift in shifts:
            sides = [_in_short([join[side].name for join in shift.ordered]) for side in (0, 1)]
            name, path = ("/".join(side.name) for side in shift.astray)
            rules = [show(rule) for join in shift.ordered for rule in self._in_order(join)]
            self.add(
                f"ambiguous: {sides[0]} of the file are numbered unlike {sides[1]} of the model: {name} goes to {path} "
                f"by its name, to {'/'.join(shift.wanted.name)} by their order; say which, as in (all of them)\n"
                + "\n".join(rules)
            )

    def _in_order(self, join: Join) -> list[AnyRule]:
        """The rules that take one layer where it belongs in the order of its series."""
        path = "/".join(join.target.name)
        rules: list[AnyRule] = []
        for leaf, row in zip(join.source.leaves, join.source.rows):
            name = f"{path}/{leaf}" if leaf and path else leaf or path
            rules.append(Rule(re.escape(row.source), name, _shown(row.transform)))
            self._told_sources.add(row.source)
            self._told_targets.add(name)
        if any(row.action == "fill" for row in join.source.rows):
            # Only a layout says what a variable gets that the file lacks.
            scope = next(row.source for row in join.source.rows if row.source).rpartition("/")[0]
            return [Layer(re.escape(scope), path)]
        return sorted(rules, key=lambda rule: rule.pattern)

    def ambiguous(self, left: Sequence[Candidate]) -> None:
        """Alternatives that fit equally well, told once for all scopes that compete for the same layers."""
        by_scope: dict[str, list[Candidate]] = {}
        left = [candidate for candidate in left if not candidate.sources() & self._told_sources]
        for candidate in left:
            by_scope.setdefault(candidate.scope or candidate.rows[0].source, []).append(candidate)
            self._told_sources |= candidate.sources()
            self._told_targets |= {row.target for row in candidate.rows if row.target}
        suggested = _suggest(by_scope)
        for scope, candidates in sorted(by_scope.items(), key=lambda item: natural(item[0])):
            first = candidates[0]
            names = " and ".join(sorted(first.sources()))
            common = in_common(scope, [candidate.path for candidate in candidates])
            paths = sorted(common, key=lambda path: (-common[path], natural(path)))
            fits = ", ".join(paths[:6]) + (", ..." if len(paths) > 6 else "")
            single = first.layout.name == "single"
            rule: AnyRule = Layer(re.escape(scope), suggested.get(scope, ""))
            if single:
                rule = Rule(re.escape(first.rows[0].source), suggested.get(scope, ""))
            if scope not in suggested:
                rule = Ignore(rule.pattern if single else rule.pattern + "/.*", "why it stays")
            equally = "equally well" if len(paths) > 1 else "no better than others that fit it"
            self.add(f"ambiguous: {names} fits {fits} {equally}; say which, as in\n{show(rule)}")

    def refused(self, groups: Sequence[Group]) -> None:
        """Layers that no Keras layer can hold."""
        for group in groups:
            reason = refusal(group)
            names = {info.name for info in group.leaves.values()}
            if reason and not names & self._told_sources:
                self._told_sources |= names
                settle = show(Ignore(re.escape(group.scope) + "/.*", "why it stays"))
                self.add(f"{group.scope} cannot be carried over: {reason}\n{settle}")

    def stored_for_cudnn(self, layers: Iterable[CuDNNLayer], rows: Sequence[Row]) -> None:
        """Layers of Keras's CuDNN classes that have no place, or one where their kernels would mean something else."""
        for layer in layers:
            problem = layer.problem(rows, self._targets)
            names = {info.name for info in layer.leaves.values()}
            if problem and not names & self._told_sources:
                self._told_sources |= names
                self.add(problem)

    def misfits(self, found: Mapping[str, Sequence[tuple[Group, str]]]) -> None:
        """Recurrent cells that fit no layer of the model, and why not."""
        for scope, tried in found.items():
            names = {info.name for group, _ in tried for info in group.leaves.values()}
            if not names & self._told_sources:
                self._told_sources |= names
                reasons = "".join(f"\n{group.layout.name} to {why}" for group, why in tried[:4])
                settle = show(Ignore(re.escape(scope) + "/.*", "why it stays"))
                self.add(f"{scope} fits no layer of the model:{reasons}\n{settle}")

    def check(self, rows: Sequence[Row], unmapped: Sequence[TensorInfo]) -> None:
        """What is wrong with the rows as a whole, and what has no row at all."""
        groups = group_by_target(rows)
        self._check_sources(rows)
        self._check_targets(groups)
        unmapped = [info for info in unmapped if info.name not in self._told_sources]
        missing = [name for name in self._targets if name not in groups and name not in self._told_targets]
        self._report_unmapped(unmapped, missing)
        self._report_missing(missing, unmapped)

    def _try(self, row: Row) -> list[Piece]:
        try:
            return pieces_of(row.transform, row.source_shape, row.target_shape)
        except ValueError:
            return []

    def _check_sources(self, rows: Sequence[Row]) -> None:
        """Transforms that take a part of a tensor must take all of it together, each part once."""
        parts: dict[str, list[Row]] = {}
        for row in rows:
            if row.action == "load":
                parts.setdefault(row.source, []).append(row)
        for name, group in parts.items():
            pieces = [self._try(row) for row in group]
            boxes = [piece.source for some in pieces for piece in some if piece.source is not None]
            problem = _tiling(boxes, group[0].source_shape)
            if problem and all(pieces):
                used = ", ".join(f"{row.transform} to {row.target}" for row in group)
                self.add(f"{name} is not carried over whole and once ({used}): {problem}")

    def _check_targets(self, groups: Mapping[str, list[Row]]) -> None:
        """Collisions and gaps."""
        for name, group in groups.items():
            pieces = [self._try(row) for row in group]
            problem = _tiling([piece.target for some in pieces for piece in some], group[0].target_shape)
            if not problem or not all(pieces):
                continue
            sources = " and ".join(row.source or "a constant" for row in group)
            if len(group) == 1:
                self.add(f"{name} is only partly assigned, by {sources}: {problem}")
                continue
            settle = "\nor ".join(show(Ignore(re.escape(row.source), "why it stays")) for row in group)
            self.add(f"collision: {name} is assigned by {sources} ({problem})\n{settle}")

    def _report_unmapped(self, unmapped: Sequence[TensorInfo], missing: Sequence[str]) -> None:
        free = {name: self._targets[name].shape for name in missing}
        for place, info in enumerate(unmapped):
            near = nearest(info.name, free, info.shape) if place < _MOST_HINTS else []
            fits = _fitting(info.name, info.shape, near or list(free)[:_MOST_HINTS], free)
            settle = show(Rule(re.escape(info.name), fits[0], _shown(fits[1]))) + "\nor " if fits else ""
            settle += show(Ignore(re.escape(info.name), "why it stays"))
            role = "" if self._roles[info.name].kind == "variable" else f" ({self._roles[info.name]})"
            head = f"{info.name} {list(info.shape)} {info.dtype}{role} has no place in the model"
            self.add(f"{head}{_list_near(near, free)}\n{settle}")

    def _report_missing(self, missing: Sequence[str], unmapped: Sequence[TensorInfo]) -> None:
        free = {info.name: info.shape for info in unmapped}
        for place, name in enumerate(missing):
            target = self._targets[name]
            near = nearest(name, free, target.shape) if place < _MOST_HINTS else []
            fits = _fitting(name, target.shape, near or list(free)[:_MOST_HINTS], free)
            settle = "\n" + show(Rule(re.escape(fits[0]), name, _shown(fits[1]))) if fits else ""
            head = f"{name} {list(target.shape)} {target.dtype} of the model gets no value"
            self.add(f"{head}{_list_near(near, free)}{settle}")


def _fitting(
    like: str, shape: tuple[int, ...], names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[str, ...]:
    """The first of `names` with the elements of `shape`, and the transform between them; or nothing.

    Shapes that are the same come first, then the same kind of variable as `like`.
    """
    size = element_count(shape)
    names = sorted(names, key=lambda name: not same_kind(like, name))
    for transform in ("identity", "transpose", "reshape"):
        for name in names:
            other = shapes[name]
            if transform == "identity":
                fits = other == shape
            elif transform == "transpose":
                fits = len(shape) == 2 and other == shape[::-1]
            else:
                fits = element_count(other) == size and _without_ones(other) == _without_ones(shape)
            if fits:
                return name, transform
    return ()


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [extent for extent in shape if extent != 1]


def _suggest(by_scope: Mapping[str, Sequence[Candidate]]) -> dict[str, str]:
    """A layer for each scope, no layer twice, so that all rules can be pasted together: the names most alike first."""
    pairs = []
    for scope, candidates in by_scope.items():
        common = in_common(scope, [candidate.path for candidate in candidates])
        pairs += [(-count, natural(scope), natural(path), scope, path) for path, count in common.items()]
    suggested: dict[str, str] = {}
    used: set[str] = set()
    for _, _, _, scope, path in sorted(pairs):
        if scope not in suggested and path not in used:
            suggested[scope] = path
            used.add(path)
    return suggested


def _tiling(boxes: Sequence[Box], shape: tuple[int, ...]) -> str | None:
    try:
        check_tiling(boxes, shape)
    except WireError as error:
        return str(error).replace("its slices", "the parts")
    return None


def _in_short(names: Sequence[tuple[str, ...]]) -> str:
    listed = ["/".join(name) for name in names]
    return ", ".join(listed if len(listed) < 5 else [*listed[:2], "...", listed[-1]])


def _list_near(names: Sequence[str], shapes: Mapping[str, tuple[int, ...]] | None = None) -> str:
    listed = [f"{name} {list(shapes[name])}" if shapes else name for name in names]
    return "; nearest: {}".format(", ".join(listed)) if listed else ""


def show(rule: AnyRule) -> str:
    """`rule` as Python source, defaults left out, ready to paste."""
    if isinstance(rule, (Ignore, Keep)):
        return f"{type(rule).__name__}({_raw(rule.pattern)}, {_raw(rule.reason)})"
    text = "{}({}, {}".format(type(rule).__name__, _raw(rule.pattern), _raw(rule.target.replace("\\", "\\\\")))
    for key in ("transform", "dtype", "layout"):
        value = getattr(rule, key, None)
        if value not in (None, ""):
            text += f", {key}={_raw(value)}"
    return text + ")"


def _shown(transform: str) -> str | None:
    """The transform to give to a rule: none where the tensor is copied, which is what a rule does by itself."""
    return None if transform == "identity" else transform


def _raw(text: str) -> str:
    if "\\" in text and '"' not in text and not text.endswith("\\"):
        return f'r"{text}"'
    return f'"{text}"' if '"' not in text and "\\" not in text and text.isprintable() else repr(text)
