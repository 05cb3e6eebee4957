"""Embeddings: one matrix, whatever it was called; Keras calls it `embeddings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping

from .base import Layout, Part

if TYPE_CHECKING:
    from ..checkpoint import TensorInfo
    from ..plan import Row

LAYOUTS = (
    Layout(
        "embedding", (Part(r"(?:\w*_)?embeddings?(?:_(?:table|weights|matrix|lookup))?|lookup_table", "embeddings"),)
    ),
)


def with_note(row: Row, tensors: Mapping[str, TensorInfo]) -> Row:
    """`row`, and where it takes an embedding that was stored in slices, what its reason should say of that.

    `tf.nn.embedding_lookup` deals the ids out to the slices in turn by default, and no file says how it was called.
    """
    slices = tensors[row.source].slices if row.action == "load" else 0
    if slices < 2 or (row.target or "").rpartition("/")[2] != "embeddings":
        return row
    assumed = "row by row as partition_strategy='div' looks them up; TF 1's default, 'mod', has another order"
    return row._replace(reason=f"{row.reason}; its {slices} slices one after the other, {assumed}")
