"""Making a plan: the names of a checkpoint against the variables of a model, by rules and by structure."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Callable, Container, Mapping, NamedTuple, Pattern, Sequence

from . import dtypes
from .checkpoint import Checkpoint, TensorInfo
from .configuration.compare import Outcome, compare
from .conflicts import Conflict, Item, Join, Open, find_conflicts, join_layers, most_similar, trim
from .embedding_slices import STRATEGIES, order_rows
from .errors import CheckpointError, MappingError
from .file_order import layer_order
from .frozen import variable_name
from .inference import (
    SINGLE,
    Group,
    Place,
    Unit,
    find_units,
    fit,
    group_sources,
    group_targets,
    misfits,
    named_layout,
    refusal,
    single_units,
)
from .interchange import Evidence, Side
from .layer_order import LayerOrder
from .layouts import CATALOGUE
from .layouts.keras_cudnn import cudnn_layers
from .matching import Choice, Rivals, match
from .names import Parts, numbered_parts
from .objects import VALUE, object_names
from .plan import AnyRule, Ignore, Keep, Layer, Plan, Row, Rule, group_by_target
from .problems import Problems
from .raw_copies import find_raw_copies
from .roles import Role
from .suggestions import alternatives
from .transforms import whole
from .weight_files import fitting


class Target(NamedTuple):
    """A variable of the model, as far as planning goes."""

    shape: tuple[int, ...]
    dtype: str


def _held_dtype(variable: Any) -> Any:
    """The type of a variable's value: on JAX not the type that it says it has, where that one has 64 bits."""
    value = getattr(variable, "value", None)
    on_jax = type(value).__module__.partition(".")[0] in ("jax", "jaxlib")
    return value.dtype if on_jax and value is not None else variable.dtype


def describe_targets(targets: Mapping[str, Any]) -> dict[str, Target]:
    """Shape and type of every variable; CheckpointError for a type TensorFlow does not have or a shape not known."""
    described = {}
    for name, variable in targets.items():
        dtype = dtypes.name_of(_held_dtype(variable))
        if dtype is None:
            raise CheckpointError(f"model variable {name}: unknown type {variable.dtype}")
        described[name] = Target(_shape_of(name, variable), dtype)
    return described


def _shape_of(name: str, variable: Any) -> tuple[int, ...]:
    try:
        return tuple(int(extent) for extent in variable.shape)
    except (TypeError, ValueError):
        raise CheckpointError(f"model variable {name}: its shape {variable.shape} is not known") from None


def make_plan(
    checkpoint: Checkpoint,
    targets: Mapping[str, Any],
    rules: Sequence[AnyRule] = (),
    infer: bool = True,
    averages: str | None = None,
    compare_config: bool = True,
    partition_strategy: str | None = None,
) -> Plan:
    """The plan that carries `checkpoint` into `targets`, a mapping from name to anything with a shape and a dtype.

    Rules come first, in their order; variables that a `Keep` matches are left out before. What no rule mentions goes
    where its name and shape are those of a variable,
    and unless `infer` is False also where structure leaves one place for its layer. Files of Keras 3, which name a
    variable by the place of its layer (`layers/dense_1/vars/0`), are mapped as Keras does if `targets` come from
    `model_variables` of one model and account for the whole file. Slots of variables in the file, counters and
    bookkeeping are left in it. Where a file holds moving averages, `averages` says what to take: the "raw" variables or
    their "shadow". An embedding that is stored in slices is put in the order of its ids: as its graph looks them up, or
    by `partition_strategy`, "div" or "mod", as `tf.nn.embedding_lookup` was given it.

    What the file or the graph beside it says of its layers (activations, epsilon, padding, ...) is compared with the
    layers that `targets` are of, if they come from `model_variables`; with `compare_config` False a difference is a
    note of the plan. What neither says is a note as well.

    Raises MappingError with every problem there is: sources without a place, targets without a value or with two,
    alternatives that fit equally well, layers no Keras layer can hold, shapes, types and configurations that differ.
    """
    if averages not in (None, "raw", "shadow"):
        raise ValueError(f'averages must be "raw" or "shadow", not {averages!r}')
    if partition_strategy not in (None, *STRATEGIES):
        raise ValueError(f'partition_strategy must be "div" or "mod", not {partition_strategy!r}')
    planner = _Planner(checkpoint, describe_targets(targets), rules, averages, getattr(targets, "order", LayerOrder()))
    compared = partial(compare, checkpoint, targets, strict=compare_config)
    ordered = partial(order_rows, checkpoint, partition_strategy)
    return planner.plan(infer, getattr(targets, "places", ()), compared, ordered)


class _Planner:
    def __init__(
        self,
        checkpoint: Checkpoint,
        targets: dict[str, Target],
        rules: Sequence[AnyRule],
        averages: str | None,
        order: LayerOrder,
    ) -> None:
        self._path = checkpoint.path
        self._evidence = Evidence(lambda: layer_order(checkpoint), order)
        self._tensors = checkpoint.tensors
        self._rules = [(rule, _compile(rule)) for rule in rules if not isinstance(rule, Keep)]
        self._kept, unused = _keep(rules, targets)
        self._targets = {name: target for name, target in targets.items() if name not in self._kept}
        self._names = object_names(checkpoint)
        labels = {self._label(info): info.name for info in self._tensors.values()}
        parts = numbered_parts(label for label in labels if label not in targets)
        self._names.update((labels[label], part) for label, part in parts.items())
        self._roles = self._wanted_roles(checkpoint.roles())
        self._averages = averages
        self._cudnn = cudnn_layers({self._label(info): info for info in self._tensors.values()})
        self._problems = Problems(checkpoint.path, self._targets, self._roles)
        self._problems.keeps_nothing(unused, targets)
        self._rows: list[Row] = []
        # All there is, and what has no place yet, by name; shadows that are taken stand under that of their variable.
        self._sources = dict(checkpoint.tensors)
        self._open: dict[str, TensorInfo] = {}
        self._keys: dict[str, str] = {}
        self._claimed: dict[Layer, set[str]] = {}
        self._layer_groups: dict[Layer, list[Group]] = {}
        self._unknown: set[Layer] = set()
        self._copied: list[Row] = []
        self._transformed: set[str] = set()
        # What names and structure say, as opposed to rules: tensors with the names of both sides, and layers.
        self._found: list[tuple[Parts, Parts, Row]] = []
        self._joins: list[Join] = []
        self._scopes: dict[frozenset[str], str] | None = None

    def plan(
        self,
        infer: bool,
        places: tuple[dict[str, str], ...],
        compared: Callable[..., Outcome],
        ordered: Callable[..., tuple[list[Row], list[str]]],
    ) -> Plan:
        """Rules, then names and roles, then structure; at last the result is checked as a whole."""
        if self._averages == "shadow":
            self._swap_averages()
        self._claim()
        for key, info in self._sources.items():
            found = self._by_rules(key, info)
            self._rows += found
            if not found:
                self._open[key] = info
        self._check_rules()
        self._by_layer_rules()
        raw = find_raw_copies(self._copied, self._rows, self._labels(self._tensors), self._targets)
        self._problems.raw_copies(raw)
        self._by_role()
        self._by_averages()
        self._by_place(places)
        self._by_name(whole_layers=infer)
        self._by_structure() if infer else self._check_names()
        self._problems.stored_for_cudnn(self._cudnn.values(), self._rows)
        notes = self._compare(compared)
        self._problems.check(self._rows, list(self._open.values()), self._evidence)
        self._order_slices(ordered)
        self._rows += self._kept.values()
        if self._problems.found:
            context = f"{self._path} does not map onto the model"
            raise MappingError(self._problems.found, context, self._problems.suggestions)
        return Plan(tuple(sorted(self._rows, key=lambda row: (row.source, row.target or ""))), notes=notes)

    def _compare(self, compared: Callable[..., Outcome]) -> tuple[str, ...]:
        """Compares configurations along the rows; what should be known of that."""
        labels = {name: self._label(info) for name, info in self._tensors.items()}
        variables = {name: self._roles[name].of for name in labels if self._is_shadow(name)}
        outcome = compared(self._rows, labels, variables)
        self._rows = outcome.rows
        for problem in outcome.problems:
            self._problems.add(problem)
        return tuple(outcome.notes)

    def _order_slices(self, ordered: Callable[..., tuple[list[Row], list[str]]]) -> None:
        """Puts the rows of embeddings that are stored in slices in the order of their ids."""
        sliced = [info for info in self._tensors.values() if info.slices > 1 and info.name not in self._transformed]
        self._rows, problems = ordered(self._rows, {info.name: self._label(info) for info in sliced})
        for problem in problems:
            self._problems.add(problem)

    def _wanted_roles(self, roles: Mapping[str, Role]) -> dict[str, Role]:
        """Roles by name alone may be wrong: what the model asks for by name and shape is a variable."""
        wanted = dict(roles)
        for name, info in self._tensors.items():
            if wanted[name].kind in ("slot", "shadow", "counter"):
                target = self._targets.get(self._label(info))
                if target is not None and target == (info.shape, info.dtype):
                    wanted[name] = Role("variable")
        return wanted

    def _free(self) -> dict[str, Target]:
        taken = group_by_target(self._rows)
        return {name: target for name, target in self._targets.items() if name not in taken}

    def _label(self, info: TensorInfo) -> str:
        """The name to go by: an object's own name rather than the path to it, a variable's rather than its reader's."""
        name = variable_name(self._names.get(info.name, info.name))
        return name[: -len(VALUE)] if name.endswith(VALUE) else name

    def _take(self, rows: Sequence[Row], why: str) -> None:
        for row in rows:
            self._problems.check_dtype(row)
            self._rows.append(row._replace(reason=why))
            self._open.pop(self._keys.get(row.source, row.source), None)

    def _swap_averages(self) -> None:
        """Puts shadows in the places of their variables, but those that a rule takes or leaves by their own names."""
        for name, role in self._roles.items():
            if self._is_shadow(name) and not any(self._is_about(rule, name, role.of) for rule in self._rules):
                self._sources[role.of] = self._sources.pop(name)
                self._keys[name] = role.of

    def _is_about(self, rule: tuple[AnyRule, Pattern[str]], shadow: str, variable: str) -> bool:
        """Whether a rule means the shadow itself: it does not say the same of the variable."""
        said, pattern = rule
        match, other = pattern.fullmatch(shadow), pattern.fullmatch(variable)
        if match is None or not isinstance(said, (Rule, Ignore)):
            return False
        if isinstance(said, Ignore):
            return other is None
        name = match.expand(said.target)
        return name in self._targets and (other is None or other.expand(said.target) != name)

    def _by_rules(self, key: str, info: TensorInfo) -> list[Row]:
        rows: list[Row] = []
        for rule, pattern in self._rules:
            if isinstance(rule, Layer) and info.name in self._claimed[rule]:
                return rows
            match = pattern.fullmatch(key)
            if match is None or not isinstance(rule, (Rule, Ignore)):
                continue
            if isinstance(rule, Ignore):
                return rows or [_ignored(info, rule.reason)]
            if alternatives(rule):
                self._problems.left_open(rule, [info.name])
                return [_ignored(info, "its rule leaves open where it goes")]
            name = match.expand(rule.target)
            if name not in self._targets and key == info.name and self._roles[key].kind in ("slot", "shadow"):
                # `gen/(.*)` is meant for the variables; their slots and averages are matched by it as well.
                continue
            row, partial = self._apply(info, rule, name)
            rows.append(row)
            if not partial:
                return rows
        return rows

    def _claim(self) -> None:
        """Finds the tensors that rules for layers are about, so that later rules leave them alone."""
        labels = self._labels(self._sources)
        for rule, pattern in self._rules:
            if not isinstance(rule, Layer):
                continue
            try:
                layouts = [named_layout(rule.layout)] if rule.layout else CATALOGUE
            except ValueError as error:
                self._problems.add(f"rule {rule.pattern!r}: {error}")
                self._unknown.add(rule)
                layouts = []
            self._layer_groups[rule] = [g for g in group_sources(labels, layouts) if pattern.fullmatch(g.scope)]
            self._claimed[rule] = {info.name for g in self._layer_groups[rule] for info in g.leaves.values()}

    def _check_rules(self) -> None:
        """A rule that says where something goes, and matches nothing, is mostly a name that is spelled wrong."""
        for rule, pattern in self._rules:
            if isinstance(rule, Layer):
                if not self._layer_groups[rule] and rule not in self._unknown:
                    scopes = {group.scope: () for group in group_sources(self._labels(self._sources))}
                    self._problems.unused(rule, f"layer of layout {rule.layout}" if rule.layout else "layer", scopes)
            elif isinstance(rule, Rule) and not any(map(pattern.fullmatch, [*self._tensors, *self._sources])):
                self._problems.unused(rule, "tensor", {key: info.shape for key, info in self._sources.items()})

    def _apply(self, info: TensorInfo, rule: Rule, name: str) -> tuple[Row, bool]:
        """The row of one rule, whether or not it fits, and whether it leaves a part of the source to later rules."""
        target = self._targets.get(name)
        kept = self._kept.get(name)
        transform, why = rule.transform or "identity", f"rule {rule.pattern}"
        row = Row(info.name, name, "load", transform, rule.dtype, why, info.shape, info.dtype)
        if target is None:
            self._problems.no_target(row, kept)
            return row._replace(action="missing"), False
        row = row._replace(target_shape=target.shape, target_dtype=target.dtype)
        self._problems.check_dtype(row)
        pieces = self._problems.pieces(row)
        if rule.transform is not None:
            self._transformed.add(info.name)
        elif pieces:
            self._copied.append(row)
        return row, bool(pieces) and [piece.sources() for piece in pieces] != [[whole(info.shape)]]

    def _by_layer_rules(self) -> None:
        """Rules for whole layers, over the tensors that they claimed."""
        for rule, pattern in self._rules:
            if not isinstance(rule, Layer):
                continue
            if alternatives(rule):
                self._leave_open(rule)
                continue
            layers = group_targets(self._free())
            tried: dict[str, list[str]] = {}
            for group in self._layer_groups[rule]:
                match = pattern.fullmatch(group.scope)
                if match is None or not self._is_open(group):
                    continue
                path = match.expand(rule.target)
                rows, why = fit(group, path, layers[path]) if path in layers else ((), f"no layer {path}")
                tried.setdefault(group.scope, []).append(f"{group.layout.name}: {refusal(group) or why}")
                if rows and not refusal(group):
                    self._take(rows, f"rule {rule.pattern}, layout {group.layout.name}")
                    tried[group.scope] = []
            for scope, reasons in tried.items():
                if reasons:
                    self._problems.add("rule {!r} does not fit {}: {}".format(rule.pattern, scope, "; ".join(reasons)))

    def _leave_open(self, rule: Layer) -> None:
        """Nothing goes by a suggested rule in which nobody has chosen yet."""
        names = sorted(name for name in self._claimed[rule] if self._keys.get(name, name) in self._open)
        paths = alternatives(rule)
        told = [name for name in self._targets if name.rpartition("/")[0] in paths]
        self._problems.left_open(rule, names, told)
        for name in names:
            info = self._open.pop(self._keys.get(name, name))
            self._rows.append(_ignored(info, "its rule leaves open where it goes"))

    def _by_role(self) -> None:
        for info in list(self._open.values()):
            role = self._roles[info.name]
            if role.kind not in ("variable", "shadow"):
                self._rows.append(_ignored(info, str(role)))
                del self._open[info.name]

    def _by_averages(self) -> None:
        """Where there are shadows of variables, the user's word decides which of the two is taken."""
        instead = "its moving average {} is taken instead"
        left = {row.source: row.reason for row in self._rows if row.action == "ignore"}
        for name, variable in self._keys.items():
            self._rows.append(_ignored(self._tensors[variable], left.get(name) or instead.format(name)))
        if self._averages == "shadow":
            for name in sorted(
                {row.source for row in self._rows if row.action == "load" and self._is_shadow(row.source)}
            ):
                raw = self._open.pop(self._roles[name].of, None)
                self._rows += [_ignored(raw, instead.format(name))] if raw else []
        shadows = [name for name, info in self._open.items() if name == info.name and self._is_shadow(name)]
        if shadows and self._averages is None:
            self._problems.no_choice(shadows)
        for name in shadows:
            self._rows.append(_ignored(self._open.pop(name), f"{self._roles[name]}; the variable itself is taken"))

    def _is_shadow(self, name: str) -> bool:
        return self._roles[name].kind == "shadow"

    def _by_place(self, places: tuple[dict[str, str], ...]) -> None:
        """Keras's own files name variables by the place of their layer in the model (see `weight_files`)."""
        free = self._free()
        for source, name in fitting(places, self._open, free).items():
            info, target = self._open[source], free[name]
            row = Row(source, name, "load", "identity", None, "", info.shape, info.dtype, target.shape, target.dtype)
            self._take([row], "its place in the model, by which Keras names it")

    def _by_name(self, whole_layers: bool = False, busy: Container[str] = ()) -> None:
        """What has the name and shape of a variable; of `whole_layers`, not where another of its layer misfits."""
        free, labels = self._free(), self._labels(self._open)
        unlike = {
            label.rpartition("/")[0]
            for label, info in labels.items()
            if whole_layers and label in free and free[label].shape != info.shape
        }
        for label, info in labels.items():
            target = None if info.name in busy else free.get(label)
            layer = self._cudnn.get(label.rpartition("/")[0])
            if layer is not None and not layer.suits(layer.scope, self._targets):
                continue
            if target is not None and target.shape == info.shape and label.rpartition("/")[0] not in unlike:
                row = Row(info.name, label, "load", "identity", None, "", info.shape, info.dtype)
                row = row._replace(target_shape=target.shape, target_dtype=target.dtype)
                self._take([row], "the same name")
                self._found.append((*trim(tuple(label.split("/"))), row))

    def _by_structure(self) -> None:
        labels = self._labels(self._open)
        groups = group_sources(labels)
        units, places = find_units(groups, group_targets(self._free()))
        chosen, left = match(units, places, self._evidence)
        self._choose(chosen)
        self._by_name(busy=set().union(*(unit.sources for rivals in left for unit in rivals.units)))
        units, places = self._single_units(labels, left)
        chosen, more = match(units, places, self._evidence)
        self._choose(chosen)
        self._settle_conflicts(_open_layers([*left, *more]), reorder=True)
        self._problems.ambiguous([*left, *more], self._evidence)
        still = [group for group in groups if self._is_open(group)]
        self._problems.refused(still)
        self._problems.misfits(misfits(still, group_targets(self._free())))

    def _check_names(self) -> None:
        """What is left over may show that the same names do not mean the same layers."""
        open_ = Open({}, {})
        sides = [
            [(label, info.name, info.shape, info.dtype) for label, info in self._labels(self._open).items()],
            [(name, name, target.shape, target.dtype) for name, target in self._free().items()],
        ]
        for number, side in enumerate(sides):
            rows = []
            for label, name, shape, dtype in side:
                row = Row(name, label, "load", "identity", None, "", shape, dtype, shape, dtype)
                rows.append((*trim(tuple(label.split("/"))), row))
            for item, target in join_layers(rows):
                if number:
                    open_.targets.setdefault(item.kind(), []).append(target)
                else:
                    open_.items.setdefault(item.kind(), []).append(item)
        self._settle_conflicts(open_, reorder=False)

    def _settle_conflicts(self, open_: Open, reorder: bool) -> None:
        """Going by names must not put layers that could change places out of their order (see `conflicts`)."""
        for conflict in find_conflicts([*self._joins, *join_layers(self._found)], open_, self._evidence):
            if reorder and conflict.resolution.sure:
                self._reorder(conflict)
            else:
                items = tuple(map(self._with_scope, conflict.items))
                self._problems.conflict(conflict._replace(items=items))

    def _with_scope(self, item: Item) -> Item:
        """`item` as one that a rule for a layer can name, where its tensors are all that is known as such."""
        if self._scopes is None:
            groups = group_sources(self._labels(self._sources))
            self._scopes = {frozenset(info.name for info in group.leaves.values()): group.scope for group in groups}
        known = self._scopes.get(frozenset(item.side.variables))
        return item._replace(scope=known) if item.scope is None else item

    def _reorder(self, conflict: Conflict) -> None:
        """Takes layers where their order wants them, instead of where their names did."""
        targets = {name for join in conflict.joined for name in join.target.variables}
        self._rows = [row for row in self._rows if row.target not in targets]
        for one, other in conflict.resolution.pairs:
            item, target = conflict.items[one], conflict.targets[other]
            self._take(item.rows_to("/".join(target.name)), conflict.resolution.why + item.note)
        self._problems.settled(conflict)

    def _labels(self, sources: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
        return {key if key != info.name else self._label(info): info for key, info in sources.items()}

    def _is_open(self, group: Group) -> bool:
        return all(self._keys.get(info.name, info.name) in self._open for info in group.leaves.values())

    def _choose(self, chosen: Sequence[Choice]) -> None:
        for unit, path, kind, why in chosen:
            parts = tuple(path.split("/"))
            fit = unit.fits[kind]
            item = fit.item(most_similar((fit.name, tuple(fit.scope.split("/"))), parts))
            rows = item.rows_to(path)
            self._take(rows, why + item.note)
            if fit.layout is SINGLE:
                self._found += [(*trim(fit.name, parts), row) for row in rows]
            else:
                self._joins.append(Join(item, Side(parts, tuple(row.target or "" for row in rows))))

    def _single_units(
        self, labels: Mapping[str, TensorInfo], left: Sequence[Rivals]
    ) -> tuple[list[Unit], dict[str, Place]]:
        """Single variables for what belongs to no layer that the catalogue knows: the same shape and type."""
        busy = set().union(*(unit.sources for rivals in left for unit in rivals.units))
        busy.update(info.name for layer in self._cudnn.values() for info in layer.leaves.values())
        taken = {name for rivals in left for path, place in rivals.places.items() for name in place.variables(path)}
        open_names = {info.name for info in self._open.values()}
        sources = {label: info for label, info in labels.items() if info.name in open_names and info.name not in busy}
        return single_units(sources, {name: target for name, target in self._free().items() if name not in taken})


def _open_layers(left: Sequence[Rivals]) -> Open:
    """What is left over on either side, by what it must have to change places."""
    open_ = Open({}, {})
    for rivals in left:
        kinds = {place.kind for place in rivals.places.values()}
        alike: dict[Any, set[Any]] = {}
        for unit in rivals.units:
            for kind in kinds & set(unit.fits):
                item = unit.fits[kind].item()
                open_.items.setdefault(item.kind(), []).append(item)
                alike.setdefault(kind, set()).add(item.kind())
        for path, place in rivals.places.items():
            for kind in alike.get(place.kind, ()):
                side = Side(tuple(path.split("/")), place.variables(path))
                open_.targets.setdefault(kind, []).append(side)
    return open_


def _keep(rules: Sequence[AnyRule], targets: Mapping[str, Target]) -> tuple[dict[str, Row], list[Keep]]:
    """A row for each variable that keeps its value, by its name, and the rules that match none."""
    kept: dict[str, Row] = {}
    unused = []
    for rule in rules:
        if isinstance(rule, Keep):
            pattern = _compile(rule)
            names = [name for name in targets if pattern.fullmatch(name)]
            if not names:
                unused.append(rule)
            for name in names:
                shape, dtype = targets[name]
                kept.setdefault(name, Row("", name, "keep", reason=rule.reason, target_shape=shape, target_dtype=dtype))
    return kept, unused


def _compile(rule: AnyRule) -> Pattern[str]:
    try:
        # A name may hold line breaks, and what an error suggests matches it.
        pattern = re.compile(rule.pattern, re.DOTALL)
        if isinstance(rule, (Rule, Layer)):
            # Finds a reference to a group that the pattern lacks before any tensor is looked at.
            re.sub(pattern, rule.target, "")
            # A backslash that is meant as one is doubled.
            for reference in filter(None, re.findall(r"\\\\|\\(\d+)", rule.target)):
                if int(reference) > pattern.groups:
                    raise re.error(f"the target refers to group {reference}, the pattern has {pattern.groups}")
    except (re.error, IndexError) as error:
        raise CheckpointError(f"rule {rule.pattern!r}: {error}") from None
    return pattern


def _ignored(info: TensorInfo, reason: str) -> Row:
    return Row(info.name, None, "ignore", "identity", None, reason, info.shape, info.dtype)
