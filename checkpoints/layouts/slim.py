"""slim and contrib.layers: `weights` and `biases`, also where a layer of theirs is convolutional or separable."""

from __future__ import annotations

from .base import Layout, Part

LAYOUTS = (
    Layout("slim", (Part("weights", "kernel"), Part("biases", "bias"))),
    Layout(
        "slim separable",
        (
            Part("depthwise_weights", "depthwise_kernel"),
            Part("pointwise_weights", "pointwise_kernel"),
            Part("biases", "bias"),
        ),
    ),
    Layout("slim depthwise", (Part("depthwise_weights", "depthwise_kernel"), Part("biases", "bias"))),
    Layout("slim depthwise, Keras 3", (Part("depthwise_weights", "kernel"), Part("biases", "bias"))),
)
