"""Batch and layer normalization. Layers of Keras have gamma where slim's default has none: it is 1 there."""

from __future__ import annotations

from .base import Layout, Part

_STATISTICS = (Part("moving_mean", "moving_mean"), Part("moving_variance", "moving_variance"))
_BETA, _GAMMA = Part("beta", "beta"), Part("gamma", "gamma")
_EPSILON = "epsilon is 0.001 in slim and tf.layers; give the Keras layer the same"

LAYOUTS = (
    Layout("batch normalization", (_GAMMA, _BETA, *_STATISTICS), scope="BatchNorm", note=_EPSILON, anywhere=True),
    Layout(
        "batch normalization without gamma",
        (Part("", "gamma", "fill:value=1.0"), _BETA, *_STATISTICS),
        scope="BatchNorm",
        note="the file has no gamma, so it is 1; " + _EPSILON,
        anywhere=True,
    ),
    Layout("batch normalization, scale=False", (_BETA, *_STATISTICS), scope="BatchNorm", note=_EPSILON, anywhere=True),
    Layout(
        "layer normalization",
        (_GAMMA, _BETA),
        scope="LayerNorm",
        note="contrib's epsilon is 1e-12; Keras's default is 1e-3",
    ),
)
