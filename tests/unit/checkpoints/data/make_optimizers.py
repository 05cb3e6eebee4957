"""Makes optimizer_*: a layer after 20 steps of every optimizer, and what 10 further steps give. TensorFlow 1.15 only.

python tests/unit/checkpoints/data/make_optimizers.py
"""

import os

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
train = v1.train
HERE = os.path.dirname(os.path.abspath(__file__))
OPTIMIZERS = {
    "adam": lambda: train.AdamOptimizer(1e-2),
    "momentum": lambda: train.MomentumOptimizer(1e-2, 0.9),
    "rmsprop": lambda: train.RMSPropOptimizer(1e-2, decay=0.9, momentum=0.5, epsilon=1e-7),
    "centered": lambda: train.RMSPropOptimizer(1e-2, decay=0.9, momentum=0.5, epsilon=1e-7, centered=True),
    "adagrad": lambda: train.AdagradOptimizer(1e-2),
    "ftrl": lambda: train.FtrlOptimizer(1e-2),
    "sgd": lambda: train.GradientDescentOptimizer(1e-2),
}


def main():
    golden = {
        "x": np.random.RandomState(0).randn(8, 4).astype("float32"),
        "y": np.random.RandomState(1).randn(8, 3).astype("float32"),
    }
    for name, make in OPTIMIZERS.items():
        with tf.Graph().as_default():
            v1.set_random_seed(1)
            with v1.variable_scope("net"):
                kernel = v1.get_variable("fc/kernel", [4, 3], use_resource=True)
                bias = v1.get_variable("fc/bias", [3], use_resource=True)
            loss = tf.reduce_mean(tf.square(tf.matmul(golden["x"], kernel) + bias - golden["y"]))
            step = make().minimize(loss, global_step=train.get_or_create_global_step())
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                for _ in range(20):
                    session.run(step)
                path = os.path.join(HERE, "optimizer_" + name)
                train.Saver().save(session, path, write_meta_graph=False, write_state=False)
                for _ in range(10):
                    session.run(step)
                golden[name + "_kernel"], golden[name + "_bias"] = session.run([kernel, bias])
    np.savez_compressed(os.path.join(HERE, "optimizers.npz"), **golden)


if __name__ == "__main__":
    main()
