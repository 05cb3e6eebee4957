"""Attention as BERT wrote it: dense layers over all heads at once. Keras splits the heads into an axis of their own.

`query`, `key` and `value` go from (features, heads * size) to (features, heads, size), the output layer from
(heads * size, features) to (heads, size, features): the same numbers in the same order.
"""

from __future__ import annotations

from ..transforms import Piece, Shape, register, whole
from .base import Layout, Part


@register("heads.split")
def split(source: Shape, target: Shape) -> list[Piece]:
    """Source (..., heads * size), target (..., heads, size)."""
    fits = source and len(target) == len(source) + 1 and target[:-2] == source[:-1]
    if not fits or target[-2] * target[-1] != source[-1]:
        raise ValueError("the last axis does not split into the last two of the target")
    return [Piece(whole(source), whole(target))]


@register("heads.merge")
def merge(source: Shape, target: Shape) -> list[Piece]:
    """Source (heads * size, features), target (heads, size, features)."""
    if len(source) != 2 or len(target) != 3 or target[0] * target[1] != source[0] or target[2] != source[1]:
        raise ValueError("the first axis does not split into the first two of the target")
    return [Piece(whole(source), whole(target))]


_ATTENTION = "(?i)attention|attn"

# The shapes fit others as well, such as the kernel of a dense layer and that of a convolution, so the names must agree.
LAYOUTS = (
    Layout(
        "attention heads",
        (Part("kernel", "kernel", "heads.split"), Part("bias", "bias", "heads.split")),
        named=_ATTENTION + "|(?:^|[/_])(?:query|key|value)(?:$|[/_])",
    ),
    Layout("attention output", (Part("kernel", "kernel", "heads.merge"), Part("bias", "bias")), named=_ATTENTION),
)
