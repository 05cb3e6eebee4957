"""How many steps the running powers of TF 1's Adam stand for.

TF 1 keeps `beta1_power` and `beta2_power`, which begin as their betas and are multiplied by them after each step, in
float32. So after n steps a power is the product of n + 1 betas, bit for bit; what falls below the smallest normal
number TF 1 flushes to zero, which beta1_power of 0.9 is from 828 steps on and beta2_power of 0.999 from 87,293. Source:
`AdamOptimizer._finish`; the last sentence was measured with 1.15.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple

import numpy as np

_SMALLEST = float(np.finfo(np.float32).tiny)
_BLOCK = 1 << 16
# A beta that takes more steps than this to vanish is nearer to 1 than any in use.
_MOST_STEPS = 1 << 27
# Below it, 1 - power is 1 in float32, so that the bias is no longer corrected.
_NO_CORRECTION = 2.0**-25
# Of powers that are no exact products, such as averages of several replicas, up to here the logarithm is good enough.
_MOST_ROUNDED = 4000
# Betas in use, for files whose graph is not there to say which they were trained with. Two powers that agree on a
# number of steps are needed to believe in one of them, as the powers of 0.9999 alone hit one number in a thousand.
_USUAL = {
    1: (0.9, 0.5, 0.0, 0.8, 0.95, 0.99, 0.85, 0.7, 0.6, 0.75, 0.4, 0.3, 0.2, 0.1, 0.98, 0.97),
    2: (0.999, 0.9, 0.99, 0.98, 0.9999, 0.95, 0.997, 0.995, 0.998, 0.97, 0.96, 0.99999, 0.5, 0.8, 0.7),
}


class Choice(NamedTuple):
    """A number of steps, None if the powers do not tell, and what differs or is not known."""

    steps: int | None
    notes: tuple[str, ...] = ()


def power_after(steps: int, beta: float) -> np.ndarray[Any, Any]:
    """The power of `beta` that TF 1 holds after `steps`, in float32."""
    for first, products in _products(beta):
        if steps < first + len(products):
            power = products[steps - first]
            return np.asarray(power if power >= _SMALLEST else 0.0, np.float32)
        if not products[-1] or products[-1] == products[0]:
            break
    return np.asarray(0.0 if beta < 1 else beta, np.float32)


def exact_steps(power: float, beta: float) -> int | None:
    """After how many steps `beta` gives exactly `power`; None if it never does, or if the power has vanished."""
    if not _SMALLEST <= power <= np.float32(beta) < 1:
        return None
    for first, products in _products(beta):
        if products[-1] <= power:
            place = int(np.searchsorted(-products, -np.float32(power)))
            return first + place if float(products[place]) == power else None
        if products[-1] == products[0]:
            break
    return None


def steps_to_zero(beta: float, threshold: float = _SMALLEST) -> int:
    """The first number of steps after which the power of `beta` is below `threshold`, by default flushed to zero."""
    for first, products in _products(beta):
        if products[-1] < threshold:
            return first + int(np.searchsorted(-products, -np.float32(threshold), side="right"))
        if products[-1] == products[0]:
            break
    return _MOST_STEPS


def _products(beta: float) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """(number of steps of the first, powers) in blocks: what TF 1 multiplies up, one step after the other."""
    factor = np.float32(beta)
    start = factor
    for first in range(0, _MOST_STEPS, _BLOCK):
        block = np.full(_BLOCK, factor, np.float32)
        block[0] = start
        with np.errstate(under="ignore"):
            np.multiply.accumulate(block, out=block)
            start = np.float32(block[-1] * factor)
        yield first, block


def choose_steps(
    powers: Mapping[int, float], here: Mapping[int, float], there: Mapping[int, float], given: int | None = None
) -> Choice:
    """The number of steps that `powers` stand for, by the number of their beta (1 or 2).

    `here` are the betas of the optimizer that goes on, `there` those of the graph, where one is known; `given` is what
    another counter says. Powers that have vanished say that the bias is no longer corrected: then `given` is taken if
    it is large enough for that, else the least number that is.
    """
    betas = {**here, **there}
    counts = {number: exact_steps(power, betas[number]) for number, power in powers.items()}
    counted = {number: steps for number, steps in counts.items() if steps is not None}
    if len(counted) == 2 and counted[1] == counted[2]:
        return Choice(counted[1])
    if len(counted) == 1:
        ((number, steps),) = counted.items()
        if len(powers) == 1 or _explains(powers[3 - number], betas[3 - number], steps):
            return Choice(steps)
    if len(powers) == 2 and not there:
        usual = _by_usual_betas(powers, here)
        if usual is not None:
            return usual
    if counted:
        return _contradiction(powers, betas, counted, given)
    if len(powers) == 2 and all(0 <= power < _NO_CORRECTION for power in powers.values()):
        return _vanished(powers, here, betas, given)
    return _rounded(powers, betas)


def _explains(power: float, beta: float, steps: int) -> bool:
    """Whether `beta` gives `power` after `steps`, which may be zero."""
    return float(power_after(steps, beta)) == (0.0 if 0 <= power < _SMALLEST else power)


def _by_usual_betas(powers: Mapping[int, float], here: Mapping[int, float]) -> Choice | None:
    """The number of steps after which two betas, those in use among them, give both powers; None if there is none."""
    for number in (2, 1):
        other = 3 - number
        for beta in dict.fromkeys((here[number], *_USUAL[number])):
            steps = exact_steps(powers[number], beta)
            for second in dict.fromkeys((here[other], *_USUAL[other])) if steps is not None else ():
                if steps is not None and _explains(powers[other], second, steps):
                    found = sorted(((number, beta), (other, second)))
                    return Choice(
                        steps,
                        tuple(
                            f"beta_{place} is {here[place]:g} here, and {value:g} by beta{place}_power of the file"
                            for place, value in found
                            if np.float32(value) != np.float32(here[place])
                        ),
                    )
    return None


def _contradiction(
    powers: Mapping[int, float], betas: Mapping[int, float], counted: Mapping[int, int], given: int | None
) -> Choice:
    """One power alone is that of its beta, or both are and count differently."""
    steps = given if given in counted.values() else counted.get(2, counted.get(1))
    told = [
        f"beta{number}_power {power:g} "
        + (f"counts {counted[number]} steps" if number in counted else f"is no power of {betas[number]:g}")
        for number, power in sorted(powers.items())
    ]
    return Choice(steps, (f"{' and '.join(told)}: a beta here is not the one that TF 1 was given; {steps} taken",))


def _vanished(
    powers: Mapping[int, float], here: Mapping[int, float], betas: Mapping[int, float], given: int | None
) -> Choice:
    least = max(
        steps_to_zero(betas[number], _SMALLEST if power < _SMALLEST else _NO_CORRECTION)
        for number, power in powers.items()
    )
    told = f"Adam's powers have vanished, which takes some {least} steps"
    if given is not None and given >= least:
        return Choice(given, (f"{told}: the number of steps is that of another counter, {given}",))
    least = max(least, *(steps_to_zero(beta, _NO_CORRECTION) for beta in here.values()))
    other = "" if given is None else f", where another counter says {given}"
    return Choice(least, (f"{told}{other}: {least} taken, as from there on nothing depends on it but a schedule",))


def _rounded(powers: Mapping[int, float], betas: Mapping[int, float]) -> Choice:
    """Powers that are no products of any beta known: the number on which both agree, if it is not large."""
    counts = {
        round(float(np.log(power) / np.log(betas[number]))) - 1
        for number, power in powers.items()
        if _SMALLEST <= power < 1 and 0 < betas[number] < 1
    }
    possible = all(0 <= power < 1 for power in powers.values())
    told = ", ".join(f"beta{number}_power {power:g}" for number, power in sorted(powers.items()))
    if possible and len(powers) == 2 and len(counts) == 1 and 0 <= min(counts) <= _MOST_ROUNDED:
        steps = counts.pop()
        return Choice(steps, (f"{told}: no exact powers, and nearest to those after {steps} steps",))
    return Choice(None, (f"{told}: not the powers of the betas here, {betas[1]:g} and {betas[2]:g}",))
