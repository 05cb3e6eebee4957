"""Which of the tensors that have no place yet may be meant for which of the variables that get no value."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

from .checkpoint import element_count
from .inference import spelled
from .interchange import Evidence, Side
from .plan import Rule
from .suggestions import choice_rule, exact_rule

Shape = Tuple[int, ...]


def find_fits(sources: Mapping[str, Shape], targets: Mapping[str, Shape], evidence: Evidence) -> Dict[str, Rule]:
    """A rule for each of `sources` that has the elements of one of `targets`, if need be in another shape.

    No two rules lead to the same variable. Where nothing tells which is meant, the rule leaves it open.
    """
    by_dims: Dict[Shape, Tuple[list[str], list[str]]] = {}
    for number, names in enumerate((sources, targets)):
        for name, shape in names.items():
            dims = tuple(sorted(extent for extent in shape if extent != 1))
            by_dims.setdefault(dims, ([], []))[number].append(name)
    found: Dict[str, Rule] = {}
    for some, others in by_dims.values():
        if not some or not others:
            continue
        sides = [[Side(spelled(tuple(name.split("/"))), (name,)) for name in names] for names in (some, others)]
        pairs = {some[one]: others[other] for one, other in evidence.resolve(*sides).pairs}
        shapes = sorted({targets[name] for name in others})
        for source in some:
            transforms = {shape: _transform(sources[source], shape) for shape in shapes}
            target = pairs.get(source)
            if target is not None and transforms[targets[target]]:
                found[source] = exact_rule(source, target, transforms[targets[target]])
                continue
            best = min((kind for kind in transforms.values() if kind), key=_ORDER.index, default="")
            free = [name for name in others if transforms[targets[name]] == best and name not in pairs.values()]
            if best and free:
                found[source] = choice_rule(source, free, best)
    return found


_ORDER = ("identity", "transpose", "reshape")


def _transform(source: Shape, target: Shape) -> str:
    """How a tensor of one shape becomes one of the other; nothing if it does not."""
    if source == target:
        return "identity"
    if len(source) == 2 and target == source[::-1]:
        return "transpose"
    same = [extent for extent in source if extent != 1] == [extent for extent in target if extent != 1]
    return "reshape" if same and element_count(source) == element_count(target) else ""
