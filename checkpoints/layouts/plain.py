"""tf.layers and tf.keras.layers: dense, convolutions (transposed and separable too), recurrent layers of Keras.

Names and shapes are those of today's Keras layers: `conv2d_transpose/kernel` was (height, width, out, in) then as now.
Old dense layers wrote `Matrix` and `Bias` in a scope of their own, `Linear`.
"""

from __future__ import annotations

from .base import Layout, Part

_SAME = (
    "kernel",
    "bias",
    "recurrent_kernel",
    "depthwise_kernel",
    "pointwise_kernel",
    "embeddings",
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
    "alpha",
)

LAYOUTS = (
    Layout("same names", tuple(Part(name, name) for name in _SAME)),
    Layout("depthwise", (Part("depthwise_kernel", "kernel"), Part("bias", "bias"))),
    Layout("linear", (Part("Matrix", "kernel"), Part("Bias", "bias")), scope="Linear"),
    Layout("w and b", (Part("[Ww]", "kernel"), Part("[Bb]", "bias"))),
)
