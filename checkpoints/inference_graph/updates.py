"""What a graph computes only to assign it to variables, or to assert it: moving averages, metrics, initial values."""

from __future__ import annotations

import re
from typing import Callable, Container, Iterable

from .body import Body, data_inputs, name_of

_ASSIGNS = re.compile(r"Assign(Add|Sub)?(VariableOp)?|(Resource)?Scatter\w+")
_BOOL = 10
_MERGES = ("Merge", "RefMerge")


def updates(body: Body, variables: Callable[[str], Iterable[str]], results: Container[str]) -> set[str]:
    """The names of the nodes that lead to nothing but assignments and assertions, and of these.

    `variables` names those that a node uses. A node that uses others than what is assigned is a layer whose result
    somebody keeps, and no update; nor is one of the types `results`.
    """
    assigned: dict[str, set[str]] = {}
    for node in body.nodes.values():
        if _ASSIGNS.fullmatch(node.op) and data_inputs(node):
            target = body.source(data_inputs(node)[0])
            assigned[node.name] = {target.name} if target is not None else set()
        elif node.op == "Assert" or (node.attr["T"].type == _BOOL and not body.uses(node.name)):
            # A truth value that nothing takes only orders, as those do around an assertion.
            assigned[node.name] = set()
    # In a branch that only training takes, what was assigned is merged with the variable that the other one leaves.
    for node in body.nodes.values():
        if node.op in _MERGES and not body.uses(node.name):
            targets = [assigned.get(name_of(body.behind(reference))) for reference in data_inputs(node)]
            if any(targets):
                assigned[node.name] = set().union(*(target for target in targets if target))
    pending = list(assigned)
    while pending:
        for reference in data_inputs(body.nodes[pending.pop()]):
            name = name_of(reference)
            if name not in assigned and name in body.nodes and body.nodes[name].op not in results:
                targets = [assigned.get(use.node.name) for use in body.uses(name)]
                together: set[str] = set().union(*(target for target in targets if target is not None))
                if None not in targets and together.issuperset(variables(name)):
                    assigned[name] = together
                    pending.append(name)
    return set(assigned)
