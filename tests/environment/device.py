"""What runs in a process of its own, so that TensorFlow's log of it can be read: `python -m tests.environment.device`.

    libraries    open every CUDA library, by the functions with which this TensorFlow opens them
    tf1, tf2     compute every op in OPS on the GPU and on the CPU, as a graph in a session or eagerly

Each prints one line of JSON. TensorFlow's own log goes to stderr.
"""

from __future__ import annotations

import ctypes
import glob
import json
import os
import re
import sys

import numpy as np

#: The libraries of CUDA that TensorFlow has a function to open. Not asked for: the driver's libcuda and NVML, which
#: come from the host; TensorRT and NVSHMEM, which TensorFlow does without; and ROCm's.
LIBRARIES = "CudaRuntime Cublas CublasLt Cufft Curand Cusolver Cusparse Cudnn Cupti Nccl".split()

#: Where the functions are: in stream_executor until 2.10, in tsl after.
NAMESPACES = ("15stream_executor", "3tsl")


def random(*shape):
    return np.random.RandomState(7).normal(size=shape).astype(np.float32)


#: Each op with its inputs, and how far the GPU's result may be from the CPU's, relative to the largest element. Sums of
#: n products may differ by n/2 roundings of 6e-8 in the worst case; these are well below it, and far below what TF32
#: (5e-4) or half precision (1e-3) would give.
OPS = {
    "MatMul": (lambda tf, x, y: tf.matmul(x, y), (random(128, 256), random(256, 64)), 5e-6),
    "Conv2D": (
        lambda tf, x, y: tf.nn.conv2d(x, y, strides=[1, 1, 1, 1], padding="SAME"),
        (random(4, 16, 16, 8), random(3, 3, 8, 16)),
        5e-5,  # cuDNN may take Winograd's algorithm, which has more to round
    ),
    "Sum": (lambda tf, x: tf.reduce_sum(x, axis=0), (random(4096, 8),), 5e-6),
    "Softmax": (lambda tf, x: tf.nn.softmax(x), (random(64, 100),), 1e-6),
    "Elu": (lambda tf, x: tf.nn.elu(x), (random(64, 64),), 1e-6),
    "Sigmoid": (lambda tf, x: tf.nn.sigmoid(x), (random(64, 64),), 1e-6),
}


def libraries():
    """Call every function that opens one of LIBRARIES, and say so before; TensorFlow's log has what came of it."""
    import tensorflow as tf

    framework = sorted(glob.glob(os.path.join(tf.sysconfig.get_lib(), "libtensorflow_framework.so*")))[0]
    loaded = ctypes.CDLL(framework)
    called = []
    for name in LIBRARIES:
        function = "Get{}DsoHandle".format(name)
        for namespace in NAMESPACES:
            try:
                call = getattr(loaded, "_ZN{}8internal9DsoLoader{}{}Ev".format(namespace, len(function), function))
            except AttributeError:
                continue
            print("opening " + name, file=sys.stderr, flush=True)
            call.restype = None
            call((ctypes.c_uint64 * 32)())  # a StatusOr<void*>, which the caller gives the memory for
            called.append(name)
    print("opened all", file=sys.stderr, flush=True)
    return called


def compare(results):
    """{op: {"difference": relative to the largest element, "device": …}} of {op: {"cpu": array, "gpu": array}}."""
    compared = {}
    for name, found in results.items():
        largest = float(np.max(np.abs(found["cpu"])))
        difference = float(np.max(np.abs(found["gpu"].astype(np.float64) - found["cpu"]))) / largest
        compared[name] = {"difference": difference, "bound": OPS[name][2]}
    return compared


def tf1():
    """Every op in a graph: where it ran and what memory it took, as the metadata of the run says."""
    import tensorflow.compat.v1 as tf

    results, devices, taken = {}, {}, 0
    for name, (op, inputs, _) in OPS.items():
        results[name] = {}
        for device in ("cpu", "gpu"):
            with tf.Graph().as_default(), tf.device("/{}:0".format(device)):
                fed = [tf.placeholder(tf.float32, value.shape) for value in inputs]
                output = op(tf, *fed)
                metadata = tf.RunMetadata()
                options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
                # Nothing is moved elsewhere: an op that the GPU has not is an error, not one on the CPU.
                config = tf.ConfigProto(allow_soft_placement=False, log_device_placement=True)
                with tf.Session(config=config) as session:
                    feed = dict(zip(fed, inputs))
                    results[name][device] = session.run(output, feed, options=options, run_metadata=metadata)
                if device == "gpu":
                    stats = [(d.device, node) for d in metadata.step_stats.dev_stats for node in d.node_stats]
                    mine = [(where, node) for where, node in stats if node.node_name == output.op.name]
                    devices[name] = sorted({where for where, _ in mine})
                    for _, node in mine:
                        taken += sum(m.total_bytes for m in node.memory if re.match(r"(?i)gpu_\d", m.allocator_name))
    return {"ops": compare(results), "devices": devices, "bytes": taken}


def tf2():
    """Every op eagerly: where the tensors are. Where the ops ran stands in the log."""
    import tensorflow as tf

    tf.debugging.set_log_device_placement(True)
    results, devices = {}, {}
    for name, (op, inputs, _) in OPS.items():
        results[name] = {}
        for device in ("cpu", "gpu"):
            with tf.device("/{}:0".format(device)):
                output = op(tf, *[tf.constant(value) for value in inputs])
                results[name][device] = output.numpy()
        devices[name] = [output.device]
    info = getattr(tf.config.experimental, "get_memory_info", None)  # from 2.5 on
    return {"ops": compare(results), "devices": devices, "bytes": info("GPU:0")["peak"] if info else None}


if __name__ == "__main__":
    print(json.dumps({"libraries": libraries, "tf1": tf1, "tf2": tf2}[sys.argv[1]]()))
