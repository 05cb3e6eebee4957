"""Rules that an error suggests, and how they are shown."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Collection, Sequence

from .conflicts import Item
from .foreign_text import literal
from .plan import AnyRule, Ignore, Layer, Rule

CHOICE = " | "
"""What stands between the places of which a rule leaves open which is meant. No rule with it is ever applied."""
_MOST_PLACES = 12


def exact_rule(source: str, target: str, transform: str | None = None, dtype: str | None = None) -> Rule:
    """The rule that takes one tensor to one variable."""
    return Rule(re.escape(source), _template(target), None if transform == "identity" else transform, dtype)


def ignore_all(sources: Collection[str]) -> Ignore:
    """The rule that leaves these tensors in the file: one tensor, or all in the scope of a layer."""
    if len(sources) == 1:
        return Ignore(re.escape(next(iter(sources))), "why it stays")
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*(name.split("/")[:-1] for name in sources)))
    scope = "/".join(parts[0] for parts in shared)
    return Ignore(re.escape(scope) + "/.*" if scope else "|".join(map(re.escape, sorted(sources))), "why it stays")


def choice_rule(source: str, targets: Sequence[str], transform: str | None = None) -> Rule:
    """A rule for one tensor in which one of several variables is to be chosen; the rule itself if there is only one."""
    return exact_rule(source, "", transform)._replace(target=_choice(targets))


def rules_to(item: Item, *paths: str) -> list[AnyRule]:
    """The rules that take `item` to the layer at the path; of several paths, rules in which one is to be chosen."""
    if item.scope is not None:
        return [Layer(re.escape(item.scope), _choice(paths))]
    rules: list[AnyRule] = []
    for row, *others in zip(*(item.rows_to(path) for path in paths)):
        rules.append(choice_rule(row.source, [other.target or "" for other in (row, *others)], row.transform))
    return sorted(rules, key=lambda rule: rule.pattern)


def _choice(names: Sequence[str]) -> str:
    names = names if len(names) <= _MOST_PLACES else [*names[:_MOST_PLACES], "..."]
    return CHOICE.join(map(_template, names))


def alternatives(rule: AnyRule) -> list[str]:
    """The places of which `rule` leaves open which is meant; nothing for one that says it."""
    target = rule.target if isinstance(rule, (Rule, Layer)) else ""
    return target.split(CHOICE) if CHOICE in target else []


def _template(name: str) -> str:
    return name.replace("\\", "\\\\")


def show(rule: AnyRule) -> str:
    """`rule` as Python source, defaults left out, ready to paste."""
    given = [literal(value) for value in rule[:2]]
    for key in ("transform", "dtype", "layout"):
        value = getattr(rule, key, None)
        if value:
            given.append(f"{key}={literal(value)}")
    return f"{type(rule).__name__}({', '.join(given)})"
