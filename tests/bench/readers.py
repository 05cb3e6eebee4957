"""Reads checkpoints when asked, in the interpreter that it was started with: a worker of `tests.bench.reading`.

    python -m tests.bench.readers checkpoints|fallback|tensorflow

`checkpoints` and `tensorflow` are the two sides; `fallback` is the first without the compiled CRC packages. Standard
input brings one question a line, a JSON list; standard output gives one answer a line. Imports happen before the
first answer, which says what reads.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping


class Checkpoints:
    """This project's reader, its CRC compiled (where a package for it is installed) or not."""

    def __init__(self, compiled):
        if not compiled:
            # An entry of None makes an import fail.
            sys.modules["crc32c"] = sys.modules["google_crc32c"] = None
        import numpy

        from checkpoints import crc32c, open_checkpoint

        self._open = open_checkpoint
        crc32c.crc32c(bytes(8 << 20))  # past the size from which a compiled package is looked for
        package = next((name for name in ("crc32c", "google_crc32c") if sys.modules.get(name)), "NumPy alone")
        self.description = f"NumPy {numpy.__version__}, CRC-32C by {package}"

    def list(self, prefix):
        """Names, types and shapes."""
        with self._open(prefix) as checkpoint:
            return [(info.name, info.dtype, info.shape) for info in checkpoint.tensors.values()]

    def read(self, prefix):
        """Every tensor, its checksum checked."""
        with self._open(prefix) as checkpoint:
            for name in checkpoint.tensors:
                checkpoint.read(name)

    def make(self, prefix, count, rows, columns):
        """Writes a checkpoint of `count` float32 tensors."""
        from checkpoints import write_saver

        write_saver(prefix, Made(int(count), (int(rows), int(columns))))


class Made(Mapping):
    """Tensors of random numbers, under such names as a network of many blocks has, made when they are asked for."""

    def __init__(self, count, shape):
        import numpy

        self._random = numpy.random.default_rng(0)
        self._shape = shape
        self._names = {f"tower_{n // 1000}/block_{n // 10:04d}/layer_{n:05d}/kernel": n for n in range(count)}

    def __getitem__(self, name):
        return self._random.standard_normal(self._shape, dtype="float32")

    def __iter__(self):
        return iter(self._names)

    def __len__(self):
        return len(self._names)


class TensorFlow:
    """TensorFlow's own reader, which checks the same checksums."""

    def __init__(self):
        import tensorflow

        self._load = tensorflow.train.load_checkpoint
        self.description = f"TensorFlow {tensorflow.__version__}"

    def list(self, prefix):
        """Names, types and shapes."""
        reader = self._load(prefix)
        types = reader.get_variable_to_dtype_map()
        shapes = reader.get_variable_to_shape_map()
        return [(name, types[name].name, shapes[name]) for name in sorted(shapes)]

    def read(self, prefix):
        """Every tensor."""
        reader = self._load(prefix)
        for name in sorted(reader.get_variable_to_shape_map()):
            reader.get_tensor(name)


def main():
    """Answers until standard input ends. With `list PREFIX` behind the side, lists that one file as a user would."""
    side, *question = sys.argv[1:]
    reader = TensorFlow() if side == "tensorflow" else Checkpoints(side == "checkpoints")
    if question:
        for row in reader.list(question[1]):
            print(*row)
        return
    print(json.dumps(reader.description), flush=True)
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        begun = time.perf_counter()
        getattr(reader, what)(*arguments)
        print(json.dumps(time.perf_counter() - begun), flush=True)


if __name__ == "__main__":
    main()
