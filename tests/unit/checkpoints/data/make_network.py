"""Makes network.*: a layer of every common kind in one network, trained with Adam and trained on. TensorFlow 1.15 only.

The checkpoint holds 20 steps; network.npz holds what the network computes then, and its variables and outputs 3 and
10 steps later.

python tests/unit/checkpoints/data/make_network.py
"""

import os

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
cells = v1.nn.rnn_cell
HERE = os.path.dirname(os.path.abspath(__file__))


def network(image, words, training):
    """Convolution, normalization, dense; embedding, LSTM both ways, LSTM, GRU; a dense layer over both halves."""
    with v1.variable_scope("vision"):
        x = v1.layers.conv2d(image, 3, 2, activation=tf.nn.relu, name="conv")
        x = v1.layers.batch_normalization(x, training=training, name="norm")
        x = v1.layers.dense(v1.layers.flatten(x), 4, activation=tf.nn.elu, name="fc")
    with v1.variable_scope("text"):
        table = v1.get_variable("words/embedding_weights", [7, 3])
        y = v1.nn.embedding_lookup(table, words)
        pair, _ = v1.nn.bidirectional_dynamic_rnn(
            cells.BasicLSTMCell(2), cells.BasicLSTMCell(2), y, dtype=tf.float32, scope="both"
        )
        y, _ = v1.nn.dynamic_rnn(cells.BasicLSTMCell(3), tf.concat(pair, -1), dtype=tf.float32, scope="memory")
        y, _ = v1.nn.dynamic_rnn(cells.GRUCell(3), y, dtype=tf.float32, scope="summary")
    return v1.layers.dense(tf.concat([x, y[:, -1]], -1), 1, name="out")


def main():
    random = np.random.RandomState(0)
    golden = {
        "image": random.randn(3, 4, 5, 5, 2).astype("float32"),
        "words": random.randint(0, 7, (3, 4, 6)).astype("int32"),
        "wanted": random.randn(3, 4, 1).astype("float32"),
    }
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        image = v1.placeholder(tf.float32, [None, 5, 5, 2])
        words = v1.placeholder(tf.int32, [None, 6])
        wanted = v1.placeholder(tf.float32, [None, 1])
        training = v1.placeholder_with_default(False, [])
        output = network(image, words, training)
        loss = tf.reduce_mean(tf.square(output - wanted))
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            step = v1.train.AdamOptimizer(1e-2).minimize(loss, global_step=v1.train.get_or_create_global_step())
        variables = {v.op.name: v for v in v1.global_variables() if "/Adam" not in v.op.name and "/" in v.op.name}
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())

            def train(first, last):
                for number in range(first, last):
                    batch = [golden[key][number % 3] for key in ("image", "words", "wanted")]
                    session.run(step, {image: batch[0], words: batch[1], wanted: batch[2], training: True})

            def record(when):
                golden["output_" + when] = session.run(output, {image: golden["image"][0], words: golden["words"][0]})

            train(0, 20)
            v1.train.Saver().save(session, os.path.join(HERE, "network"), write_meta_graph=False, write_state=False)
            record("20")
            for first, last in ((20, 23), (23, 30)):
                train(first, last)
                record(str(last))
                values = session.run(variables)
                # In one array, in the order of their names: a small file.
                golden["variables_" + str(last)] = np.concatenate([values[name].ravel() for name in sorted(values)])
    np.savez_compressed(os.path.join(HERE, "network.npz"), **golden)


if __name__ == "__main__":
    main()
