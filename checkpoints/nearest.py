"""Which names are most like a given one, cheaply enough to ask for thousands of them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Mapping

_MOST_COMPARED = 1000


@lru_cache(maxsize=4096)
def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+|\d+", name.lower()))


def nearest(name: str, among: Mapping[str, tuple[int, ...]], shape: tuple[int, ...], count: int = 3) -> list[str]:
    """The `count` names of `among` nearest to `name`, best first: those of the same shape before others.

    Likeness counts the words two names share, the last component's twice. Names that share neither shape nor word are
    left out.
    """
    words, last = _words(name), _words(name.rpartition("/")[2])
    scored = []
    for place, (other, other_shape) in enumerate(among.items()):
        if place == _MOST_COMPARED:
            break
        theirs = _words(other)
        shared = len(words & theirs) + len(last & _words(other.rpartition("/")[2]))
        same = other_shape == shape
        if same or shared:
            scored.append((not same, -shared / (len(words | theirs) or 1), other))
    return [other for _, _, other in sorted(scored)[:count]]
