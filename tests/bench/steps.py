"""Is the static graph faster? Steps per second of each way of writing the training: `nox -s "bench(steps)"`.

Each release trains in two processes, with and without a Session, all side by side in one run: every mode at every
batch size for a part of a second, round by round in turn. Figures are medians with the least and the greatest, and
ratios are taken round by round to TensorFlow 1.15's static graph. Nothing here passes or fails;
reports/bench-steps.json has it all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics

from matrix.project import Project
from matrix.tools import host
from tests.bench.measure import ROOT, Figure, Worker, alternate, show, spread
from tests.bench.reading import tensorflow_python

REFERENCE = ("1.15", "static_graph")
BATCHES = (128, 4096)
MODULE = "tests.bench.trainer"


def workers(releases, pythons, stack):
    """{(release, mode): its worker}, and {(release, mode): why it cannot run}."""
    found, unsupported = {}, {}
    for release in releases:
        python = pythons.get(release) or tensorflow_python(release)
        for kind in ("graph", "eager"):
            worker = stack.enter_context(Worker(python, kind, MODULE))
            version, modes = worker.description
            if not version.startswith(f"{release}."):
                raise SystemExit(f"{python} has TensorFlow {version}, not {release}")
            for mode, reason in modes.items():
                (unsupported if reason else found)[release, mode] = reason or worker
    return found, unsupported


def measure(found, batch, seconds, rounds):
    """{(release, mode): Figure of seconds a step}."""
    sides = {
        "\n".join(key): (lambda worker=worker, mode=key[1]: worker.ask(mode, batch, seconds))
        for key, worker in found.items()
    }
    return {tuple(name.split("\n")): figure for name, figure in alternate(sides, rounds).items()}


def summary(values):
    """The median, the least and the greatest, as the report keeps them."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def rows(taken: dict[tuple[str, str], Figure], batch):
    """One row a release and mode: steps per second, and the ratio to the reference, round by round."""
    reference = taken[REFERENCE].seconds
    for (release, mode), figure in taken.items():
        rates = [1 / seconds for seconds in figure.seconds]
        ratios = [one / other for one, other in zip(reference, figure.seconds)]
        show(f"{release} {mode}", f"{spread(rates, 'steps/s')}, {spread(ratios, 'x')}")
        yield {
            "release": release,
            "mode": mode,
            "batch": batch,
            "steps_per_second": summary(rates),
            "ratio": summary(ratios),
        }


def write(project, measured, unsupported, options):
    """reports/bench-steps.json."""
    report = {
        "host": host(),
        "threads": 1,
        "rounds": options.rounds,
        "reference": dict(zip(("release", "mode"), REFERENCE)),
        "rows": measured,
        "unsupported": [
            {"release": release, "mode": mode, "reason": reason} for (release, mode), reason in unsupported.items()
        ],
    }
    project.reports.mkdir(exist_ok=True)
    path = project.reports / "bench-steps.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written: {project.shown(path)}")


def main():
    """All modes in all releases that are asked for."""
    project = Project(ROOT)
    known = [row.release for row in project.environments.values() if row.device == "cpu" and "reduced" in row.tags]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--releases", nargs="+", default=known, help=f"default: {' '.join(known)}")
    parser.add_argument("--tensorflow", nargs="+", default=[], metavar="RELEASE=PYTHON", help="instead of making one")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="that one mode trains at a time")
    options = parser.parse_args()
    if REFERENCE[0] not in options.releases:
        options.releases.insert(0, REFERENCE[0])
    pythons = dict(word.split("=", 1) for word in options.tensorflow)
    measured = []
    with contextlib.ExitStack() as stack:
        found, unsupported = workers(options.releases, pythons, stack)
        for batch in options.batches:
            print(f"batch {batch}: steps per second, and how many times the rate of TensorFlow 1.15's static graph")
            measured += rows(measure(found, batch, options.seconds, options.rounds), batch)
    for (release, mode), reason in unsupported.items():
        show(f"{release} {mode}", f"unsupported: {reason}")
    write(project, measured, unsupported, options)


if __name__ == "__main__":
    main()
