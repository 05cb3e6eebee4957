"""A TensorFlow graph: its nodes by name, who consumes what, its functions, and the outputs that it is saved with.

Reads a GraphDef (a frozen `.pb`), a MetaGraphDef (`.meta`) or a SavedModel. Takes a second for 100,000 nodes.

Source: `tensorflow/core/framework/graph.proto`, `function.proto`, `tensorflow/core/protobuf/meta_graph.proto`,
`saved_model.proto`.
"""

from __future__ import annotations

import mmap
from typing import Iterator, NamedTuple

from ..budget import Budget
from ..errors import CheckpointError
from ..spans import open_regular
from ..wire import Value, WireError, field, fields, message, read_varint, skip_field, text
from .nodes import Node, split_reference

_COUNTED_AT_ONCE = 1024


class Graph:
    """Nodes by name, in the order of the file, and the functions of the `library` by name.

    `outputs` are tensors that a signature names. A function is a graph as well: its `arguments` stand among its nodes,
    as ops called `_Arg`, and `returns` are the tensors that its results are, of the nodes `returned`.
    """

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes
        self.library: dict[str, Graph] = {}
        self.outputs: set[str] = set()
        self.arguments: tuple[str, ...] = ()
        self.returns: tuple[str, ...] = ()
        self.returned: set[str] = set()
        self._consumers: dict[str, list[Use]] | None = None

    def producer(self, reference: str) -> Node | None:
        """The node that an input refers to; None if there is none of that name."""
        return self.nodes.get(reference if ":" not in reference else reference.partition(":")[0])

    def consumers(self, name: str) -> list[Use]:
        """Every use of the outputs of the node `name`, in the order of the file."""
        if self._consumers is None:
            self._consumers = {}
            for node in self.nodes.values():
                for place, reference in enumerate(node.inputs):
                    source = split_reference(reference)
                    self._consumers.setdefault(source.node, []).append(Use(node, place, source.output))
        return self._consumers.get(name, [])


class Use(NamedTuple):
    """`node` takes the output number `output` of another node as its input number `place`."""

    node: Node
    place: int
    output: int


class MetaGraph(NamedTuple):
    """A GraphDef where it stands in the file, and the MetaGraphDef around it, if there is one."""

    graph: memoryview
    meta: memoryview | None = None


def read_graph(path: str, budget: Budget | None = None) -> Graph:
    """The graph in the file at `path`, of a SavedModel the one that is tagged to be served.

    Raises CheckpointError if the file is none of the three, or holds more nodes than the `budget` allows.
    """
    budget = Budget() if budget is None else budget
    data = map_file(path, budget)
    try:
        graphs = list(meta_graphs(data))
        served = [each for each in graphs if "serve" in _tags(each.meta)] or graphs
        if served:
            graph = parse_graph(served[0].graph, budget, path)
            graph.outputs = _signed_outputs(served[0].meta)
            return graph
    except WireError as error:
        raise CheckpointError(f"{path}: no TensorFlow graph, or a damaged one: {error}") from None
    raise CheckpointError(f"{path}: no TensorFlow graph: there are no nodes in it")


def map_file(path: str, budget: Budget) -> memoryview:
    """The bytes of the file at `path`, which are read as they are looked at; CheckpointError if they cannot be."""
    with open_regular(path, budget=budget) as stream:
        try:
            return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except (ValueError, OSError) as error:
            raise CheckpointError(f"{path}: {error}") from None


def parse_graph(data: memoryview, budget: Budget, place: str = "graph") -> Graph:
    """The graph in the GraphDef `data`; WireError if it is none. Of nodes that share a name, the first is kept."""
    graph = Graph(_by_name(data, 1, budget, place))
    for key, library in fields(data):
        if key == 2:
            for part, function in fields(message(library)):
                if part == 1:
                    name, body = _function(message(function), budget, place)
                    body.library = graph.library
                    graph.library[name] = body
    return graph


def meta_graphs(data: memoryview) -> Iterator[MetaGraph]:
    """The graphs in `data`, which is a GraphDef, a MetaGraphDef or a SavedModel; WireError if it is no message."""
    # GraphDef: nodes in field 1. MetaGraphDef: the graph in field 2, a message in field 1 too, but one without an op.
    # SavedModel: a number in field 1, the meta graphs in field 2.
    first: Value | None = None
    second = []
    for key, value in fields(data):
        if key == 1 and first is None:
            first = value
            if isinstance(value, memoryview) and _is_node(value):
                yield MetaGraph(data)
                return
        elif key == 2:
            second.append(value)
    for value in second:
        if not isinstance(first, int):
            yield MetaGraph(message(value), data)
            continue
        for key, graph in fields(message(value)):
            if key == 2:
                yield MetaGraph(message(graph), message(value))


def _is_node(data: memoryview) -> bool:
    """Whether this is a NodeDef: a name and an op, both text. MetaInfoDef has a message or nothing in field 2."""
    names = 0
    try:
        for key, value in fields(data):
            if key in (1, 2):
                word = text(value)
                names += bool(word) and word.isprintable()
    except WireError:
        return False
    return names == 2


def nodes_of(data: memoryview, number: int = 1) -> Iterator[Node]:
    """The nodes in the fields `number` of the GraphDef (or FunctionDef, where it is 3) `data`, in order."""
    position, end = 0, len(data)
    tag = number << 3 | 2
    while position < end:
        if data[position] == tag:
            size, position = read_varint(data, position + 1, end)
            if size > end - position:
                raise WireError(f"a node runs {size - (end - position)} bytes past the end")
            yield Node(data, position, position + size)
            position += size
        else:
            position = skip_field(data, position, end)


def _by_name(data: memoryview, number: int, budget: Budget, place: str) -> dict[str, Node]:
    found: dict[str, Node] = {}
    count = characters = 0
    for node in nodes_of(data, number):
        found.setdefault(node.name, node)
        count += 1
        characters += len(node.name) + sum(map(len, node.inputs))
        if count == _COUNTED_AT_ONCE:
            budget.list_tensors(count, characters, place)
            count = characters = 0
    budget.list_tensors(count, characters, place)
    return found


def _function(data: memoryview, budget: Budget, place: str) -> tuple[str, Graph]:
    """Name and body of a FunctionDef."""
    name = ""
    arguments: list[str] = []
    results: list[str] = []
    returned: dict[str, str] = {}
    for key, value in fields(data):
        if key == 1:
            for part, piece in fields(message(value)):
                if part == 1:
                    name = text(piece)
                elif part in (2, 3):
                    (arguments if part == 2 else results).append(_first_text(message(piece), 1))
        elif key == 4:
            entry = message(value)
            returned[_first_text(entry, 1)] = _first_text(entry, 2)
    nodes = {argument: argument_node(argument) for argument in arguments}
    for inner, node in _by_name(data, 3, budget, place).items():
        nodes.setdefault(inner, node)
    body = Graph(nodes)
    body.arguments = tuple(arguments)
    body.returns = tuple(returned.get(result, "") for result in results)
    body.returned = {split_reference(reference).node for reference in body.returns}
    return name, body


def argument_node(name: str) -> Node:
    """A node that stands for the argument `name` of a function."""
    raw = name.encode("utf-8")
    data = memoryview(field(1, raw) + field(2, b"_Arg"))
    return Node(data, 0, len(data))


def _first_text(data: memoryview, number: int) -> str:
    return next((text(value) for key, value in fields(data) if key == number), "")


def _tags(meta: memoryview | None) -> set[str]:
    """The tags of a MetaGraphDef."""
    found = set()
    for key, value in fields(meta) if meta is not None else ():
        if key == 1:
            found |= {text(tag) for part, tag in fields(message(value)) if part == 4}
    return found


def _signed_outputs(meta: memoryview | None) -> set[str]:
    """The tensors that the signatures of a MetaGraphDef return, as inputs are spelled."""
    found = set()
    for signature in _entries(meta, 5) if meta is not None else ():
        for information in _entries(signature, 2):
            name = _first_text(information, 1)
            found.add(name[: -len(":0")] if name.endswith(":0") else name)
    return found - {""}


def _entries(data: memoryview, number: int) -> Iterator[memoryview]:
    """The values of a map in the field `number`."""
    for key, entry in fields(data):
        if key == number:
            for part, value in fields(message(entry)):
                if part == 2:
                    yield message(value)
