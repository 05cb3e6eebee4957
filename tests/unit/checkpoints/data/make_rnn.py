"""Makes rnn_0.12, rnn_1.0 and rnn_1.15: basic and block cells under the names of each age, and what they compute.

Run it in TensorFlow 0.12.1, 1.0.0 (both install on CPython 3.6) and 1.15; the files are of the running release.

python tests/unit/checkpoints/data/make_rnn.py
"""

import os

import numpy as np
import tensorflow as tf
from tensorflow.contrib import rnn as contrib_rnn

HERE = os.path.dirname(os.path.abspath(__file__))
RELEASE = tf.__version__.rpartition(".")[0]
rnn = tf.nn.rnn_cell if RELEASE in ("0.12", "1.15") else contrib_rnn
CELLS = {
    "basic": lambda: rnn.BasicRNNCell(2),
    "basic_stack": lambda: rnn.MultiRNNCell([rnn.BasicRNNCell(2), rnn.BasicRNNCell(2)]),
    "block": lambda: contrib_rnn.GRUBlockCell(2),
    "block_stack": lambda: rnn.MultiRNNCell([contrib_rnn.GRUBlockCell(2), contrib_rnn.GRUBlockCell(2)]),
}
if RELEASE == "1.15":
    CELLS["block_v2"] = lambda: contrib_rnn.GRUBlockCellV2(2)
PAIRS = {"basic_both": CELLS["basic"], "block_both": CELLS["block"]}


def outputs_of(x):
    outputs = {}
    for name in sorted(CELLS):
        with tf.variable_scope(name):
            outputs[name] = tf.nn.dynamic_rnn(CELLS[name](), x, dtype=tf.float32)[0]
    for name in sorted(PAIRS):
        with tf.variable_scope(name):
            lengths = [int(x.get_shape()[1])] * int(x.get_shape()[0])
            both, _ = tf.nn.bidirectional_dynamic_rnn(
                PAIRS[name](), PAIRS[name](), x, sequence_length=lengths, dtype=tf.float32
            )
            outputs[name] = tf.concat(2, both) if RELEASE == "0.12" else tf.concat(both, 2)
    return outputs


def main():
    np.random.seed(0)
    golden = {"inputs": np.random.randn(3, 5, 3).astype("f4")}
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, golden["inputs"].shape)
        outputs = outputs_of(x)
        session.run(tf.global_variables_initializer())
        for variable in tf.global_variables():
            value = (np.random.randn(*variable.get_shape().as_list()) * 0.3).astype("f4")
            variable.load(value, session) if hasattr(variable, "load") else session.run(variable.assign(value))
        golden.update(session.run(outputs, {x: golden["inputs"]}))
        path = os.path.join(HERE, "rnn_" + RELEASE)
        tf.train.Saver().save(session, path, write_meta_graph=False, write_state=False)
    np.savez_compressed(path + ".npz", **golden)


if __name__ == "__main__":
    main()
