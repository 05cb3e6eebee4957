"""Write what the oldest TensorFlow 1 writes, as artifacts to commit: they have no environment of their own.

    uv run --no-project --python 3.6 --with "tensorflow==1.12.3,protobuf<3.20,numpy<1.17" \\
        python -m tests.pairs.write_oldest tests/pairs/oldest

Python 3.6, standard library, NumPy and that TensorFlow. Every kind of a static graph is written, with its manifest.
"""

import hashlib
import json
import os
import shutil
import sys

import numpy as np
import tensorflow as tf

from tests.pairs.catalogue import graph_kinds


def digest(path):
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def manifest(folder, kind, producer):
    """The manifest of the artifact in `folder`, as the host writes it for others."""
    files = [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names]
    return {
        "kind": kind,
        "environment": producer,
        "cell": "tests/pairs/write_oldest.py",
        "versions": {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "sha256": {os.path.relpath(path, folder).replace(os.sep, "/"): digest(path) for path in sorted(files)},
    }


def main(root):
    """Write every kind below `root`/KIND/PRODUCER."""
    producer = "cpu-tf" + tf.__version__.rpartition(".")[0]
    for name, kind in sorted(graph_kinds().items()):
        artifact = "matrix-" + name
        folder = os.path.join(root, artifact, producer)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        kind.write(folder)
        text = json.dumps(manifest(folder, artifact, producer), indent=2, sort_keys=True)
        with open(os.path.join(folder, "manifest.json"), "w") as file:
            file.write(text + "\n")
        print(folder)


if __name__ == "__main__":
    main(sys.argv[1])
