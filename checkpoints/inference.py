"""Finding the places of layers that no rule mentions, from structure: kinds and shapes first, then names and order.

A source scope and a model layer are *candidates* for each other if some layout of the catalogue carries all of one into
all of the other. Candidates are settled where evidence singles one out for both sides: the ends of their names, scopes
already settled, being the only fit, and numbering. What then still has alternatives is ambiguous; it is never guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Sequence, Tuple

from .layouts import BY_NAME, CATALOGUE, Layout
from .layouts.base import user_scope
from .plan import Row
from .slices import check_tiling
from .transforms import pieces_of
from .wire import WireError

if TYPE_CHECKING:
    from .checkpoint import TensorInfo
    from .planner import Target

_MANY = 32
Leaves = Mapping[str, Any]


class Group(NamedTuple):
    """The tensors of one layer, by what stands below its scope; `layout` is what they were grouped for."""

    layout: Layout
    scope: str
    leaves: Leaves


class Candidate(NamedTuple):
    """A way to carry one scope into one layer of the model."""

    layout: Layout
    scope: str
    user: tuple[str, ...]
    path: str
    rows: tuple[Row, ...]

    def sources(self) -> set[str]:
        """The tensors it takes."""
        return {row.source for row in self.rows if row.source}


def group_sources(labels: Mapping[str, Any], layouts: Sequence[Layout] = CATALOGUE) -> list[Group]:
    """The groups that each layout finds among tensors, given by the names to go by."""
    groups = []
    for layout in layouts:
        pattern = re.compile(rf"(?:(?P<scope>.*?)/)?(?P<leaf>{layout.leaf_pattern()})")
        ends = re.compile(rf"(?:.*/)?(?:{layout.scope})") if layout.scope and not layout.anywhere else None
        found: dict[str, dict[str, Any]] = {}
        for label, info in labels.items():
            match = pattern.fullmatch(label)
            if match is None:
                continue
            scope = match.group("scope") or ""
            if ends is None or ends.fullmatch(scope):
                found.setdefault(scope, {})[match.group("leaf")] = info
        groups += [Group(layout, scope, leaves) for scope, leaves in found.items()]
    return groups


def converted(groups: Sequence[Group]) -> dict[str, Group]:
    """The tensors that are stored otherwise than in Keras, by name, with the layer they belong to.

    Only where the scope says what kind of layer it is, and no layout accounts for more of what is in that scope:
    Keras's own `lstm_cell` has a `recurrent_kernel`.
    """
    most: dict[str, int] = {}
    for group in groups:
        most[group.scope] = max(most.get(group.scope, 0), len(group.leaves))
    found: dict[str, Group] = {}
    for group in groups:
        if group.layout.scope and len(group.leaves) == most[group.scope]:
            for leaf in group.leaves:
                parts = [part for part in group.layout.parts if part.source and re.fullmatch(part.source, leaf)]
                if parts and all(part.transform != "identity" for part in parts):
                    found.setdefault(f"{group.scope}/{leaf}" if group.scope else leaf, group)
    return found


def group_targets(targets: Mapping[str, Target]) -> dict[str, dict[str, Target]]:
    """The variables of the model by layer: path, then the last component of the name."""
    layers: dict[str, dict[str, Target]] = {}
    for name, target in targets.items():
        path, _, leaf = name.rpartition("/")
        layers.setdefault(path, {})[leaf] = target
    return layers


def refusal(group: Group) -> str | None:
    """Why this layer cannot be carried over at all, if it cannot."""
    for leaf in group.leaves:
        for pattern, reason in group.layout.refused.items():
            if re.fullmatch(pattern, leaf):
                return f"{group.scope}/{leaf}: {reason}"
    return None


def fit(group: Group, path: str, leaves: Mapping[str, Target]) -> tuple[tuple[Row, ...], str]:
    """The rows that carry all of `group` into all of the layer at `path`; or no rows, and why not."""
    if not _named(group, path):
        return (), f"neither {group.scope} nor {path} is named like this layout"
    return _fit(group, path, leaves)


def _named(group: Group, path: str) -> bool:
    """Whether scope or path say what shapes alone do not."""
    named = group.layout.named
    return not named or any(re.search(named, name) for name in (group.scope, path))


def _fit(group: Group, path: str, leaves: Mapping[str, Target]) -> tuple[tuple[Row, ...], str]:
    rows = []
    missing = [leaf for leaf in group.layout.needs if leaf not in group.leaves]
    if missing:
        return (), f"there is no {missing[0]}"
    taken: dict[str, list[Row]] = {leaf: [] for leaf in leaves}
    for part in group.layout.parts:
        target = leaves.get(part.target)
        if target is None:
            continue
        for leaf, info in [("", None)] if not part.source else list(group.leaves.items()):
            if part.source and not re.fullmatch(part.source, leaf):
                continue
            name = f"{path}/{part.target}" if path else part.target
            row = Row(
                "",
                name,
                "load" if part.source else "fill",
                part.transform,
                target_shape=target.shape,
                target_dtype=target.dtype,
            )
            if info is not None:
                row = row._replace(source=info.name, source_shape=info.shape, source_dtype=info.dtype)
            try:
                pieces_of(part.transform, row.source_shape, target.shape)
            except ValueError as error:
                return (), f"{leaf} {list(row.source_shape)} to {part.target} {list(target.shape)}: {error}"
            rows.append(row)
            taken[part.target].append(row)
    problem = _covers(group, taken, leaves)
    return ((), problem) if problem else (tuple(rows), "")


def _covers(group: Group, taken: Mapping[str, list[Row]], leaves: Mapping[str, Target]) -> str:
    """What is left over on either side; nothing if nothing is."""
    for leaf, rows in taken.items():
        if not rows:
            return f"{leaf} of the layer would get no value"
        boxes = [piece.target for row in rows for piece in pieces_of(row.transform, row.source_shape, row.target_shape)]
        try:
            check_tiling(boxes, leaves[leaf].shape)
        except WireError:
            return f"{leaf} of the layer would not be assigned whole and once"
    every = [row for rows in taken.values() for row in rows]
    for leaf, info in group.leaves.items():
        mine = [row for row in every if row.source == info.name]
        pieces = [piece for row in mine for piece in pieces_of(row.transform, row.source_shape, row.target_shape)]
        try:
            check_tiling([piece.source for piece in pieces if piece.source is not None], info.shape)
        except WireError:
            return f"{leaf} has no place in the layer"
    return ""


def find_candidates(groups: Sequence[Group], layers: Mapping[str, Mapping[str, Target]]) -> list[Candidate]:
    """All candidates, at most one for each scope and layer: that of the first layout that fits."""
    alike: dict[frozenset[tuple[str, Target]], list[str]] = {}
    for path, leaves in layers.items():
        alike.setdefault(frozenset(leaves.items()), []).append(path)
    known: dict[object, tuple[Row, ...]] = {}
    found: dict[tuple[frozenset[str], str], Candidate] = {}
    for group in groups:
        if refusal(group):
            continue
        user = tuple(part for part in user_scope(group.scope, group.layout.scope).split("/") if part)
        members = frozenset(info.name for info in group.leaves.values())
        shapes = frozenset((leaf, info.shape, info.dtype) for leaf, info in group.leaves.items())
        for kind, paths in alike.items():
            # Whether a layer fits depends on shapes alone, so it is tried once for all that are alike.
            key = (group.layout.name, shapes, kind)
            if key not in known:
                known[key] = _fit(_anonymous(group), "", dict(kind))[0]
            if not known[key]:
                continue
            for path in _plausible(user, paths):
                if (members, path) not in found and _named(group, path):
                    rows = tuple(_renamed(row, group, path) for row in known[key])
                    found[members, path] = Candidate(group.layout, group.scope, user, path, rows)
    return _most_complete(list(found.values()))


def _anonymous(group: Group) -> Group:
    """The group with its leaves for names, so that what fits it can be told to other groups of the same shapes."""
    return group._replace(leaves={leaf: info._replace(name=leaf) for leaf, info in group.leaves.items()})


def _renamed(row: Row, group: Group, path: str) -> Row:
    source = group.leaves[row.source].name if row.source else ""
    return row._replace(source=source, target=f"{path}/{row.target}" if path else row.target)


def _most_complete(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Without those that leave out tensors which another candidate for the same layer takes."""
    taking: dict[tuple[str, str], list[set[str]]] = {}
    for candidate in candidates:
        sources = candidate.sources()
        for source in sources:
            taking.setdefault((candidate.path, source), []).append(sources)
    # Whatever takes more than a candidate does also takes its first source.
    return [
        candidate
        for candidate in candidates
        if not any(candidate.sources() < others for others in taking[candidate.path, next(iter(candidate.sources()))])
    ]


def _plausible(user: tuple[str, ...], paths: Sequence[str]) -> Sequence[str]:
    """`paths`; where there are many, those whose ends agree most with the scope's, which would be chosen anyway."""
    count = 1
    while len(paths) > _MANY and count <= len(user):
        end = "/".join(user[-count:])
        nearer = [path for path in paths if path == end or path.endswith("/" + end)]
        if not nearer:
            break
        paths, count = nearer, count + 1
    return paths


def misfits(groups: Sequence[Group], layers: Mapping[str, Mapping[str, Target]]) -> dict[str, list[Tuple[Group, str]]]:
    """Cells that are known by their scope and fit no layer made of such variables: by scope, why not."""
    found: dict[str, list[Tuple[Group, str]]] = {}
    for group in groups:
        leaves = {part.target for part in group.layout.parts}
        for path, layer in layers.items() if group.layout.scope else ():
            if len(layer) > 1 and set(layer) <= leaves:
                found.setdefault(group.scope, []).append((group, f"{path}: {fit(group, path, layer)[1]}"))
    return found


def named_layout(text: str) -> Layout:
    """The layout of that name, with the options behind a colon; ValueError if there is none.

    Who names a layout means it, so scopes and layers may be called what they like.
    """
    name, _, options = text.partition(":")
    if name not in BY_NAME:
        raise ValueError("unknown layout {!r}; there are {}".format(name, ", ".join(sorted(BY_NAME))))
    return BY_NAME[name].with_options(options)._replace(named="")


SINGLE = Layout("single", ())
_SYNONYMS = ({"kernel", "weights", "weight", "w", "matrix"}, {"bias", "biases", "b"})


def single_candidates(sources: Mapping[str, TensorInfo], targets: Mapping[str, Target]) -> list[Candidate]:
    """Variables against variables, one by one: candidates where shape and type are the same."""
    by_shape: dict[tuple[tuple[int, ...], str], list[str]] = {}
    for name, target in targets.items():
        by_shape.setdefault((target.shape, target.dtype), []).append(name)
    found = []
    for label, info in sources.items():
        for name in by_shape.get((info.shape, info.dtype), []):
            row = Row(info.name, name, "load", "identity", None, "", info.shape, info.dtype, info.shape, info.dtype)
            found.append(Candidate(SINGLE, label, _spelled(label, name), name, (row,)))
    return found


def _spelled(label: str, name: str) -> tuple[str, ...]:
    """The components of `label`, the last one spelled as in `name` if it means the same.

    What TF 1 made with one `get_variable` stands for a layer of one variable: `words` for `words/embeddings`.
    """
    parts = label.split("/")
    layer, _, leaf = name.rpartition("/")
    if layer.rpartition("/")[2] == parts[-1] != leaf:
        return (*parts, leaf)
    if same_kind(parts[-1], leaf):
        parts[-1] = leaf
    return tuple(parts)


def same_kind(name: str, other: str) -> bool:
    """Whether the last components of two names are words for the same kind of variable."""
    ends = {name.rpartition("/")[2].lower(), other.rpartition("/")[2].lower()}
    return any(ends <= words for words in _SYNONYMS)
