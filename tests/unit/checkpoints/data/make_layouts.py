"""Makes layouts.* beside this file: a layer of every kind, with what it computes. TensorFlow 1.15 only.

python tests/unit/checkpoints/data/make_layouts.py
"""

import os

import numpy as np
import tensorflow as tf
from tensorflow.contrib import cudnn_rnn, slim
from tensorflow.contrib import rnn as contrib_rnn

v1 = tf.compat.v1
HERE = os.path.dirname(os.path.abspath(__file__))
RANDOM = v1.random_normal_initializer(stddev=0.5, seed=3)


def recurrent(inputs, outputs):
    """One scope for each kind of cell, over the same sequences."""
    cells = {
        "basic": lambda: v1.nn.rnn_cell.BasicLSTMCell(2),
        "plain": lambda: v1.nn.rnn_cell.LSTMCell(2, forget_bias=0.0),
        "peephole": lambda: v1.nn.rnn_cell.LSTMCell(2, use_peepholes=True, num_proj=2),
        "gru": lambda: v1.nn.rnn_cell.GRUCell(2),
        "cudnn_lstm": lambda: cudnn_rnn.CudnnCompatibleLSTMCell(2),
        "cudnn_gru": lambda: cudnn_rnn.CudnnCompatibleGRUCell(2),
        "block": lambda: contrib_rnn.LSTMBlockCell(2),
        "stack": lambda: v1.nn.rnn_cell.MultiRNNCell([v1.nn.rnn_cell.BasicLSTMCell(2) for _ in range(2)]),
    }
    for name, make in cells.items():
        with v1.variable_scope(name, initializer=RANDOM):
            outputs[name], _ = v1.nn.dynamic_rnn(make(), inputs, dtype=tf.float32)
    with v1.variable_scope("both", initializer=RANDOM):
        pair, _ = v1.nn.bidirectional_dynamic_rnn(
            v1.nn.rnn_cell.BasicLSTMCell(2), v1.nn.rnn_cell.BasicLSTMCell(2), inputs, dtype=tf.float32
        )
        outputs["both"] = tf.concat(pair, -1)


def feedforward(image, outputs):
    """tf.layers and slim, each layer alone on the same image."""
    with v1.variable_scope("layers", initializer=RANDOM):
        outputs["conv"] = v1.layers.conv2d(image, 3, 2, name="conv")
        outputs["transposed"] = v1.layers.conv2d_transpose(image, 3, 2, name="transposed")
        outputs["separable"] = v1.layers.separable_conv2d(image, 3, 2, name="separable")
        outputs["dense"] = v1.layers.dense(v1.layers.flatten(image), 3, name="dense")
        outputs["norm"] = v1.layers.batch_normalization(image, name="norm", gamma_initializer=RANDOM)
    with slim.arg_scope([slim.conv2d, slim.separable_conv2d], weights_initializer=RANDOM, biases_initializer=RANDOM):
        outputs["slim_conv"] = slim.conv2d(image, 3, 2, activation_fn=None, scope="slim_conv")
        outputs["slim_separable"] = slim.separable_conv2d(
            image, 3, 2, depth_multiplier=1, activation_fn=None, scope="slim_separable"
        )
        outputs["slim_norm"] = slim.batch_norm(
            image, is_training=False, scope="slim_norm", param_initializers={"beta": RANDOM, "moving_mean": RANDOM}
        )


def main():
    outputs = {}
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        inputs = tf.constant(np.random.RandomState(0).randn(2, 4, 3), tf.float32)
        image = tf.constant(np.random.RandomState(1).randn(1, 4, 4, 2), tf.float32)
        recurrent(inputs, outputs)
        feedforward(image, outputs)
        with v1.variable_scope("words", partitioner=v1.fixed_size_partitioner(2)):
            table = v1.get_variable("embedding_weights", [5, 2], initializer=RANDOM)
        outputs["words"] = v1.nn.embedding_lookup(table, [0, 3, 4], partition_strategy="div")
        averages = tf.train.ExponentialMovingAverage(0.5)
        apply = averages.apply([v for v in v1.trainable_variables() if v.op.name.startswith("layers/dense")])
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(apply)
            golden = session.run(outputs)
            v1.train.Saver().save(session, os.path.join(HERE, "layouts"), write_meta_graph=False, write_state=False)
            golden["inputs"], golden["image"] = session.run([inputs, image])
    np.savez_compressed(os.path.join(HERE, "layouts.npz"), **golden)


if __name__ == "__main__":
    main()
