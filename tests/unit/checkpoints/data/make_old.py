"""Makes old_0.12 and old_1.0: recurrent cells under the names of before 1.0 and 1.2, and what they compute.

Run it in TensorFlow 0.12.1 and in 1.0.0, both of which CPython 3.6 can install; their files are of the running release.

python tests/unit/checkpoints/data/make_old.py
"""

import os

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
OLDEST = tf.__version__.startswith("0.")
rnn = tf.nn.rnn_cell if OLDEST else tf.contrib.rnn
CELLS = {
    "basic": lambda: rnn.BasicLSTMCell(2),
    "full": lambda: rnn.LSTMCell(2),
    "gru": lambda: rnn.GRUCell(2),
    "stack": lambda: rnn.MultiRNNCell([rnn.BasicLSTMCell(2), rnn.BasicLSTMCell(2)]),
}


def main():
    np.random.seed(0)
    golden = {"inputs": np.random.randn(3, 5, 3).astype("f4")}
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, golden["inputs"].shape)
        outputs = {}
        for name in sorted(CELLS):
            with tf.variable_scope(name):
                outputs[name] = tf.nn.dynamic_rnn(CELLS[name](), x, dtype=tf.float32)[0]
        with tf.variable_scope("both"):
            cells = rnn.BasicLSTMCell(2), rnn.BasicLSTMCell(2)
            both = tf.nn.bidirectional_dynamic_rnn(cells[0], cells[1], x, sequence_length=[5, 5, 5], dtype=tf.float32)
            outputs["both"] = tf.concat(2, both[0]) if OLDEST else tf.concat(both[0], 2)
        session.run(tf.global_variables_initializer())
        for variable in tf.global_variables():
            session.run(variable.assign((np.random.randn(*variable.get_shape().as_list()) * 0.3).astype("f4")))
        golden.update(session.run(outputs, {x: golden["inputs"]}))
        path = os.path.join(HERE, "old_" + tf.__version__.rpartition(".")[0])
        tf.train.Saver().save(session, path, write_meta_graph=False, write_state=False)
    np.savez_compressed(path + ".npz", **golden)


if __name__ == "__main__":
    main()
