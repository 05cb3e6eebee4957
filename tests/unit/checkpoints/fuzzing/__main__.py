"""Fuzzes for as long as it is told: `python -m tests.unit.checkpoints.fuzzing --seconds 3600`."""

from __future__ import annotations

import argparse
import collections
import sys
import time

from .check import check
from .files import MAKERS


def main() -> int:
    """Prints what is found, and at the end how many inputs there were; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="the first; each input has one of its own")
    parser.add_argument("--kinds", nargs="+", choices=sorted(MAKERS), default=sorted(MAKERS))
    parser.add_argument("--one", action="store_true", help="run the first seed alone, and show all that was printed")
    options = parser.parse_args()
    _import_all()
    counts: collections.Counter[str] = collections.Counter()
    findings = 0
    end = time.monotonic() + options.seconds
    seed = options.seed
    while time.monotonic() < end:
        for kind in options.kinds:
            checked = check(kind, seed)
            counts[kind] += 1
            counts["commands"] += len(checked.outcomes)
            counts["accepted"] += sum(outcome.status in (0, 1) for _, outcome in checked.outcomes)
            for finding in checked.findings:
                findings += 1
                print(finding, flush=True)
            if options.one:
                for arguments, outcome in checked.outcomes:
                    print(arguments, outcome.status, f"{outcome.seconds:.2f} s {outcome.peak >> 20} MiB")
                    print(outcome.output[-3000:], outcome.errors[-3000:])
        if options.one:
            break
        seed += 1
    inputs = sum(counts[kind] for kind in options.kinds)
    print(f"{inputs} inputs (seeds {options.seed} to {seed - 1}), {counts['commands']} commands", end="")
    print(f" of which {counts['accepted']} accepted, {findings} findings")
    return 1 if findings else 0


def _import_all() -> None:
    """Imports once what every child needs."""
    import importlib

    import h5py
    import numpy

    from checkpoints.cli import COMMANDS

    for command in COMMANDS:
        importlib.import_module(f"checkpoints.commands.{command}")
    for name in (
        "archives",
        "hdf5",
        "frozen",
        "v1",
        "writers",
        "planner",
        "keras_models",
        "transfer",
        "ulps",
        "digest",
    ):
        importlib.import_module(f"checkpoints.{name}")
    numpy.zeros(1), h5py.version


if __name__ == "__main__":
    sys.exit(main())
