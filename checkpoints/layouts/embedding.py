"""Embeddings: one matrix, whatever it was called; Keras calls it `embeddings`."""

from __future__ import annotations

from .base import Layout, Part

LAYOUTS = (
    Layout(
        "embedding", (Part(r"(?:\w*_)?embeddings?(?:_(?:table|weights|matrix|lookup))?|lookup_table", "embeddings"),)
    ),
)
