"""What keeps a plan from being made: all of it, with the nearest candidates and rules that settle it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Iterable, Mapping, Sequence

from .conflicts import Conflict
from .foreign_text import named
from .inference import Group, refusal
from .interchange import Evidence
from .leftovers import find_fits
from .matching import Rivals, resolve
from .nearest import in_common, natural, nearest
from .plan import AnyRule, Ignore, Keep, Layer, Row, Rule, group_by_target
from .raw_copies import RawCopy
from .slices import check_tiling
from .suggestions import alternatives, choice_rule, exact_rule, ignore_all, rules_to, show
from .transforms import Box, Piece, pieces_of
from .wire import WireError

if TYPE_CHECKING:
    from .checkpoint import TensorInfo
    from .layouts.keras_cudnn import CuDNNLayer
    from .planner import Target
    from .roles import Role


# Every problem is told, but where there are hundreds, only the first come with hints, which take time to find.
_MOST_HINTS = 200


class Problems:
    """Collects problems."""

    def __init__(self, path: str, targets: Mapping[str, Target], roles: Mapping[str, Role]) -> None:
        self.found: list[str] = []
        self.suggestions: list[AnyRule] = []
        self._suggested: set[tuple[type, AnyRule]] = set()  # rules of two kinds are equal where their words are
        self._path = path
        self._targets = targets
        self._roles = roles
        self._told_sources: set[str] = set()
        self._told_targets: set[str] = set()

    def add(self, problem: str, *rules: AnyRule) -> None:
        """One problem, and the rules that settle it; an `Ignore` behind others is what may be meant instead."""
        lines = [problem]
        for rule in rules:
            instead = isinstance(rule, Ignore) and len(lines) > 1
            lines.append(f"or {show(rule)}" if instead else show(rule))
            if not instead and (type(rule), rule) not in self._suggested:
                self._suggested.add((type(rule), rule))
                self.suggestions.append(rule)
        self.found.append("\n".join(lines))

    def no_target(self, row: Row, kept: Row | None) -> None:
        """A rule leads to a variable that the model does not have, or that keeps its value by another rule."""
        if kept is not None:
            self.add(f"{_way(row)} by {row.reason}, which is to keep its value: {kept.reason}")
            return
        shapes = {key: value.shape for key, value in self._targets.items()}
        near = _list_near(nearest(row.target or "", shapes, row.source_shape), shapes)
        self.add(f"{_way(row)} by {row.reason}, which the model does not have{near}")

    def keeps_nothing(self, rules: Iterable[Keep], targets: Mapping[str, Target]) -> None:
        """Rules by which variables keep their value, and the model has none of that name."""
        shapes = {name: target.shape for name, target in targets.items()}
        for rule in rules:
            near = _list_near(nearest(rule.pattern, shapes, (-1,)), shapes)
            self.add(f"rule {rule.pattern!r} matches no variable of the model{near}; fix or remove it")

    def raw_copies(self, copies: Iterable[RawCopy]) -> None:
        """Rules that copy tensors which their layer stores otherwise than a Keras layer."""
        for row, instead, rule in copies:
            self.add(
                f"{_way(row)} as it is by {row.reason}, but it belongs to a layer in "
                f'{instead}, or say transform="identity" in it to copy the tensor all the same',
                *([rule] if rule else []),
            )

    def unused(self, rule: Rule | Layer, kind: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """A rule that is about nothing in the file: none of the tensors in `shapes`, or of the layers, without any."""
        near = _list_near(nearest(rule.pattern, shapes, (-1,)), shapes if any(shapes.values()) else None)
        self.add(f"rule {rule.pattern!r} matches no {kind} of the file{near}; mend it or take it out")

    def check_dtype(self, row: Row) -> None:
        """A type that differs, and no cast asked for."""
        if row.action == "fill" or (row.dtype or row.source_dtype) == row.target_dtype:
            return
        settle = exact_rule(row.source, row.target or "", row.transform, row.target_dtype)
        told = f"{row.dtype} by its rule" if row.dtype else f"{row.source_dtype} in the file"
        narrow = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}
        jax = "jax" in sys.modules and narrow.get(row.dtype or row.source_dtype) == row.target_dtype
        why = "; JAX has types of 64 bits only with JAX_ENABLE_X64=1" if jax else ""
        target = named(row.target or "")
        self.add(f"{named(row.source)} is {told}, but {row.target_dtype} in the model ({target}){why}", settle)

    def pieces(self, row: Row) -> list[Piece]:
        """The pieces of a row; none, and a problem, if the shapes do not fit."""
        try:
            return pieces_of(row.transform, row.source_shape, row.target_shape)
        except ValueError as error:
            source, target = named(row.source), named(row.target or "")
            sides = f"{source} {list(row.source_shape)} does not fit {target} {list(row.target_shape)}"
            self.add(f"{sides} by {row.transform}: {error}")
            return []

    def no_choice(self, shadows: Sequence[str]) -> None:
        """Moving averages are there, and nobody said whether to take them."""
        self.add(
            f"{len(shadows)} moving averages are in the file ({named(shadows[0])}, ...): "
            'choose averages="raw" for the variables themselves or averages="shadow" for their averages'
        )

    def left_open(self, rule: Rule | Layer, sources: Iterable[str], targets: Iterable[str] = ()) -> None:
        """A suggested rule for `sources` in which nobody has chosen yet."""
        self._told_sources.update(sources)
        self._told_targets.update(targets or alternatives(rule))
        self.add(
            f"rule {rule.pattern!r} leaves open where it leads: of {named(rule.target)} write the one that is meant"
        )

    def conflict(self, conflict: Conflict) -> None:
        """Layers whose names put them out of the order that numbers or data give."""
        items, targets = conflict.items, conflict.targets
        self._told_sources.update(source for item in items for source in item.side.variables)
        self._told_targets.update(name for target in targets for name in target.variables)
        to = dict(conflict.resolution.pairs)
        names = ["/".join(item.side.name) for item in items]
        paths = ["/".join(target.name) for target in targets]
        astray = next((place for place in range(len(conflict.joined)) if to.get(place, place) != place), 0)
        if astray in to:
            against = f"to {named(paths[to[astray]])} {conflict.resolution.why}; say which, as in (all of them)"
        else:
            against = "but its name is not enough, or the order of the layers says otherwise; choose one for each"
        rules = []
        for place in sorted(range(len(items)), key=lambda place: natural(names[place])):
            places = [paths[to[place]]] if place in to else sorted(paths, key=natural)
            rules += rules_to(items[place], *places)
        here, there = (_in_short(sorted(listed, key=natural)) for listed in (names, paths))
        self.add(
            f"ambiguous: {here} of the file could change places in {there} of the model: {named(names[astray])} goes "
            f"to {named(paths[astray])} by its name, {against}",
            *rules,
        )

    def settled(self, conflict: Conflict) -> None:
        """Layers that names put out of their order, and that are where they belong after all."""
        self._told_sources.update(source for item in conflict.items for source in item.side.variables)
        self._told_targets.update(name for target in conflict.targets for name in target.variables)

    def ambiguous(self, left: Sequence[Rivals], evidence: Evidence) -> None:
        """Alternatives that fit equally well, one problem for each layer of the file."""
        for rivals in left:
            units = [unit for unit in rivals.units if not unit.sources & self._told_sources]
            places = {
                path: place
                for path, place in rivals.places.items()
                if not self._told_targets.intersection(place.variables(path))
            }
            if units and places:
                self._alternatives(Rivals(tuple(units), places), evidence)

    def _alternatives(self, rivals: Rivals, evidence: Evidence) -> None:
        paths = list(rivals.places)
        resolution = resolve(rivals, evidence)
        to = {one: paths[other] for one, other in resolution.pairs}
        spare = ["nowhere"] if len(rivals.units) > len(paths) else []
        for number, unit in sorted(enumerate(rivals.units), key=lambda pair: natural(pair[1].scope())):
            fitting = [path for path in paths if rivals.fit(number, path)]
            if not fitting:
                # Nothing but what runs in the other direction.
                continue
            self._told_sources.update(unit.sources)
            common = in_common(unit.scope(), fitting)
            fitting.sort(key=lambda path: (-common[path], natural(path)))
            free = [path for path in fitting if path not in to.values()]
            item = unit.fits[rivals.places[fitting[0]].kind].item()
            names, fits = " and ".join(map(named, sorted(unit.sources))), _in_short(fitting, 7)
            equally = "equally well" if len(fitting) > 1 else "no better than others that fit it"
            head = f"ambiguous: {names} fits {fits} {equally}"
            if number in to:
                why = f"{resolution.why} it goes to {named(to[number])}: say which, as in"
                self.add(f"{head}; {why}", *rules_to(item, to[number]))
            elif free:
                self.add(f"{head}, and nothing tells which: choose one in", *rules_to(item, *free, *spare))
            else:
                self.add(f"{head}; leave it in the file if it is not needed, as in", ignore_all(unit.sources))
        self._told_targets.update(name for path, place in rivals.places.items() for name in place.variables(path))

    def refused(self, groups: Sequence[Group]) -> None:
        """Layers that no Keras layer can hold."""
        for group in groups:
            reason = refusal(group)
            names = {info.name for info in group.leaves.values()}
            if reason and not names & self._told_sources:
                self._told_sources |= names
                self.add(f"{named(group.scope)} cannot be carried over: {reason}", ignore_all(names))

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
                self.add(f"{named(scope)} fits no layer of the model:{reasons}", ignore_all(names))

    def check(self, rows: Sequence[Row], unmapped: Sequence[TensorInfo], evidence: Evidence) -> None:
        """What is wrong with the rows as a whole, and what has no row at all."""
        groups = group_by_target(rows)
        self._check_sources(rows)
        self._check_targets(groups)
        unmapped = [info for info in unmapped if info.name not in self._told_sources]
        left = [name for name in self._targets if name not in groups]
        missing = [name for name in left if name not in self._told_targets]
        self._report_left(unmapped, missing, [name for name in left if name in self._told_targets], evidence)

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
            boxes = [box for some in pieces for piece in some for box in piece.sources()]
            problem = _tiling(boxes, group[0].source_shape)
            if problem and all(pieces):
                used = ", ".join(f"{row.transform} to {named(row.target or '')}" for row in group)
                self.add(f"{named(name)} is not carried over whole and once ({used}): {problem}")

    def _check_targets(self, groups: Mapping[str, list[Row]]) -> None:
        """Collisions and gaps."""
        for name, group in groups.items():
            pieces = [self._try(row) for row in group]
            problem = _tiling([piece.target for some in pieces for piece in some], group[0].target_shape)
            if not problem or not all(pieces):
                continue
            sources = " and ".join(named(row.source) or "a constant" for row in group)
            if len(group) == 1:
                self.add(f"{named(name)} is only partly assigned, by {sources}: {problem}")
                continue
            leave = " or ".join(show(ignore_all([row.source])) for row in group if row.source)
            self.add(
                f"collision: {named(name)} is assigned by {sources} ({problem}): let one of them go elsewhere, or "
                f"leave it in the file: {leave}"
            )

    def _report_left(
        self, unmapped: Sequence[TensorInfo], missing: Sequence[str], offered: Sequence[str], evidence: Evidence
    ) -> None:
        """Tensors that go nowhere, and variables that get nothing; some may be those `offered` to other tensors."""
        free = {name: self._targets[name].shape for name in missing}
        sources = {info.name: info.shape for info in unmapped}
        fits = find_fits(sources, free, evidence)
        by_shape: dict[tuple[int, ...], list[str]] = {}
        for name in sorted(offered, key=natural):
            by_shape.setdefault(self._targets[name].shape, []).append(name)
        for place, info in enumerate(unmapped):
            near = nearest(info.name, free, info.shape) if place < _MOST_HINTS else []
            role = "" if self._roles[info.name].kind == "variable" else f" ({named(str(self._roles[info.name]))})"
            head = f"{named(info.name)} {list(info.shape)} {info.dtype}{role} has no place in the model"
            rules = [fits[info.name]] if info.name in fits else []
            shared = [] if rules or role else by_shape.get(info.shape, [])
            if shared:
                self.add(
                    f"{head} of its own, but the shape of some that are offered to others: choose one in",
                    choice_rule(info.name, [*shared, "nowhere"]),
                )
            else:
                self.add(head + _list_near(near, free), *rules, ignore_all([info.name]))
        wanted = {target: rule for rule in fits.values() for target in [rule.target, *alternatives(rule)]}
        for place, name in enumerate(missing):
            target = self._targets[name]
            near = nearest(name, sources, target.shape) if place < _MOST_HINTS else []
            head = f"{named(name)} {list(target.shape)} {target.dtype} of the model gets no value"
            head += _list_near(near, sources)
            if name in wanted:
                self.add(head, wanted[name])
            else:
                self.add(f"{head}; if it is to keep the one it has, {show(Keep(re.escape(name), 'why it stays'))}")


def _way(row: Row) -> str:
    return f"{named(row.source)} goes to {named(row.target or '')}"


def _tiling(boxes: Sequence[Box], shape: tuple[int, ...]) -> str | None:
    try:
        check_tiling(boxes, shape)
    except WireError as error:
        return str(error).replace("its slices", "the parts")
    return None


def _in_short(names: Sequence[str], most: int = 4) -> str:
    listed = [named(name) for name in names[:most]]
    return ", ".join(listed if len(names) <= most else [*listed[:-2], "...", named(names[-1])])


def _list_near(names: Sequence[str], shapes: Mapping[str, tuple[int, ...]] | None = None) -> str:
    listed = [f"{named(name)} {list(shapes[name])}" if shapes else named(name) for name in names]
    return "; nearest: {}".format(", ".join(listed)) if listed else ""
