"""Reads damaged bundles and V1 checkpoints with TensorFlow and with this project, and says where they disagree.

`python -m tests.unit.checkpoints.fuzzing.beside_tensorflow --count 1000`, in an environment with TensorFlow. Nothing
that TensorFlow refuses may be read, and what both read must be the same. TensorFlow ends the process on some damaged
files, so that each is read in a process of its own.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from typing import Any, Callable

import numpy as np

from checkpoints import CheckpointError, open_checkpoint

from .files import bundle, v1
from .mutate import Mutator

REFUSED = "refused"
ENDED = "ended with"
ERROR = "the whole file"
Listing = dict  # name: [type, shape, digest of the value]; or ERROR: why the file is refused


def digest(value: Any) -> str:
    """What tells one value from another: for strings with their borders, else the bytes."""
    array = np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)
    if array.dtype == object:
        parts = [item if isinstance(item, bytes) else item.encode("utf-8") for item in array.reshape(-1).tolist()]
        return hashlib.sha256(b"".join(b"%d:" % len(part) + part for part in parts)).hexdigest()
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def by_this_project(path: str) -> Listing:
    """What this project reads."""
    found = {}
    with open_checkpoint(path) as checkpoint:
        for name, info in checkpoint.tensors.items():
            try:
                value = checkpoint.read(name)
                read = digest(value[value.dtype.names[0]] if value.dtype.names else value)
            except CheckpointError:
                read = REFUSED
            found[name] = [info.dtype, list(info.shape), read]
    return found


def by_tensorflow(path: str, only: str | None = None) -> Listing:
    """What TensorFlow reads, by the operation that a Saver restores with; of one tensor, or (of "") of none."""
    import tensorflow as tf
    from tensorflow.python.ops import gen_io_ops

    if not os.path.exists(path) and not os.path.exists(path + ".index"):
        path += "-?????-of-00003"
    reader = tf.train.load_checkpoint(path)
    types = reader.get_variable_to_dtype_map()
    found = {}
    for name, shape in reader.get_variable_to_shape_map().items():
        read = REFUSED
        try:
            if only in (None, name):
                read = digest(gen_io_ops.restore_v2(path, [name], [""], [types[name]])[0].numpy())
        except (tf.errors.OpError, ValueError, NotImplementedError):
            pass
        found[name] = [types[name].name, list(shape), read]
    return found


def apart(read: Callable[[str], Listing], path: str) -> Listing:
    """What `read` says, in a process of its own, which it may end; nothing if it takes more than a minute."""
    here, there = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.alarm(60)
            try:
                found = read(path)
            except Exception as error:
                found = {ERROR: f"{type(error).__name__}: {error}"[:300]}
            with os.fdopen(there, "wb") as stream:
                stream.write(json.dumps(found).encode("ascii"))
        finally:
            os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as stream:
        said = stream.read()
    _, status = os.waitpid(child, 0)
    return json.loads(said.decode("ascii")) if said else {ERROR: f"{ENDED} {status}"}


def tensor_by_tensor(path: str) -> Listing:
    """What TensorFlow reads where some tensors, but not all, end its process."""
    found = apart(lambda path: by_tensorflow(path, ""), path)
    for name in found if ERROR not in found else ():
        found[name] = apart(lambda path, name=name: by_tensorflow(path, name), path).get(name, found[name])
    return found


def disagreements(ours: Listing, theirs: Listing) -> list[str]:
    """What we accept and TensorFlow does not, or reads otherwise, in words."""
    if ERROR in ours:
        return []
    if ERROR in theirs:
        return [] if all(read == REFUSED for _, _, read in ours.values()) else [f"TensorFlow: {theirs[ERROR]}"]
    found = []
    for name, (dtype, shape, read) in ours.items():
        other = theirs.get(name)
        if read == REFUSED:
            continue
        if other is None or other[2] == REFUSED:
            found.append(f"{name!r}: read here alone")
        elif [dtype, shape, read] != other:
            found.append(f"{name!r}: {dtype} {shape}, by TensorFlow {other[0]} {other[1]}, or another value")
    return found


def compare(seed: int, counts: collections.Counter[str]) -> list[str]:
    """The disagreements about the inputs of `seed`, one of each kind; `counts` is kept."""
    found = []
    for make in (bundle, v1):
        folder = tempfile.mkdtemp(prefix="beside-")
        try:
            path = make(Mutator(seed), folder)
            ours, theirs = apart(by_this_project, path), apart(by_tensorflow, path)
            if theirs.get(ERROR, "").startswith(ENDED) and ERROR not in ours:
                theirs = tensor_by_tensor(path)
        finally:
            shutil.rmtree(folder)
        counts["inputs"] += 1
        counts[
            "refused by both" if ERROR in ours and ERROR in theirs else "listed by both" if ERROR not in ours else "x"
        ] += 1
        counts["refused here alone"] += ERROR in ours and ERROR not in theirs
        if ERROR not in ours and ERROR not in theirs:
            same = [name for name in ours if name in theirs and ours[name] == theirs[name] and ours[name][2] != REFUSED]
            counts["tensors read alike"] += len(same)
        found += [f"{make.__name__} {seed}: {what}" for what in disagreements(ours, theirs)]
    return found


def main() -> int:
    """Prints disagreements, then counts; 1 if there is a disagreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import tensorflow as tf

    tf.compat.v1.enable_eager_execution()
    tf.zeros(1)
    counts: collections.Counter[str] = collections.Counter()
    found: list[str] = []
    for seed in range(options.seed, options.seed + options.count):
        for what in compare(seed, counts):
            print(what, flush=True)
            found.append(what)
    counts.pop("x", None)
    print(f"TensorFlow {tf.__version__}:", ", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
