"""Scalars and histograms for TensorBoard, as tf.summary writes them since TensorFlow 2 (tf.compat.v2.summary in 1.15).

tf.summary.scalar and tf.summary.histogram stand in the package tensorboard, which TensorFlow 2.21 no longer asks for.
Where it is missing, the same is written with tf.summary.write, and TensorBoard opens it all the same.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import tensorflow as tf

_TENSORBOARD = importlib.util.find_spec("tensorboard") is not None
_SCALAR, _TENSOR = 1, 2  # DataClass of tensorflow/core/framework/summary.proto


def scalar(name, value, step):
    """One number of one step."""
    if _TENSORBOARD:
        tf.compat.v2.summary.scalar(name, value, step)
    else:
        _write(name, np.float32(value), step, "scalars", _SCALAR)


def histogram(name, values, step):
    """The distribution of an array, in 30 buckets of (left edge, right edge, count)."""
    if _TENSORBOARD:
        tf.compat.v2.summary.histogram(name, values, step)
    else:
        counts, edges = np.histogram(values, 30)
        _write(name, np.stack([edges[:-1], edges[1:], counts], axis=1), step, "histograms", _TENSOR)


def _write(name, tensor, step, plugin, data_class):
    metadata = tf.compat.v1.SummaryMetadata(data_class=data_class)
    metadata.plugin_data.plugin_name = plugin
    tf.compat.v2.summary.write(name, tensor, step=step, metadata=metadata)
