"""The ids that graphs are fed with, for whatever they look up with them."""

from __future__ import annotations

import pytest

from checkpoints.graph_ids import id_limit

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1


def table(rows, name="table", **options):
    return v1.get_variable(name, (rows, 3), tf.float32, **options)


def in_slices(strategy):
    slices = v1.fixed_size_partitioner(3)
    return lambda x: v1.nn.embedding_lookup(table(11, partitioner=slices), x, partition_strategy=strategy)


LOOKUPS = [
    (lambda x: v1.nn.embedding_lookup(table(50), x), 50),
    (lambda x: tf.gather(table(50), tf.cast(tf.reshape(x, (-1,)), tf.int64)), 50),
    (lambda x: tf.gather(table(50, use_resource=True), x), 50),
    (lambda x: tf.gather(table(50), x) + tf.gather(table(20, "small"), x), 20),
    (lambda x: tf.one_hot(x, 17), 17),
    (in_slices("mod"), 11),
    (in_slices("div"), 11),
    # Nobody knows what range a hash has, or a row that was counted.
    (lambda x: tf.gather(table(50), x + 40), None),
    (lambda x: tf.cast(x, tf.float32) * 2.0, None),
    (lambda x: tf.gather(tf.range(9), tf.argmax(tf.one_hot(x, 5), -1)), 5),
]


@pytest.mark.parametrize("look_up, rows", LOOKUPS)
def test_rows_of_tables(look_up, rows):
    with tf.Graph().as_default():
        ids = v1.placeholder(tf.int32, (None, None), "ids")
        look_up(ids)
        assert id_limit(ids) == rows
