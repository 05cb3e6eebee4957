"""Makes the slots_*: what a Saver wrote of optimizers whose slots bear no name of TF 1's own, and ten further steps.

python make_slots.py        # in TF 1.15.5: Keras's optimizers in a static graph; TF 1's with names of the user's
python make_slots.py new    # in TF 2.12.1: Keras's new Adam in a static graph
"""

import os
import sys

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
v1 = tf.compat.v1
X = np.random.RandomState(0).randn(16, 4).astype("f4")
Y = np.random.RandomState(1).randn(16, 3).astype("f4")
CASES = {
    "keras_adam": lambda: tf.keras.optimizers.Adam(0.01),
    "keras_sgd": lambda: tf.keras.optimizers.SGD(0.01, momentum=0.9),
    "keras_rmsprop": lambda: tf.keras.optimizers.RMSprop(0.01),
    "keras_ftrl": lambda: tf.keras.optimizers.Ftrl(0.1),
    "named_adam": lambda: v1.train.AdamOptimizer(0.01, name="dis_opt"),
    "named_momentum": lambda: v1.train.MomentumOptimizer(0.01, 0.9, name="opt"),
}


def make(name, optimizer):
    v1.reset_default_graph()
    v1.set_random_seed(7)
    kernel = v1.get_variable("fc/kernel", (4, 3), use_resource=True)
    bias = v1.get_variable("fc/bias", (3,), use_resource=True)
    loss = tf.reduce_mean(tf.square(tf.matmul(tf.constant(X), kernel) + bias - Y))
    made = optimizer()
    gradients = list(zip(v1.gradients(loss, [kernel, bias]), [kernel, bias]))
    step = made.apply_gradients(gradients)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for _ in range(20):
            session.run(step)
        v1.train.Saver(v1.global_variables()).save(
            session, os.path.join(HERE, "slots_" + name), write_meta_graph=False, write_state=False
        )
        for _ in range(10):
            session.run(step)
        values = session.run([kernel, bias])
    np.savez(os.path.join(HERE, f"slots_{name}.npz"), x=X, y=Y, kernel=values[0], bias=values[1])


if sys.argv[1:] == ["new"]:
    v1.disable_eager_execution()

    def built():
        adam = tf.keras.optimizers.Adam(0.01)
        adam.build(v1.trainable_variables())
        return adam

    make("keras_new", built)
else:
    for case, factory in CASES.items():
        make(case, factory)
