"""Embeddings: one matrix, whatever it was called; Keras calls it `embeddings`."""

from __future__ import annotations

from ..transforms import Piece, Shape, register, whole
from .base import Layout, Part

LAYOUTS = (
    Layout(
        "embedding", (Part(r"(?:\w*_)?embeddings?(?:_(?:table|weights|matrix|lookup))?|lookup_table", "embeddings"),)
    ),
)


@register("embedding.mod")
def mod(source: Shape, target: Shape, slices: float = 1.0) -> list[Piece]:
    """A table [ids, size] whose slices were looked up with partition_strategy="mod", in the order of the ids.

    Slice i of n holds the ids i, i + n, ...; the first slices hold one more where the ids do not go into n.
    """
    count = int(slices)
    if source != target or not source:
        raise ValueError("the shapes differ" if source else "it has no rows")
    if count != slices or count < 1:
        raise ValueError(f"no number of slices: {slices:g}")
    size, longer = divmod(source[0], count)
    rest = whole(source[1:])
    if not longer:
        axes = (1, 0, *range(2, len(source) + 1))
        return [Piece(whole(source), whole(target), axes, fold=(count, size, *source[1:]))]
    starts = [part * size + min(part, longer) for part in range(count)]
    places = (starts[row % count] + row // count for row in range(source[0]))
    return [Piece(((place, 1), *rest), ((row, 1), *rest)) for row, place in enumerate(places)]
