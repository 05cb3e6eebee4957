"""Makes multi_backend_*: what Keras outside of TensorFlow saved of two layers and an optimizer, and ten further steps.

python make_multi_backend.py        # with Keras 2.2.4, h5py 2.10 and TF 1.15.5

The two layers do not depend on each other: that Keras updates one while it still reads it for the other's gradient, in
an order that differs from run to run. So it does with Adam's count, which is why Adam's further steps are not kept.
"""

import os

import keras
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = {
    "adam": lambda: keras.optimizers.Adam(lr=0.01),
    "sgd": lambda: keras.optimizers.SGD(lr=0.01, momentum=0.9),
    "rmsprop": lambda: keras.optimizers.RMSprop(lr=0.01),
}


def main():
    dice = np.random.RandomState(0)
    x, y = dice.randn(16, 4).astype("f4"), dice.randn(16, 3).astype("f4")
    for name, optimizer in CASES.items():
        keras.backend.clear_session()
        np.random.seed(1)
        inputs = keras.layers.Input((4,))
        # In an order that is not that of their names.
        outputs = [keras.layers.Dense(3, name=layer)(inputs) for layer in ("b_first", "a_last")]
        model = keras.models.Model(inputs, outputs)
        model.compile(loss="mse", optimizer=optimizer())
        for _ in range(7):
            model.train_on_batch(x, [y, -y])
        path = os.path.join(HERE, "multi_backend_" + name)
        model.save(path + ".h5")
        if name != "adam":
            for _ in range(10):
                model.train_on_batch(x, [y, -y])
            np.savez(path + ".npz", x=x, y=y, **{f"weight_{n}": w for n, w in enumerate(model.get_weights())})


if __name__ == "__main__":
    main()
