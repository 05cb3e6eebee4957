"""Object-based checkpoints of TF 2, by the paths through the objects that Keras 2 and Keras 3 write.

`layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE` in Keras 2, `_functional/_operations/1/_kernel/...` in Keras 3,
where weights bear an underscore and recurrent cells stand below their layer.
"""

from __future__ import annotations

from .base import Layout, Part

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_NAMES = (
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
)

LAYOUTS = (
    Layout("object of Keras", tuple(Part(rf"(?:cell/)?_?{name}{_VALUE}".replace(".", r"\."), name) for name in _NAMES)),
)
