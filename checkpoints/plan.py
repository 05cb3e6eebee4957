"""A plan: for every tensor of a checkpoint, where it goes and why. Plain data, to print, save, edit, run, invert."""

from __future__ import annotations

import json
import textwrap
from typing import Any, Iterable, NamedTuple, Sequence, Union

from .errors import CheckpointError
from .foreign_text import printable
from .tables import align, printable_lines

_FORMAT = 1
_ARROWS = {"ignore": "--", "keep": "=="}


class Rule(NamedTuple):
    """Tensors whose whole name matches `pattern` go to `target`.

    `pattern` is a regular expression that must match the full source name; `target` is a template for
    `re.Match.expand` (`\\1`, `\\g<name>`). `transform` names an entry of `checkpoints.transforms.REGISTRY`. Without one
    the tensor is copied as it is, which is refused for a tensor that its layer stores otherwise than Keras, such as the
    bias of a TF 1 LSTM cell; "identity" copies that too. `dtype`, if given, is the element type to cast to, and must be
    the target's. The first rule that matches a tensor takes it; a transform that takes only a part leaves the rest to
    later rules.
    """

    pattern: str
    target: str
    transform: str | None = None
    dtype: str | None = None


class Ignore(NamedTuple):
    """Tensors whose whole name matches `pattern` are left in the file, for the stated reason."""

    pattern: str
    reason: str


class Keep(NamedTuple):
    """Variables of the model whose whole name matches `pattern` keep the value that they have, for the stated reason.

    For a new head, a normalization that was adapted to new data, a constant: what the file is not asked for.
    """

    pattern: str
    reason: str = "keeps its value"


class Layer(NamedTuple):
    """Whole layers: scopes that match `pattern` go to the model's layer `target` (a template, as in `Rule`).

    `layout` names an entry of `checkpoints.layouts.CATALOGUE`, with options behind a colon (`lstm:forget_bias=0.0`);
    without one, the first that fits is taken.
    """

    pattern: str
    target: str
    layout: str = ""


AnyRule = Union[Rule, Ignore, Keep, Layer]


class Row(NamedTuple):
    """What happens to one tensor (or one part of it), and why.

    `action` is "load", "ignore", "fill" for a target that gets a constant and has no source, or "keep" for one that
    keeps its value and has none either; `dtype` is the type to cast to, None if it stays. Shapes and types of both
    sides are kept so that a plan can be checked against what it is run on, and inverted without either.
    """

    source: str
    target: str | None
    action: str
    transform: str = "identity"
    dtype: str | None = None
    reason: str = ""
    source_shape: tuple[int, ...] = ()
    source_dtype: str = ""
    target_shape: tuple[int, ...] = ()
    target_dtype: str = ""


class Plan(NamedTuple):
    """The rows of a plan, in the order of the sources' names.

    `inverted` says that the rows lead from the model's names to the file's; transforms are then undone, not applied.
    `notes` say what was assumed where neither the file nor its graph tells.
    """

    rows: tuple[Row, ...]
    inverted: bool = False
    notes: tuple[str, ...] = ()

    def loads(self) -> tuple[Row, ...]:
        """The rows that carry something over."""
        return tuple(row for row in self.rows if row.action == "load")

    def assigned(self) -> tuple[Row, ...]:
        """The rows that give a target something: what is loaded and what is filled."""
        return tuple(row for row in self.rows if row.action in ("load", "fill"))

    def kept(self) -> frozenset[str]:
        """The targets that keep the value they have."""
        return frozenset(row.target for row in self.rows if row.action == "keep" and row.target is not None)

    def inverse(self) -> Plan:
        """The plan that leads back. What was ignored has no way back and is left out."""
        rows = [_swap(row) for row in self.loads()]
        return Plan(tuple(sorted(rows, key=lambda row: (row.source, row.target or ""))), not self.inverted)

    def table(self, width: int | None = None) -> str:
        """The plan as a table for people, one line a row, and a line that counts.

        Where a line would be longer than `width`, each row takes several, so that names and reasons stay whole. Of the
        constants of a graph, which are no variables, it gives the number.
        """
        lines = [("source", "shape", "type", "", "target", "why")]
        constants = [row for row in self.rows if row.action == "ignore" and row.reason == "constant"]
        for row in self.rows:
            if row.action == "ignore" and row.reason == "constant":
                continue
            cast = row.dtype not in (None, row.source_dtype)
            dtype = row.source_dtype if not cast else f"{row.source_dtype} as {row.dtype}"
            if row.action == "keep":
                dtype = row.target_dtype
            extents = row.target_shape if row.action == "keep" else row.source_shape
            shape = "x".join(str(extent) for extent in extents) or "scalar"
            why = row.reason if row.transform == "identity" else f"{row.reason} [{row.transform}]"
            lines.append((row.source or "(none)", shape, dtype, _ARROWS.get(row.action, "->"), row.target or "", why))
        loaded, kept = len(self.loads()), len(self.kept())
        count = f"{loaded} loaded, {len(self.rows) - loaded - kept} left"
        if kept:
            count += f", {kept} of the model kept"
        if constants:
            count += f", {len(constants)} of them constants of the graph"
        table = align(lines)
        if width is not None and any(len(line) > width for line in table.splitlines()):
            table = "\n".join(_in_lines(line, width) for line in printable_lines(lines)[1:])
        notes = [_in_width(f"note: {printable(note)}", width) for note in self.notes]
        return "\n".join([table, count, *notes])

    def to_json(self) -> str:
        """The plan as JSON, one row a line; `from_json` reads it back equal."""
        rows = ",\n  ".join(json.dumps(row._asdict(), sort_keys=True) for row in self.rows)
        notes = f'"notes": {json.dumps(self.notes)}, ' if self.notes else ""
        head = f'{{"format": {_FORMAT}, "inverted": {json.dumps(self.inverted)}, {notes}"rows": [\n  '
        return head + rows + "\n]}\n"

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote. Raises CheckpointError that says which row is wrong, and how."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"plan: not JSON: {error}") from None
        if not isinstance(data, dict) or data.get("format") != _FORMAT or not isinstance(data.get("rows"), list):
            raise CheckpointError(f'plan: not a plan of format {_FORMAT} ("format" and "rows" are required)')
        rows = tuple(_parse_row(row, place) for place, row in enumerate(data["rows"]))
        notes = data.get("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise CheckpointError("plan: notes is no list of texts")
        return cls(rows, bool(data.get("inverted", False)), tuple(notes))


def _in_width(text: str, width: int | None) -> str:
    """`text` on as many lines as it takes; on one where the width is not limited."""
    return text if width is None else "\n".join(textwrap.wrap(text, max(width, 20), subsequent_indent="  "))


def _in_lines(cells: Sequence[str], width: int) -> str:
    """One row of the table on several lines: what it is, where it goes, and why."""
    source, shape, dtype, arrow, target, why = cells
    lines = textwrap.wrap(f"{source}  {shape} {dtype}", width, subsequent_indent="  ")
    indent = " " * (3 + len(arrow))
    if target:
        lines += textwrap.wrap(f"  {arrow} {target}", width, subsequent_indent=indent)
        lines += textwrap.wrap(why, width, initial_indent=indent, subsequent_indent=indent)
    else:
        lines += textwrap.wrap(f"  {arrow} {why}", width, subsequent_indent=indent)
    return "\n".join(lines)


def _swap(row: Row) -> Row:
    return row._replace(
        source=row.target or "",
        target=row.source,
        dtype=None if row.dtype is None else row.source_dtype,
        source_shape=row.target_shape,
        source_dtype=row.target_dtype,
        target_shape=row.source_shape,
        target_dtype=row.source_dtype,
    )


def _parse_row(data: Any, place: int) -> Row:
    where = f"plan: row {place}"
    if not isinstance(data, dict):
        raise CheckpointError(f"{where}: not an object")
    unknown = sorted(set(data) - set(Row._fields))
    if unknown:
        raise CheckpointError("{}: unknown keys {}".format(where, ", ".join(unknown)))
    values: dict[str, Any] = dict(data)
    for key in ("source_shape", "target_shape"):
        shape = values.get(key, [])
        if not isinstance(shape, list) or not all(isinstance(extent, int) and extent >= 0 for extent in shape):
            raise CheckpointError(f"{where}: {key} is no list of sizes")
        values[key] = tuple(shape)
    _check_texts(values, where)
    row = Row(**values)
    if row.action not in ("load", "fill", "keep", "ignore") or (row.action != "ignore") != (row.target is not None):
        raise CheckpointError(f'{where}: action must be "load", "fill" or "keep" with a target, or "ignore" without')
    return row


def _check_texts(values: dict[str, Any], where: str) -> None:
    for key in ("source", "action"):
        if key not in values:
            raise CheckpointError(f"{where}: {key} is missing")
    values.setdefault("target", None)
    for key, value in values.items():
        optional = key in ("target", "dtype")
        if not key.endswith("_shape") and not (isinstance(value, str) or (optional and value is None)):
            raise CheckpointError(f"{where}: {key} is no text")


def group_by_target(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows that load or fill, by what they do it to, in the order of first appearance."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.action in ("load", "fill") and row.target is not None:
            groups.setdefault(row.target, []).append(row)
    return groups
