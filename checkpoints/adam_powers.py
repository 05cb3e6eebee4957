"""The number of steps that the running powers of TF 1's Adam tell: it multiplies each by its beta after every step."""

from __future__ import annotations

import math

import numpy as np

# The rounding of TF 1's running product of float32 stays below half a step up to about here.
_TRUSTED_STEPS = 4000
_MOST_STEPS = 300_000
# Below this TensorFlow may have flushed to zero.
_LEAST = 1e-37


def steps_of_power(power: float, beta: float) -> tuple[int, bool] | None:
    """How many steps `power` counts, and whether it is their product of float32 bit for bit; None if it cannot tell."""
    factor = np.float32(beta)
    if not _LEAST < power < 1 or not 0 < factor < 1:
        return None
    # TF 1 multiplies once before the first step, so the power is one ahead.
    product, steps = factor, 0
    while product > power and steps < _MOST_STEPS:
        product, steps = np.float32(product * factor), steps + 1
    if float(product) == power:
        return steps, True
    steps = round(math.log(power) / math.log(float(factor))) - 1
    return (steps, False) if 0 <= steps <= _TRUSTED_STEPS else None


def choose(
    first: tuple[int, bool] | None, second: tuple[int, bool] | None, given: int | None
) -> tuple[int | None, str]:
    """The number of steps by the powers of beta1 and beta2 and the one that is `given`, and what to say about it."""
    told = [count for count in (second, first) if count is not None]
    if second is None and first is not None and not first[1]:
        told = []
    if not told:
        return given, ""
    # Of two that differ, what the file says itself, else what is a product of the optimizer's beta at all.
    told.sort(key=lambda count: (count[0] != given, not count[1]))
    taken = told[0][0]
    if first is not None and second is not None and first[0] != second[0]:
        told_by = f"beta1_power counts {first[0]} steps and beta2_power {second[0]}"
        return taken, f"{told_by}: a beta here is not the one that TF 1 was given; {taken} taken"
    if taken == given:
        return taken, ""
    said = "and no global_step does" if given is None else f"global_step says {given}"
    return taken, f"Adam's own power counts {taken} steps, {said}: {taken} taken"
