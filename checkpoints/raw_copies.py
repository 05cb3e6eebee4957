"""Rules that copy a tensor as it is, though its layer stores it otherwise than Keras does.

The bias of a TF 1 LSTM cell has the shape of that of a Keras LSTM, but its gates in another order: the copy loads, and
computes something else. A rule that says `transform="identity"` means it.
"""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from .inference import Group, group_sources
from .layouts import CATALOGUE
from .plan import AnyRule, Layer, Row
from .suggestions import exact_rule


class RawCopy(NamedTuple):
    """A row that copies what its layer stores otherwise; what to say instead, as a rule if there is only one."""

    row: Row
    instead: str
    rule: AnyRule | None = None


def find_raw_copies(
    copied: Sequence[Row], rows: Sequence[Row], sources: Mapping[str, Any], targets: Mapping[str, Any]
) -> Iterator[RawCopy]:
    """Those of `copied` that a layout converts, by the tensor's scope or by what other `rows` make of its layer.

    `sources` are the tensors of the file by the names to go by. A model that has the layer in the same layout, such as
    a file of TF 1 that stands for one, is right to have it as it is.
    """
    if not copied:
        return
    here, there = (_converted(group_sources(side)) for side in (sources, targets))
    labels = {info.name: label for label, info in sources.items()}
    for row in copied:
        # Of two tensors with the same name to go by, as `w` and an object's value at `w`, one has none.
        group, other = here.get(labels.get(row.source, "")), there.get(row.target or "")
        if group is not None and (other is None or other.layout.name != group.layout.name):
            path = (row.target or "").rpartition("/")[0]
            instead = f'the layout "{group.layout.name}": replace that rule by one for the layer'
            yield RawCopy(row, instead, Layer(re.escape(group.scope), path))
        elif group is None:
            yield from _beside_others(row, rows)


def _converted(groups: Sequence[Group]) -> dict[str, Group]:
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


def _beside_others(row: Row, rows: Sequence[Row]) -> Iterator[RawCopy]:
    """A copy into a layer whose other variables are converted as those of a layout that converts this one as well."""
    path, _, leaf = (row.target or "").rpartition("/")
    beside = {
        (other.transform.partition(":")[0], (other.target or "").rpartition("/")[2])
        for other in rows
        if other.transform != "identity" and (other.target or "").rpartition("/")[0] == path
    }
    found: dict[str, list[str]] = {}
    for layout in CATALOGUE if beside else ():
        converts = {(part.transform.partition(":")[0], part.target) for part in layout.parts}
        for part in layout.parts:
            if beside & converts and part.target == leaf and part.transform != "identity":
                found.setdefault(part.transform, []).append(layout.name)
    if found:
        names = " or ".join(dict.fromkeys(f'"{names[0]}"' for names in found.values()))
        instead = f"the layout {names}: give that rule the transform {' or '.join(found)}"
        rules = [exact_rule(row.source, row.target or "", transform) for transform in found]
        yield RawCopy(row, instead, rules[0] if len(rules) == 1 else None)
