"""Text from files as people may see it: the one place where names and words of a file are made safe to show.

A tensor's name may hold anything: escape sequences that repaint a terminal, line breaks that forge a message, signs
that turn the order of writing around, halves of a character that cannot be encoded, a megabyte. JSON needs none of
this: its strings are exact, and escaped by their encoding.
"""

from __future__ import annotations

LONGEST_LINE = 2000
"""What one message may take; longer ones lose their middle, as both ends of a name and of a sentence matter."""
LONGEST_NAME = 300


def printable(text: str) -> str:
    """`text` on one line, with escapes for what is not printable (control, direction and format signs, surrogates)."""
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` characters, its middle left out: both ends of a variable's name matter."""
    if len(text) <= width:
        return text
    head = (width - 3) // 2
    return text[:head] + "..." + text[len(text) - (width - 3 - head) :]


def sentence(text: str) -> str:
    """`text` as one message: printable, on one line, of bounded length."""
    # Cut first: what is left out need not be escaped.
    return shorten(printable(shorten(text, LONGEST_LINE)), LONGEST_LINE)


def named(name: str) -> str:
    """The name of a tensor, variable or layer inside a sentence: printable, on one line, of bounded length."""
    return shorten(printable(shorten(name, LONGEST_NAME)), LONGEST_NAME)


def literal(text: str) -> str:
    """`text` as Python source on one line that evaluates to it exactly; raw, where that reads better."""
    if text.isprintable() and '"' not in text:
        if "\\" not in text:
            return f'"{text}"'
        if not text.endswith("\\"):
            return f'r"{text}"'
    return repr(text)
