"""Makes unequal.*: two Adams and a Momentum of TF 1 with unequal steps and one `global_step`, and ten further rounds.

python make_unequal.py        # in TF 1.15.5
"""

import os

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = {"a": 3, "b": 40, "c": 7}


def main():
    dice = np.random.RandomState(0)
    x, y = dice.randn(16, 4).astype("f4"), dice.randn(16, 3).astype("f4")
    v1.set_random_seed(3)
    counter = v1.train.get_or_create_global_step()
    trains = {}
    inputs, wanted = v1.placeholder("float32", x.shape), v1.placeholder("float32", y.shape)
    for name in STEPS:
        with v1.variable_scope(name):
            layer = [v1.get_variable("kernel", (4, 3)), v1.get_variable("bias", (3,))]
        loss = tf.reduce_mean(tf.square(tf.matmul(inputs, layer[0]) + layer[1] - wanted))
        optimizer = v1.train.MomentumOptimizer(0.01, 0.9) if name == "c" else v1.train.AdamOptimizer(0.01)
        trains[name] = optimizer.minimize(loss, counter, layer)
    saver = v1.train.Saver()
    path = os.path.join(HERE, "unequal")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for name, train in trains.items():
            for _ in range(STEPS[name]):
                session.run(train, {inputs: x, wanted: y})
        saver.save(session, path, write_meta_graph=False, write_state=False)
        # As a Saver writes it, without the shapes and defaults that make it long.
        v1.train.export_meta_graph(
            path + ".meta",
            graph_def=v1.get_default_graph().as_graph_def(),
            saver_def=saver.as_saver_def(),
            strip_default_attrs=True,
        )
        for _ in range(10):
            for train in trains.values():
                session.run(train, {inputs: x, wanted: y})
        values = {variable.op.name.replace("/", "."): session.run(variable) for variable in v1.trainable_variables()}
    np.savez(path + ".npz", x=x, y=y, **values)


if __name__ == "__main__":
    main()
