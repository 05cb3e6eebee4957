"""The numbers that names end in, as series of layers and slots have them."""

from __future__ import annotations

_DIGITS = "0123456789"
# What has more digits numbers nothing, and Python does not turn thousands of them into a number.
_LONGEST = 9


def split_number(text: str) -> tuple[str, int | None]:
    """`text` without the number that it ends in, and that number; None where there is none."""
    stem = text.rstrip(_DIGITS)
    digits = text[len(stem) :]
    return (stem, int(digits)) if 0 < len(digits) <= _LONGEST else (text, None)


def is_number(text: str) -> bool:
    """Whether `text` is a number in decimal digits, and one that numbers something."""
    return 0 < len(text) <= _LONGEST and not text.strip(_DIGITS)
