"""Rules in files: Python, or TOML where the interpreter or the package tomli can read it; Python alone is written.

A Python file assigns a list to RULES; `Rule`, `Layer`, `Ignore` and `Keep` need no import, so what an error suggests
can be pasted as it stands. It is run, as any module would be. A TOML file has one `[[rule]]` table for each rule, in
order:

    [[rule]]
    pattern = 'gen/(.*)'
    target = 'generator/\\1'      # and transform, dtype; or layer = '...' and layout; or ignore = 'the reason';
                                 # or keep = 'the reason'
"""

from __future__ import annotations

import os
from typing import Any, Sequence

from .atomic import Replacement
from .errors import ArgumentError, CheckpointError
from .foreign_text import named
from .plan import AnyRule, Ignore, Keep, Layer, Rule
from .suggestions import alternatives, show

_KEYS = {
    "target": (Rule, {"target", "transform", "dtype"}),
    "layer": (Layer, {"layer", "layout"}),
    "ignore": (Ignore, {"ignore"}),
    "keep": (Keep, {"keep"}),
}
_KINDS = {kind.__name__: kind for kind in (Rule, Layer, Ignore, Keep)}


def load_rules(path: Any) -> list[AnyRule]:
    """The rules in the file at `path`; CheckpointError that says what is wrong with it."""
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if path.endswith(".py"):
        return _from_python(path, text)
    if path.endswith(".toml"):
        return _from_toml(path, text)
    raise CheckpointError(f"{path}: rules are read from .py and .toml files")


def check_new_file(path: str) -> None:
    """Raises ArgumentError unless `save_rules` can write a file at `path`."""
    if not path.endswith(".py"):
        raise ArgumentError(f"{path}: rules are written to .py files")
    if os.path.lexists(path):
        raise ArgumentError(f"{path}: exists already; name a new file, as rules of yours may be in it")


def save_rules(path: str, suggested: Sequence[AnyRule], given: Sequence[AnyRule], source: str) -> None:
    """Writes a Python file of rules that `load_rules` reads: those `suggested` for `source`, then those `given`.

    Raises CheckpointError if it cannot be written. A rule with a choice to make says so.
    """
    lines = [f"# Rules for {named(source)}.", "RULES = ["]
    for rule in suggested:
        lines += ["    # Choose one of these places, and delete the others:"] if alternatives(rule) else []
        lines.append(f"    {show(rule)},")
    if given:
        lines += ["    # As they were given:", *(f"    {show(rule)}," for rule in given)]
    text = "\n".join([*lines, "]"]) + "\n"
    with Replacement([path], check=lambda temporary: _check(temporary[0], [*suggested, *given])) as (stream,):
        stream.write(text.encode("utf-8"))


def _check(path: str, rules: Sequence[AnyRule]) -> None:
    if load_rules(path) != list(rules):
        raise CheckpointError("other rules than were to be written")


def _from_python(path: str, text: str) -> list[AnyRule]:
    names: dict[str, Any] = {**_KINDS, "__file__": path, "__name__": "rules"}
    try:
        exec(compile(text, path, "exec"), names)
    except Exception as error:
        raise CheckpointError(f"{path}: {type(error).__name__}: {error}") from None
    rules = names.get("RULES")
    if not isinstance(rules, (list, tuple)) or not all(isinstance(rule, tuple(_KINDS.values())) for rule in rules):
        raise CheckpointError(f"{path}: must assign a list of {', '.join(_KINDS)} to RULES")
    return list(rules)


def _from_toml(path: str, text: str) -> list[AnyRule]:
    try:
        import tomllib as toml
    except ImportError:
        try:
            import tomli as toml  # type: ignore[no-redef,import-not-found,unused-ignore]
        except ImportError:
            raise CheckpointError(
                f"{path}: this Python reads TOML only with the package tomli; a .py file needs nothing"
            ) from None
    try:
        tables = toml.loads(text).get("rule", [])
    except (ValueError, RecursionError) as error:  # it is nested too deep, or a number has too many digits
        raise CheckpointError(f"{path}: {error}") from None
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise CheckpointError(f"{path}: rules are [[rule]] tables")
    return [_from_table(path, place, table) for place, table in enumerate(tables, 1)]


def _from_table(path: str, place: int, table: dict[str, Any]) -> AnyRule:
    where = f"{path}: rule {place}"
    if not all(isinstance(value, str) for value in table.values()) or "pattern" not in table:
        raise CheckpointError(f"{where}: a pattern is needed, and every value is text")
    kinds = [key for key in _KEYS if key in table]
    if len(kinds) != 1:
        raise CheckpointError(f"{where}: one of {', '.join(_KEYS)} is needed")
    kind, allowed = _KEYS[kinds[0]]
    unknown = sorted(set(table) - allowed - {"pattern"})
    if unknown:
        raise CheckpointError("{}: unknown keys {}".format(where, ", ".join(unknown)))
    if kind is Ignore:
        return Ignore(table["pattern"], table["ignore"])
    if kind is Keep:
        return Keep(table["pattern"], table["keep"])
    if kind is Layer:
        return Layer(table["pattern"], table["layer"], table.get("layout", ""))
    return Rule(table["pattern"], table["target"], table.get("transform"), table.get("dtype"))
