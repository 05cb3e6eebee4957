"""The nodes of a graph, or of one of its functions, to be followed in both directions and changed."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, NamedTuple

from ..graphs.nodes import split_reference

# What hands a value on as it is, from one frame of a loop or branch of a condition to another.
SAME = frozenset(
    ("Identity", "RefIdentity", "Enter", "RefEnter", "Exit", "RefExit", "Switch", "RefSwitch", "StopGradient")
    + ("Cast", "ReadVariableOp", "CheckNumerics", "EnsureShape", "PreventGradient", "Snapshot")
)
_DEEPEST = 16


class Use(NamedTuple):
    """`node` takes the output number `output` of another node as its input number `place`."""

    node: Any
    place: int
    output: int


class Body:
    """Nodes by name. `function` is the FunctionDef that they are the body of, if they are not those of a graph.

    `origins` says for arguments of the function where their value comes from: the body of the caller, and a reference.
    """

    def __init__(self, nodes: Iterable[Any], function: Any = None) -> None:
        self.nodes: dict[str, Any] = {node.name: node for node in nodes}
        self.function = function
        self.origins: dict[str, tuple[Body, str]] = {}
        self._uses: dict[str, list[Use]] | None = None

    def producer(self, reference: str) -> Any:
        """The node that an input refers to; None for an argument of a function."""
        return self.nodes.get(name_of(reference))

    def source(self, reference: str) -> Any:
        """The node that a value comes from, behind those that only hand it on; None for an argument of a function."""
        return self.producer(self.behind(reference))

    def behind(self, reference: str) -> str:
        """The reference to a value behind nodes that only hand it on."""
        for _ in range(_DEEPEST):
            node = self.producer(reference)
            inputs = data_inputs(node) if node is not None and node.op in SAME else []
            if not inputs:
                break
            reference = inputs[0]
        return reference

    def uses(self, name: str) -> list[Use]:
        """Who takes an output of the node `name` as data."""
        if self._uses is None:
            self._uses = {}
            for node in self.nodes.values():
                for place, reference in enumerate(data_inputs(node)):
                    source = split_reference(reference)
                    self._uses.setdefault(source.node, []).append(Use(node, place, source.output))
        return self._uses.get(name, [])

    def upstream(self, names: Iterable[str], behind: Iterable[str] = ()) -> set[str]:
        """The nodes `names` and all that they depend on, those `behind` the given ones left out unless needed too."""
        stop = set(behind)
        pending = [name for name in names if name in self.nodes]
        seen = set(pending)
        while pending:
            name = pending.pop()
            if name in stop:
                continue
            for reference in self.nodes[name].input:
                source = name_of(reference)
                if source not in seen and source in self.nodes:
                    seen.add(source)
                    pending.append(source)
        return seen

    def set_inputs(self, node: Any, inputs: Iterable[str]) -> None:
        """Gives `node` other inputs, those that only order it included."""
        inputs = list(inputs)
        del node.input[:]
        node.input.extend(inputs)
        self._uses = None

    def make_identity(self, node: Any, reference: str) -> None:
        """Makes `node` hand on what `reference` is, whatever it computed before. Its attribute T stays."""
        self.set_inputs(node, [reference, *(each for each in node.input if each.startswith("^"))])
        node.op = "Identity"
        for attribute in [name for name in node.attr if name != "T"]:
            del node.attr[attribute]
        if self.function is not None:
            self._rename_output(node.name)

    def _rename_output(self, name: str) -> None:
        """References inside functions name the output of the op, which is called `output` for an Identity."""
        for node in self.nodes.values():
            if any(reference.startswith(name + ":") for reference in node.input):
                inputs = [f"{name}:output:0" if each.startswith(name + ":") else each for each in node.input]
                self.set_inputs(node, inputs)
        for result, reference in list(self.function.ret.items()):
            if reference.startswith(name + ":"):
                self.function.ret[result] = f"{name}:output:0"


class Library:
    """The functions of a graph by name, their bodies made when they are asked for."""

    def __init__(self, definition: Any) -> None:
        self._functions = {function.signature.name: function for function in definition.library.function}
        self._bodies: dict[str, Body] = {}

    def body(self, name: str) -> Body | None:
        """The body of the function `name`; None if there is none."""
        if name not in self._bodies and name in self._functions:
            function = self._functions[name]
            self._bodies[name] = Body(function.node_def, function)
        return self._bodies.get(name)

    def called(self, body: Body, names: Iterable[str]) -> dict[str, Body]:
        """The functions that the nodes `names` of `body` call, and those that these call, by name."""
        found: dict[str, Body] = {}
        pending = [(body, body.nodes[name]) for name in names]
        while pending:
            caller, node = pending.pop()
            for name in functions_of(node):
                function = self.body(name)
                if function is not None:
                    _note_origins(caller, node, function)
                    if name not in found:
                        found[name] = function
                        pending += [(function, inner) for inner in function.nodes.values()]
        return found


def first_argument(op: str) -> int:
    """Which input of a node of that type is the first argument of the functions that it calls."""
    return 1 if op in ("If", "StatelessIf", "Case", "StatelessCase") else 0


def _note_origins(caller: Body, node: Any, function: Body) -> None:
    """Remembers where the arguments of `function` come from that keep their value for all turns of a loop."""
    definition = function.function
    arguments = [argument.name for argument in definition.signature.input_arg]
    results = [definition.ret[result.name] for result in definition.signature.output_arg]
    inputs = data_inputs(node)[first_argument(node.op) :]
    for place, (argument, reference) in enumerate(zip(arguments, inputs)):
        loops = node.op in ("While", "StatelessWhile")
        if not loops or (place < len(results) and function.behind(results[place]) == argument):
            function.origins[argument] = caller, reference


def name_of(reference: str) -> str:
    """The node that an input refers to, whether for its data or to come after it."""
    return split_reference(reference[1:] if reference.startswith("^") else reference).node


def data_inputs(node: Any) -> list[str]:
    """The inputs of a NodeDef that carry data."""
    return [reference for reference in node.input if not reference.startswith("^")]


def functions_of(node: Any) -> Iterator[str]:
    """The names of the functions that a NodeDef calls."""
    yield node.op
    for name in node.attr:
        value = node.attr[name]
        kind = value.WhichOneof("value")
        if kind == "func":
            yield value.func.name
        elif kind == "list":
            yield from (function.name for function in value.list.func)
