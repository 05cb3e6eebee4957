"""Running a graph several times, to tell what it computes from what it draws at random."""

from __future__ import annotations

from typing import Any, Callable, Mapping

import numpy as np

Run = Callable[[Mapping[str, Any]], Mapping[str, Any]]

TIMES = 16
"""How often a graph runs again that draws random numbers: one that drops few of few values mostly drops none."""


def run_again(run: Run, feeds: Mapping[str, Any], first: Mapping[str, Any], draws: bool) -> set[str]:
    """The names of what differs from its `first` value when the graph runs again: often, if it `draws` at random.

    Where nothing is drawn, what differs by the rounding of sums in another order does not count.
    """
    differing: set[str] = set()
    for _ in range(TIMES if draws else 1):
        again = run(feeds)
        differing |= {name for name in first if differs(first[name], again[name], exactly=draws)}
    return differing


def mixes_rows(run: Run, others: Mapping[str, Any], first: Mapping[str, Any]) -> bool:
    """Whether the first row of an output depends on the other rows of the inputs, which `others` has others of."""
    again = run(others)
    return any(
        np.ndim(value) and len(value) > 1 and differs(value[0], again[name][0])
        for name, value in first.items()
        if np.shape(value) == np.shape(again[name])
    )


def differs(one: Any, other: Any, exactly: bool = False) -> bool:
    """Whether two results are not the same; unless `exactly`, by more than rounding."""
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return True
    if exactly or one.dtype.kind not in "fc":
        return one.tobytes() != other.tobytes() if one.dtype != object else not np.array_equal(one, other)
    scale = np.max(np.abs(one), initial=0.0) if one.size else 0.0
    return not np.allclose(one, other, rtol=1e-5, atol=1e-6 * max(float(scale), 1e-30), equal_nan=True)
