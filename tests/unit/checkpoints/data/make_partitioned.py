"""Makes partitioned.*: a partitioned variable whose slots have names that TF 1 cut short, and ten further steps.

python make_partitioned.py        # in TF 1.15.5
"""

import os

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    dice = np.random.RandomState(0)
    x, y = dice.randn(16, 5).astype("f4"), dice.randn(16, 3).astype("f4")
    v1.set_random_seed(3)
    with v1.variable_scope("dnn/fc", partitioner=v1.fixed_size_partitioner(2)):
        kernel = v1.get_variable("kernel", (5, 3))
        bias = v1.get_variable("bias", (3,), initializer=v1.zeros_initializer())
    whole = [tf.convert_to_tensor(kernel), tf.convert_to_tensor(bias)]
    loss = tf.reduce_mean(tf.square(tf.matmul(x, whole[0]) + whole[1] - y))
    # The canned estimators of TF 1 call their optimizers within a scope of variables.
    with v1.variable_scope("dnn"):
        train = v1.train.AdamOptimizer(0.01).minimize(loss, v1.train.get_or_create_global_step())
    path = os.path.join(HERE, "partitioned")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for _ in range(20):
            session.run(train)
        v1.train.Saver().save(session, path, write_meta_graph=False, write_state=False)
        for _ in range(10):
            session.run(train)
        values = session.run(whole)
    np.savez(path + ".npz", x=x, y=y, kernel=values[0], bias=values[1])


if __name__ == "__main__":
    main()
