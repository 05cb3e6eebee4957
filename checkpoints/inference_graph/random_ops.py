"""Operations of a graph that draw random numbers."""

from __future__ import annotations

import re
from typing import Iterable

from .body import Body, Library

_RANDOM = re.compile(
    r"(?:Stateless|Stateful)?(?:Random\w+|Uniform\w*|(?:Parameterized)?TruncatedNormal|StandardNormal|Multinomial"
    r"|SampleDistortedBoundingBox|\w*CandidateSampler)(?:V\d)?"
)
_NOT_RANDOM = re.compile(r"RandomShuffleQueue\w*|Uniform(?:Quant|Dequant|Requant)\w*|RandomDataset\w*")


def is_random(op: str) -> bool:
    """Whether operations of the type `op` draw random numbers."""
    return bool(_RANDOM.fullmatch(op)) and not _NOT_RANDOM.fullmatch(op)


def random_nodes(body: Body, library: Library, names: Iterable[str]) -> list[str]:
    """Those of the nodes `names` that draw random numbers, be it in a function that they call."""
    return sorted(
        name
        for name in names
        if is_random(body.nodes[name].op)
        or any(
            is_random(inner.op) for inside in library.called(body, [name]).values() for inner in inside.nodes.values()
        )
    )
