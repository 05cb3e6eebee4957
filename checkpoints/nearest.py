"""Which names are most like a given one, cheaply enough to ask for thousands of them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Mapping, Sequence

_MOST_COMPARED = 1000
# Of longer names only the end is compared, which says most.
_LONGEST = 1000


@lru_cache(maxsize=4096)
def _words(name: str) -> set[str]:
    """The words of a name, and its numbers with the words that they number: `layer_1` is no `conv_1`."""
    found = re.findall(r"([a-z]*)_?(\d*)", name[-_LONGEST:].lower())
    return {word for word, _ in found if word} | {word + number for word, number in found if number}


def likeness(name: str, other: str) -> float:
    """How much two names have in common, from 0: the words that both have, those of the last component twice."""
    words, theirs = _words(name), _words(other)
    last = _words(name.rpartition("/")[2]) & _words(other.rpartition("/")[2])
    return (len(words & theirs) + len(last)) / (len(words | theirs) or 1)


@lru_cache(maxsize=4096)
def natural(name: str) -> list[tuple[int, str]]:
    """A key to sort by that puts `cell_2` before `cell_10`."""
    parts = re.split(r"([0-9]+)", name[-_LONGEST:])
    # Of two numbers the one with more digits is larger, but for zeros in front.
    digits = [part.lstrip("0") for part in parts]
    return [(len(digits[at]), digits[at]) if at % 2 else (-1, part) for at, part in enumerate(parts)]


def in_common(name: str, others: Sequence[str]) -> dict[str, int]:
    """For each of `others` how many words it shares with `name`, of those that tell the others apart."""
    everywhere = set.intersection(*map(_words, others)) if len(others) > 1 else set()
    return {other: len((_words(name) & _words(other)) - everywhere) for other in others}


def nearest(name: str, among: Mapping[str, tuple[int, ...]], shape: tuple[int, ...], count: int = 3) -> list[str]:
    """The `count` names of `among` nearest to `name`, best first: those of the same shape before others.

    Likeness counts the words two names share, the last component's twice. Names that share neither shape nor word are
    left out.
    """
    scored = []
    for place, (other, other_shape) in enumerate(among.items()):
        if place == _MOST_COMPARED:
            break
        like = likeness(name, other)
        same = other_shape == shape
        if same or like:
            scored.append((not same, -like, other))
    return [other for _, _, other in sorted(scored)[:count]]
