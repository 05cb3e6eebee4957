"""What the compatibility matrix asks of the subject: one network, in TensorFlow 1 and as a Keras model, and its data.

It runs in TensorFlow 1.4 on Python 3.6 too, whose files people still have, so it asks nothing of the rest of gan/.
"""

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1 if hasattr(getattr(tf, "compat", None), "v1") else tf

NAME = "generator"
LATENT_SIZE = 100
LEARNING_RATE = 1e-3


def _dense(inputs, units, name, activation=None):
    """tf.layers.dense, and where Keras 3 has taken it away what it does, under the same names."""
    if hasattr(v1.layers, "Dense"):
        return v1.layers.dense(inputs, units, activation, name=name)
    with v1.variable_scope(name):
        kernel = v1.get_variable("kernel", (int(inputs.shape[-1]), units))
        outputs = tf.nn.bias_add(v1.matmul(inputs, kernel), v1.get_variable("bias", (units,)))
    return outputs if activation is None else activation(outputs)


def graph(inputs):
    """The network in a static graph: (batch, LATENT_SIZE) to (batch, 1)."""
    with v1.variable_scope(NAME):
        hidden = _dense(inputs, 64, "fc1", tf.nn.elu)
        hidden = _dense(hidden, 64, "fc2", tf.nn.elu)
        return _dense(hidden, 1, "G")


def keras_model():
    """The same network as a Keras model, its variables in the same order."""
    inputs = tf.keras.Input((LATENT_SIZE,))
    hidden = tf.keras.layers.Dense(64, activation="elu", name="fc1")(inputs)
    hidden = tf.keras.layers.Dense(64, activation="elu", name="fc2")(hidden)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(1, name="G")(hidden), name=NAME)


def golden_inputs():
    """(16, LATENT_SIZE) float32, always the same."""
    return np.random.RandomState(2024).uniform(-1, 1, (16, LATENT_SIZE)).astype(np.float32)


def batch(step):
    """The inputs (32, LATENT_SIZE) and the targets (32, 1) of training step `step`, float32."""
    random = np.random.RandomState(1000 + step)
    inputs = random.uniform(-1, 1, (32, LATENT_SIZE)).astype(np.float32)
    return inputs, (4 + 1.5 * inputs[:, :1] - inputs[:, 1:2] ** 2).astype(np.float32)
