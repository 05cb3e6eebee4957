"""What a placeholder is for, told by its use: data, a switch between branches, a size, the lengths of sequences."""

from __future__ import annotations

from typing import Any, Container, Iterable, Iterator, NamedTuple

from .body import SAME, Body, Library, data_inputs, first_argument, functions_of

SWITCH, SIZE, LENGTHS = "switch", "size", "lengths"
PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_BOOL, _FLOATS = 10, (1, 2, 14, 19)

# What leads from a value to a decision, without becoming data.
_LOGIC = SAME | {"LogicalNot", "LogicalAnd", "LogicalOr", "Equal", "NotEqual", "Greater", "GreaterEqual", "Less"}
_LOGIC |= {"LessEqual", "Squeeze", "Reshape", "Merge", "All", "Any", "Sub", "Mul", "Add", "AddV2"}
_DECIDES = frozenset((("Switch", 1), ("RefSwitch", 1), ("If", 0), ("StatelessIf", 0), ("Select", 0), ("SelectV2", 0)))
# What leads from a number to a shape.
_COUNTING = SAME | {"Pack", "ExpandDims", "Reshape", "Squeeze", "ConcatV2", "Concat", "Mul", "Add", "AddV2", "Sub"}
_COUNTING |= {"StridedSlice", "FloorDiv", "Minimum", "Maximum"}
_SIZES = frozenset(
    (("Reshape", 1), ("Fill", 0), ("Tile", 1), ("BroadcastTo", 1), ("Range", 0), ("Range", 1), ("TensorArrayV3", 0))
    + (("RandomUniform", 0), ("TruncatedNormal", 0), ("RandomStandardNormal", 0), ("Slice", 1), ("Slice", 2))
    + (("StridedSlice", 1), ("StridedSlice", 2), ("Conv2DBackpropInput", 0), ("Conv3DBackpropInputV2", 0))
    + (("Equal", 0), ("Equal", 1))
)
# What leads from the lengths of sequences to comparisons with the steps of a loop, or with places.
_MEASURING = SAME | {"Max", "Min", "Maximum", "Minimum", "ExpandDims", "Reshape", "Sub", "Add", "AddV2", "Merge"}
_COMPARES = ("GreaterEqual", "Greater", "Less", "LessEqual")


class End(NamedTuple):
    """Where a value is used up: the node, as which of its inputs, and the graph or function that both are in."""

    node: Any
    place: int
    body: Body


def purpose(body: Body, library: Library, node: Any, names: set[str]) -> str:
    """What the placeholder `node` is for in the part `names` of a graph: "switch", "size", "lengths"; "" for data."""

    def ends(passing: Any) -> list[End]:
        found = _ends(body, library, node.name, names, passing)
        return [end for end in found if end.node.op not in ("Assert", "Shape", "NoOp")]

    dtype, rank = node.attr["dtype"].type, _rank(node)
    if rank in (0, None):
        decided = [(end.node.op, end.place) in _DECIDES for end in ends(_LOGIC)]
        if all(decided) and (decided or dtype == _BOOL):
            return SWITCH
        # What decides is often a factor of something else, too.
        if dtype == _BOOL and rank == 0 and any(decided):
            return SWITCH
        if rank == 0 and dtype not in (_BOOL, *_FLOATS) and _only(ends(_COUNTING), _SIZES):
            return SIZE
    if rank == 1 and dtype not in (_BOOL, *_FLOATS) and any(map(_is_length, ends(_MEASURING))):
        return LENGTHS
    return ""


def _rank(node: Any) -> int | None:
    """The number of dimensions, None if it is not known. A placeholder of before 1.0 says so by having none."""
    shape = node.attr["shape"].shape if "shape" in node.attr else None
    return None if shape is None or shape.unknown_rank else len(shape.dim)


def _only(ends: Iterable[End], allowed: Container[tuple[str, int]]) -> bool:
    """Whether there is an end, and all of them are among those allowed."""
    found = [(end.node.op, end.place) in allowed for end in ends]
    return bool(found) and all(found)


def _is_length(end: End) -> bool:
    """Whether a value is compared with the step of a loop or with places, or says how much of a sequence to reverse."""
    if end.node.op not in _COMPARES:
        return (end.node.op, end.place) == ("ReverseSequence", 1)
    other = end.body.source(data_inputs(end.node)[1 - end.place])
    while other is not None and other.op in ("ExpandDims", "Reshape", "Tile"):
        other = end.body.source(other.input[0])
    return other is None or other.op in ("Merge", "Range")


def _ends(body: Body, library: Library, name: str, names: set[str], passing: Any) -> Iterator[End]:
    """Where the outputs of the node `name` are used up, behind operations of the types `passing` and into functions."""
    pending: list[tuple[Body, str]] = [(body, name)]
    seen: set[tuple[int, str]] = set()
    while pending:
        inside, current = pending.pop()
        uses = [use for use in inside.uses(current) if inside is not body or use.node.name in names]
        last = inside.nodes.get(current)
        if not uses and last is not None and current != name and last.attr["T"].type != _BOOL:
            # An output. A truth value that nothing takes only says when something else is computed.
            yield End(last, -1, inside)
        for use in uses:
            following: list[tuple[Body, str]] = []
            if (use.node.op, use.place) not in _DECIDES:
                following = list(_arguments(library, use.node, use.place))
                if not following and use.node.op in passing:
                    following = [(inside, use.node.name)]
            if not following:
                yield End(use.node, use.place, inside)
            for each in following:
                if (id(each[0]), each[1]) not in seen:
                    seen.add((id(each[0]), each[1]))
                    pending.append(each)


def _arguments(library: Library, node: Any, place: int) -> Iterator[tuple[Body, str]]:
    """What the input `place` of a node is called in the functions that it calls."""
    first = first_argument(node.op)
    for name in functions_of(node):
        body = library.body(name)
        arguments = body.function.signature.input_arg if body is not None else ()
        if body is not None and 0 <= place - first < len(arguments):
            yield body, arguments[place - first].name
