"""Makes the checkpoints beside this file, and what TensorFlow itself reads in them. Run it with TensorFlow 1.15.

python tests/unit/checkpoints/data/make_data.py
"""

import os

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
HERE = os.path.dirname(os.path.abspath(__file__))
BUNDLE_TYPES = (
    "float32 float64 int32 uint8 int16 int8 complex64 int64 bool bfloat16 uint16 complex128 float16 uint32 uint64"
)
QUANTIZED = ["qint8", "quint8", "qint32"]


def here(name):
    return os.path.join(HERE, name)


def values(name):
    """Numbers of both signs (where the type has them) in the TensorFlow type `name`."""
    dtype = tf.as_dtype(name).as_numpy_dtype
    if name in QUANTIZED:
        return np.arange(6).reshape(2, 3).astype(dtype)
    numbers = np.random.RandomState(0).randn(3, 5).astype("float32") * 50
    if name == "bool":
        return numbers > 0
    return (np.abs(numbers) if name.startswith("u") else numbers).astype(dtype)


def every_type(names):
    tensors = {"d/" + name: tf.constant(values(name), dtype=name) for name in names}
    tensors["s/scalar"] = tf.constant(b"hello")
    tensors["s/array"] = tf.constant([[b"", b"a\0b"], ["\u00e9".encode("utf-8") * 200, b"x" * 300]])
    tensors["scalar"] = tf.constant(np.float32(3.5))
    tensors["empty"] = tf.constant(np.zeros((0, 4), "f4"))
    return tensors


def write_types():
    with tf.Graph().as_default(), v1.Session() as session:
        tensors = every_type(BUNDLE_TYPES.split() + QUANTIZED)
        names = sorted(tensors)
        session.run(
            tf.raw_ops.SaveV2(
                prefix=here("part_of_types"),
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                tensors=[tensors[name] for name in names],
            )
        )
        session.run(
            tf.raw_ops.MergeV2Checkpoints(
                checkpoint_prefixes=[here("part_of_types")], destination_prefix=here("types"), delete_old_dirs=False
            )
        )
    with tf.Graph().as_default(), v1.Session() as session:
        old = [name for name in BUNDLE_TYPES.split() if name not in ("bfloat16", "uint32", "uint64")]
        tensors = every_type(old + QUANTIZED)
        names = sorted(tensors)
        session.run(
            tf.raw_ops.Save(filename=here("types_v1"), tensor_names=names, data=[tensors[name] for name in names])
        )


def write_partitioned():
    with tf.Graph().as_default():
        random = v1.random_normal_initializer(seed=1)
        with v1.variable_scope("rows", partitioner=v1.fixed_size_partitioner(3)):
            v1.get_variable("w", [10, 4], initializer=random)
        with v1.variable_scope("columns", partitioner=v1.fixed_size_partitioner(4, axis=1)):
            v1.get_variable("w", [5, 9], initializer=random)
        for place in range(2):
            with tf.device(f"/cpu:{place}"):
                v1.get_variable(f"on_cpu{place}", [7], initializer=random)
        config = v1.ConfigProto(device_count={"CPU": 2}, allow_soft_placement=True)
        with v1.Session(config=config) as session:
            session.run(v1.global_variables_initializer())
            old = v1.train.SaverDef.V1
            v1.train.Saver().save(session, here("part"), write_meta_graph=False)
            v1.train.Saver(write_version=old).save(session, here("part_v1"), write_meta_graph=False)
            v1.train.Saver(sharded=True).save(session, here("shard"), write_meta_graph=False)
            v1.train.Saver(sharded=True, write_version=old).save(session, here("shard_v1"), write_meta_graph=False)


def write_adam():
    with tf.Graph().as_default():
        with v1.variable_scope("generator"):
            kernel = v1.get_variable("fc1/kernel", [4, 3], initializer=v1.random_normal_initializer(seed=1))
            bias = v1.get_variable("fc1/bias", [3])
        loss = tf.reduce_sum(tf.square(kernel)) + tf.reduce_sum(tf.square(bias))
        step = v1.train.AdamOptimizer(1e-3).minimize(loss, global_step=v1.train.get_or_create_global_step())
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for _ in range(5):
                session.run(step)
            v1.train.Saver().save(session, here("adam"), write_meta_graph=False)


def write_expected():
    """What TensorFlow reads, plain: extension types as their stored integers, strings as their hexadecimal digits."""
    expected = {}
    # TensorFlow's V1 reader refuses slices and some types; the V1 files hold what their V2 namesakes hold.
    for base in ("types", "part", "shard", "adam"):
        reader = v1.train.NewCheckpointReader(here(base))
        for name in reader.get_variable_to_shape_map():
            value = np.array(reader.get_tensor(name), dtype=object if name.startswith("s/") else None)
            if value.dtype == object:
                value = np.array([item.hex() for item in value.reshape(-1)]).reshape(value.shape)
            elif value.dtype.names:
                value = value[value.dtype.names[0]]
            elif value.dtype.kind == "V":
                value = value.view(np.uint16)
            expected[base + ":" + name] = value
    np.savez_compressed(here("expected.npz"), **expected)


if __name__ == "__main__":
    write_types()
    write_partitioned()
    write_adam()
    write_expected()
    for left in ("checkpoint", "part_of_types.index", "part_of_types.data-00000-of-00001"):
        if os.path.exists(here(left)):
            os.remove(here(left))
