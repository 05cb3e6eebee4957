"""Makes trained_*: a layer after five steps of Keras's Adam, as tf.train.Checkpoint saves it, and after five more.

trained_*_sgd: of SGD with momentum. Run it in TF 2.15 (legacy and new optimizers of Keras 2) and in 2.21 (Keras 3).

python tests/unit/checkpoints/data/make_trained.py
"""

import os

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
keras = tf.keras


def train(name, optimizer):
    random = np.random.RandomState(0)
    x, y = random.randn(8, 4).astype("float32"), random.randn(8, 3).astype("float32")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="fc")(inputs))
    model.set_weights([random.randn(4, 3), random.randn(3)])
    model.compile(optimizer=optimizer, loss="mse")
    for _ in range(5):
        model.train_on_batch(x, y)
    path = os.path.join(HERE, "trained_" + name)
    tf.train.Checkpoint(model=model, optimizer=optimizer).write(path)
    for _ in range(5):
        model.train_on_batch(x, y)
    kernel, bias = model.get_weights()
    np.savez_compressed(path + ".npz", x=x, y=y, kernel=kernel, bias=bias)


if __name__ == "__main__":
    if hasattr(keras, "version"):
        train("keras3", keras.optimizers.Adam(1e-2))
        train("keras3_sgd", keras.optimizers.SGD(1e-2, momentum=0.9))
    else:
        train("keras2", keras.optimizers.Adam(1e-2))
        train("legacy", keras.optimizers.legacy.Adam(1e-2))
        train("keras2_sgd", keras.optimizers.SGD(1e-2, momentum=0.9))
        train("legacy_sgd", keras.optimizers.legacy.SGD(1e-2, momentum=0.9))
