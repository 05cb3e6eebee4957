"""The catalogue of layouts: how TF 1 stored each kind of layer, and how that becomes the variables of a Keras layer.

Special layouts come before general ones; the first that fits a layer is taken.
"""

from __future__ import annotations

from typing import Tuple

from . import attention, cudnn, embedding, gru, keras_cudnn, lstm, normalization, objects, plain, rnn, slim
from .base import Layout, Part

CATALOGUE: Tuple[Layout, ...] = (
    *cudnn.LAYOUTS,
    *keras_cudnn.LAYOUTS,
    *lstm.LAYOUTS,
    *gru.LAYOUTS,
    *rnn.LAYOUTS,
    *objects.LAYOUTS,
    *normalization.LAYOUTS,
    *attention.LAYOUTS,
    *embedding.LAYOUTS,
    *slim.LAYOUTS,
    *plain.LAYOUTS,
)

BY_NAME = {layout.name: layout for layout in CATALOGUE}

__all__ = ["BY_NAME", "CATALOGUE", "Layout", "Part"]
