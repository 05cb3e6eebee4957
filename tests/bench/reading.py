"""What reading and converting checkpoints costs, beside TensorFlow's own reader: `nox -s "bench(reading)"`.

Measured in one run on files that the bench makes and removes: listing as a whole process, reading every tensor with
its checksum checked, converting (time beside `cp`, peak memory), loading into a Keras model (peak memory), and how
cost grows with tensors and bytes. Sides alternate, the page cache is warm on all, and figures are medians with the
least and the greatest; nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from matrix.engine import VirtualEnvironments
from matrix.project import Project
from tests.bench.measure import MIB, ROOT, Child, Worker, alternate, ratios, show, spread

TENSORS = 64
MANY = 9000
COUNTS = (100, 1000, 10_000, 100_000)


def tensorflow_python(release):
    """The interpreter of that release's environment, made as the venv engine makes it, if it is not there yet."""
    project = Project(ROOT)
    environment = project.environment(f"cpu-tf{release}")
    log = project.reports / "logs" / "bench.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    prepared = VirtualEnvironments(project).prepare(environment, log, print)
    return project.state / "venvs" / prepared.image / "bin" / "python"


def listing(what, prefix, python, rounds):
    """`inspect` against importing TensorFlow and listing the same file, each a process from its start to its end."""
    print(f"listing {what}, whole process")
    ours = [sys.executable, "-m", "checkpoints", "inspect", prefix]
    theirs = [python, "-m", "tests.bench.readers", "tensorflow", "list", prefix]
    sides = {
        "inspect": lambda: Child(ours).seconds,
        "inspect --json": lambda: Child([*ours, "--json"]).seconds,
        "TensorFlow": lambda: Child(theirs).seconds,
        "Python that does nothing": lambda: Child([sys.executable, "-c", "pass"]).seconds,
    }
    taken = alternate(sides, rounds)
    for name, figure in taken.items():
        show(name, figure)
    for name in ("inspect", "inspect --json"):
        show(f"TensorFlow / {name}", ratios(taken["TensorFlow"], taken[name]))


def reading(prefix, workers, rounds):
    """Every tensor of the large file in processes that have imported what they need."""
    size = os.path.getsize(f"{prefix}.data-00000-of-00001")
    print(f"reading {size / MIB:.0f} MiB in {TENSORS} tensors, checksums checked, in-process")
    taken = alternate({name: lambda w=worker: w.ask("read", prefix) for name, worker in workers.items()}, rounds)
    for name, figure in taken.items():
        show(name, f"{figure}, {size / MIB / figure.median:.0f} MiB/s")
    for name in ("checkpoints", "fallback"):
        show(f"TensorFlow / {name}", ratios(taken["tensorflow"], taken[name]))


def converting(prefix, folder, rounds):
    """To a Saver's files and to safetensors, against `cp` of as many bytes: bare, and with its data on the disk too."""
    data = f"{prefix}.data-00000-of-00001"
    peaks = {}

    def convert(target):
        def measure():
            command = [sys.executable, "-m", "checkpoints", "convert", prefix, "--to", out / target]
            return run(command, target)

        return measure

    def run(command, name):
        out.mkdir()
        os.sync()  # what the side before left to be written is not this side's
        try:
            child = Child(command)
            peaks.setdefault(name, []).append(child.peak)
            return child.seconds
        finally:
            shutil.rmtree(out)

    out = folder / "out"
    synced = ["sh", "-c", 'cp "$0" "$1" && sync "$1"', data, out / "copy"]
    taken = alternate(
        {
            "Saver V2": convert("copy.ckpt"),
            "safetensors": convert("copy.safetensors"),
            "cp": lambda: run(["cp", data, out / "copy"], "cp"),
            "cp, then sync of the copy": lambda: run(synced, "cp"),
        },
        rounds,
    )
    print(f"converting {os.path.getsize(data) / MIB:.0f} MiB, whole process")
    for name, figure in taken.items():
        show(name, f"{figure}, {os.path.getsize(data) / MIB / figure.median:.0f} MiB/s")
    for name in ("Saver V2", "safetensors"):
        for copy in ("cp", "cp, then sync of the copy"):
            show(f"rate of {name} / rate of {copy}", ratios(taken[copy], taken[name]))
    base = Child([sys.executable, "-c", "pass"]).peak
    for name, target in (("Saver V2", "copy.ckpt"), ("safetensors", "copy.safetensors")):
        show(f"peak memory, {name}", spread([peak / MIB for peak in peaks[target]], "MiB"))
    show("peak memory, Python that does nothing", f"{base / MIB:.1f} MiB")


def loading(prefix, python, width, rounds):
    """Into a Keras model: how much more than the built model the process holds at the most."""
    command = [python, "-m", "tests.bench.keras_load", prefix, str(TENSORS), str(width)]
    rows = [json.loads(Child(command, subprocess.PIPE).printed) for _ in range(rounds)]
    print("loading into a Keras model")
    show("weights", f"{rows[0]['weights'] / MIB:.0f} MiB, the largest {4 * width * width / MIB:.0f} MiB")
    show("held before", spread([row["held"] / MIB for row in rows], "MiB"))
    show("more at the peak", spread([(row["peak"] - row["held"]) / MIB for row in rows], "MiB"))
    show("time", spread([row["seconds"] for row in rows], "s"))


def growth(maker, folder, workers, rounds):
    """Listing and reading files of more and more tensors, and of more and more bytes."""
    sides = {name: worker for name, worker in workers.items() if name != "fallback"}
    print("growth with tensors of 128 bytes, in-process")
    for count in COUNTS:
        prefix = folder / f"n{count}"
        maker.ask("make", prefix, count, 4, 8)
        for what in ("list", "read"):
            _grown(f"{what} {count} tensors", what, prefix, sides, rounds, 1e6 / count, "us a tensor")
        _remove(prefix)
    print(f"growth with bytes, {TENSORS} tensors, in-process")
    for width in (256, 512, 1024, 2048):
        prefix = folder / f"w{width}"
        maker.ask("make", prefix, TENSORS, width, width)
        size = 4 * width * width * TENSORS
        _grown(f"read {size // MIB} MiB", "read", prefix, sides, rounds, 1e3 * MIB / size, "ms a MiB")
        _remove(prefix)


def _grown(label, what, prefix, sides, rounds, scale, unit):
    taken = alternate({name: lambda w=worker: w.ask(what, prefix) for name, worker in sides.items()}, rounds)
    for name, figure in taken.items():
        show(f"{label}, {name}", f"{spread([scale * seconds for seconds in figure.seconds], unit)}")


def _remove(prefix):
    for suffix in (".index", ".data-00000-of-00001"):
        Path(f"{prefix}{suffix}").unlink()


def measure(options, folder):
    """Everything that was asked for, in `folder`."""
    python = options.tensorflow or tensorflow_python(options.release)
    large, many = folder / "large", folder / "many"
    with contextlib.ExitStack() as stack:
        workers = {"checkpoints": stack.enter_context(Worker(sys.executable, "checkpoints"))}
        maker = workers["checkpoints"]
        maker.ask("make", large, TENSORS, options.width, options.width)
        maker.ask("make", many, MANY, 4, 8)
        if "listing" in options.only:
            size = os.path.getsize(f"{large}.data-00000-of-00001")
            listing(f"{size / MIB:.0f} MiB in {TENSORS} tensors", large, python, options.rounds)
            listing(f"{MANY} tensors", many, python, options.rounds)
        if "converting" in options.only:
            converting(large, folder, options.rounds)
        if "loading" in options.only:
            loading(large, python, options.width, min(options.rounds, 3))
        if {"reading", "growth"} & set(options.only):
            workers["fallback"] = stack.enter_context(Worker(sys.executable, "fallback"))
            workers["tensorflow"] = stack.enter_context(Worker(python, "tensorflow"))
            for name, worker in workers.items():
                show(name, worker.description)
        if "reading" in options.only:
            reading(large, workers, options.rounds)
        if "growth" in options.only:
            growth(maker, folder, workers, options.rounds)


def main():
    """All of it, or what --only names."""
    parts = ["listing", "reading", "converting", "loading", "growth"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", default="2.21", help="the TensorFlow to measure against")
    parser.add_argument("--tensorflow", metavar="PYTHON", help="an interpreter that has it, instead of making one")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--width", type=int, default=2048, help="of the large file's square tensors (2048: 1 GiB)")
    parser.add_argument("--folder", help="where to put the files for a while (the disk that is measured)")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the files go away then too
    with tempfile.TemporaryDirectory(prefix="carryover-bench-", dir=options.folder) as folder:
        measure(options, Path(folder))


if __name__ == "__main__":
    main()
