"""Makes objects_keras2.* and objects_keras3.*: one model, saved by tf.train.Checkpoint. Run it in TF 2.15 and in 2.21.

python tests/unit/checkpoints/data/make_objects.py
"""

import os

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))


def build():
    """An LSTM, a normalization, and two dense layers of one shape."""
    layers = tf.keras.layers
    inputs = tf.keras.Input((5, 3))
    x = layers.LSTM(2, name="rnn")(inputs)
    x = layers.Dense(2, name="fc1")(x)
    x = layers.BatchNormalization(name="bn")(x)
    return tf.keras.Model(inputs, layers.Dense(2, name="fc2")(x))


def main():
    generation = 3 if hasattr(tf.keras, "version") else 2
    model = build()
    random = np.random.RandomState(generation)
    model.set_weights([random.randn(*weight.shape).astype("float32") for weight in model.get_weights()])
    optimizer = tf.keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    path = os.path.join(HERE, f"objects_keras{generation}")
    tf.train.Checkpoint(model=model, optimizer=optimizer).write(path)
    np.savez_compressed(path + ".npz", *model.get_weights())


if __name__ == "__main__":
    main()
