"""Batch and layer normalization. Layers of Keras have gamma where slim's default has none: it is 1 there."""

from __future__ import annotations

from .base import Layout, Part

_STATISTICS = (Part("moving_mean", "moving_mean"), Part("moving_variance", "moving_variance"))
_BETA, _GAMMA = Part("beta", "beta"), Part("gamma", "gamma")
# What has gamma and beta alone is layer normalization, whatever its scope is called.
_NEEDS = ("moving_mean", "moving_variance")

LAYOUTS = (
    Layout("batch normalization", (_GAMMA, _BETA, *_STATISTICS), scope="BatchNorm", anywhere=True, needs=_NEEDS),
    Layout(
        "batch normalization without gamma",
        (Part("", "gamma", "fill:value=1.0"), _BETA, *_STATISTICS),
        scope="BatchNorm",
        note="the file has no gamma, so it is 1",
        anywhere=True,
        needs=_NEEDS,
    ),
    Layout("batch normalization, scale=False", (_BETA, *_STATISTICS), scope="BatchNorm", anywhere=True, needs=_NEEDS),
    Layout("layer normalization", (_GAMMA, _BETA), scope="LayerNorm"),
)
