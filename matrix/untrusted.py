"""Text that somebody else wrote: a cell, a bundle, the job of another machine. It is shown through here, or not at all.

A terminal obeys control characters, and a reader cannot see those that change the direction of text. What is not
printable becomes its escape, such as `\\x1b`, so that nothing is lost and nothing is obeyed.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_MULTILINE = "text"  # the detail of a record that is shown as lines
_KEPT = {ord("\n"): None, ord("\t"): None}
_ESCAPE = re.compile(rb"\\[bfnru]")


def printable(text: str) -> str:
    """`text` on one line, with everything that cannot be printed as an escape."""
    return text if text.isprintable() else "".join(map(_escape, text))


def printable_lines(text: str) -> str:
    """`text` with its line ends and tabs as they are, and everything else that cannot be printed as an escape."""
    if text.translate(_KEPT).isprintable():
        return text
    return "".join(c if c in "\n\t" else _escape(c) for c in text.replace("\r\n", "\n"))


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def decode_json(data: bytes, type: type[T]) -> T:
    """The JSON `data` as `type`, with every text and key in it printable. Raises msgspec.DecodeError.

    Lines stay lines under the key `text` alone.
    """
    try:
        if data.decode().isprintable() and not _ESCAPE.search(data):
            return msgspec.json.decode(data, type=type)
        return msgspec.convert(_clean(msgspec.json.decode(data)), type)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def _clean(value: Any, key: str = "") -> Any:
    if isinstance(value, str):
        return printable_lines(value) if key == _MULTILINE else printable(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {printable(name): _clean(item, name) for name, item in value.items()}
    return value
