"""Makes configured.* beside this file: layers of TF 1 configured otherwise than by default, and what they compute.

TensorFlow 1.15 only: python tests/unit/checkpoints/data/make_configured.py
"""

import os

import numpy as np
import tensorflow as tf
from tensorflow.contrib import layers as contrib_layers
from tensorflow.contrib import rnn as contrib_rnn
from tensorflow.contrib import slim

v1 = tf.compat.v1
cells = v1.nn.rnn_cell
HERE = os.path.dirname(os.path.abspath(__file__))
RANDOM = v1.random_normal_initializer(stddev=0.5, seed=3)
POSITIVE = v1.random_uniform_initializer(0.5, 2.0, seed=4)


def feedforward(image, sequence, flat):
    """tf.layers, and what people write with tf.nn."""
    layers = v1.layers
    yield "dense", layers.dense(flat, 3, activation=tf.nn.elu, name="dense")
    yield "dense3", layers.dense(sequence, 3, activation=tf.nn.leaky_relu, name="dense3")
    yield "logits", tf.nn.softmax(layers.dense(flat, 3, name="logits"))
    yield "conv1", layers.conv1d(sequence, 3, 2, strides=2, padding="same", activation=tf.tanh, name="conv1")
    yield "conv2", layers.conv2d(image, 3, 3, strides=(2, 1), padding="same", activation=tf.nn.relu, name="conv2")
    yield "dilated", layers.conv2d(image, 3, 3, dilation_rate=2, padding="same", name="dilated")
    yield "conv3", layers.conv3d(image[..., None], 2, 2, strides=2, activation=tf.sigmoid, name="conv3")
    yield "transposed", layers.conv2d_transpose(image, 3, 3, strides=2, padding="same", name="transposed")
    yield "separable", layers.separable_conv2d(image, 3, 2, strides=2, activation=tf.nn.relu6, name="separable")
    with v1.variable_scope("raw"):
        kernel = v1.get_variable("weights", [3, 3, 2, 3])
        padded = tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]])
        convolved = tf.nn.conv2d(padded, kernel, [1, 2, 2, 1], "VALID") + v1.get_variable("biases", [3])
        yield "raw", tf.maximum(0.1 * convolved, convolved)
    with v1.variable_scope("pooled"):
        kernel = v1.get_variable("weights", [3, 3, 2, 3])
        convolved = tf.nn.bias_add(tf.nn.conv2d(image, kernel, [1, 1, 1, 1], "SAME"), v1.get_variable("biases", [3]))
        yield "pooled", tf.nn.relu(tf.nn.max_pool(convolved, 2, 2, "VALID"))
    with v1.variable_scope("depthwise"):
        kernel = v1.get_variable("depthwise_weights", [2, 2, 2, 2])
        yield "depthwise", tf.nn.depthwise_conv2d(image, kernel, [1, 2, 2, 1], "SAME")
    yield "slim", slim.conv2d(image, 3, 3, stride=2, activation_fn=tf.nn.selu, scope="slim")


def normalized(image, flat):
    """Batch and layer normalization of tf.layers and contrib, with moving values as if trained."""
    options = {"gamma_initializer": RANDOM, "beta_initializer": RANDOM, "moving_mean_initializer": RANDOM}
    options["moving_variance_initializer"] = POSITIVE
    training = v1.placeholder_with_default(False, (), "is_training")
    layers = v1.layers
    yield (
        "fused",
        layers.batch_normalization(image, epsilon=1e-4, momentum=0.9, training=training, name="fused", **options),
    )
    yield "written", layers.batch_normalization(flat, epsilon=0.02, name="written", **options)
    initial = {"beta": RANDOM, "moving_mean": RANDOM, "moving_variance": POSITIVE}
    yield (
        "slim_norm",
        slim.batch_norm(
            image, is_training=training, decay=0.95, epsilon=0.01, param_initializers=initial, scope="slim_norm"
        ),
    )
    yield "layer", contrib_layers.layer_norm(flat, scope="layer/LayerNorm")


def recurrent(sequence):
    """Cells in a loop, unrolled, and in one operation."""
    made = {
        "basic": cells.BasicLSTMCell(2, forget_bias=0.25, activation=tf.nn.softsign),
        "full": cells.LSTMCell(2, forget_bias=0.5),
        "gru": cells.GRUCell(2, activation=tf.nn.relu),
        "plain": cells.BasicRNNCell(2, activation=tf.nn.relu),
        "block": contrib_rnn.LSTMBlockCell(2, forget_bias=0.75),
    }
    for name, cell in made.items():
        with v1.variable_scope(name):
            yield name, v1.nn.dynamic_rnn(cell, sequence, dtype=tf.float32)[0]
    with v1.variable_scope("unrolled"):
        steps = tf.unstack(sequence, axis=1)
        outputs, _ = v1.nn.static_rnn(cells.BasicLSTMCell(2, forget_bias=2.0), steps, dtype=tf.float32)
        yield "unrolled", tf.stack(outputs, 1)
    with v1.variable_scope("both"):
        pair, _ = v1.nn.bidirectional_dynamic_rnn(cells.GRUCell(2), cells.GRUCell(2), sequence, dtype=tf.float32)
        yield "both", tf.concat(pair, -1)


def keras_in_a_graph(image, sequence):
    """Layers of the release's Keras, as a Saver stores them."""
    layers = tf.keras.layers
    given = tf.keras.Input(tensor=sequence)
    options = {"return_sequences": True, "bias_initializer": RANDOM, "recurrent_initializer": RANDOM}
    for name, layer in (
        ("keras_lstm", layers.LSTM(2, name="keras_lstm", **options)),
        ("keras_gru", layers.GRU(2, name="keras_gru", **options)),
        ("keras_gru_after", layers.GRU(2, reset_after=True, name="keras_gru_after", **options)),
        ("keras_rnn", layers.SimpleRNN(2, activation="sigmoid", name="keras_rnn", **options)),
    ):
        yield name, layer(given)
    given = tf.keras.Input(tensor=image)
    conv = layers.DepthwiseConv2D(2, strides=2, activation="softplus", bias_initializer=RANDOM, name="keras_depthwise")
    yield "keras_depthwise", conv(given)
    norm = layers.LayerNormalization(epsilon=0.01, gamma_initializer=RANDOM, name="keras_layer_norm")
    yield "keras_layer_norm", norm(given)


def write_graph(saver, outputs):
    """The graph as a Saver writes it, without what initialises variables and describes loops for gradients."""
    meta = saver.export_meta_graph(clear_devices=True, strip_default_attrs=True)
    kept = [node.name for node in meta.graph_def.node if node.op in ("SaveV2", "AssignSub", "AssignSubVariableOp")]
    meta.graph_def.CopyFrom(v1.graph_util.extract_sub_graph(meta.graph_def, outputs + kept))
    meta.meta_info_def.ClearField("stripped_op_list")
    meta.ClearField("collection_def")
    with open(os.path.join(HERE, "configured.meta"), "wb") as stream:
        stream.write(meta.SerializeToString())


def main():
    random = np.random.RandomState(0)
    inputs = {
        "image": random.randn(2, 7, 7, 2).astype("f4"),
        "sequence": random.randn(2, 5, 3).astype("f4"),
        "flat": random.randn(4, 6).astype("f4"),
    }
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(1)
        fed = {name: v1.placeholder(tf.float32, (None, *x.shape[1:]), name) for name, x in inputs.items()}
        image, sequence, flat = fed["image"], fed["sequence"], fed["flat"]
        with v1.variable_scope("", initializer=RANDOM):
            outputs = dict(feedforward(image, sequence, flat))
            outputs.update(normalized(image, flat))
            outputs.update(recurrent(sequence))
        outputs.update(keras_in_a_graph(image, sequence))
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            saver = v1.train.Saver()
            saver.save(session, os.path.join(HERE, "configured"), write_meta_graph=False, write_state=False)
            write_graph(saver, [tensor.op.name for tensor in outputs.values()])
            feeds = {fed[name]: value for name, value in inputs.items()}
            values = session.run(outputs, feeds)
    np.savez_compressed(os.path.join(HERE, "configured.npz"), **inputs, **values)


if __name__ == "__main__":
    main()
