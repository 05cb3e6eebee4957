"""Where did the op run? TensorFlow falls back to the CPU without a word, so it is asked."""

from __future__ import annotations


def test_an_op_runs_on_the_gpu(record_property):
    import numpy as np
    import tensorflow.compat.v1 as tf

    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    with tf.Graph().as_default():
        product = tf.matmul(tf.constant(values), tf.constant(values))
        metadata = tf.RunMetadata()
        options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
        with tf.Session() as session:
            result = session.run(product, options=options, run_metadata=metadata)
    devices = [d.device for d in metadata.step_stats.dev_stats for n in d.node_stats if "MatMul" in n.node_name]
    record_property("device", ", ".join(sorted(set(devices))))
    assert any("device:GPU:0" in device or "gpu:0" in device for device in devices), "MatMul ran on " + str(devices)
    np.testing.assert_allclose(result, values @ values)
