"""What the host's side adds to the cells: `nox -s bench`.

Two questions, each measured in pairs in one run, so that a slower or a noisier machine changes both sides alike:
a warm `nox -s "cpu-tf2(2.21)"` against a bare `docker run` of the same pytest in the same image, and the time to find
out whether an image is up to date. Figures are medians and ratios; nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from matrix import artifacts
from matrix.engine import Containers
from matrix.plan import load_checks, planned_cells
from matrix.project import Project
from matrix.run import Progress, Run, write_plan
from matrix.tools import uv

ROOT = Path(__file__).resolve().parents[2]


def timed(command):
    """Seconds of wall time that `command` takes, its standard input left open; it must succeed."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    if process.wait():
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return time.perf_counter() - begun


def plain_nox(folder):
    """A nox installed as README says, in an environment with nothing else, which is what a user starts."""
    subprocess.run([uv(), "venv", "--quiet", "--clear", folder], check=True)
    subprocess.run([uv(), "pip", "install", "--quiet", "--python", folder / "bin" / "python", "nox[uv]"], check=True)
    return folder / "bin" / "nox"


def bare_command(project, environment, engine, folder):
    """A `docker run` of the cells of `environment` with nothing around it but the mounts that they need."""
    for name in ("in", "out"):
        (folder / name).mkdir(parents=True)
    run = Run(project, environment, engine, Progress(), folder.name, folder, folder / "log", "")
    there = artifacts.snapshot(project, folder / "in")
    run.cells = planned_cells(load_checks(project.cells_file), environment, there)
    run.prepared = engine.prepare(environment, folder / "log", print)
    write_plan(run, there)
    mounts = [f"--volume={ROOT}:/src:ro", f"--volume={folder}/in:/in:ro", f"--volume={folder}/out:/out"]
    inner = ["python", "-m", "tests.recorder", "/out"]
    return ["docker", "run", "--rm", "-i", *mounts, "--env=CARRYOVER_OUT=/out", run.prepared.image, *inner]


def session_against_bare(project, release, pairs, select):
    """Print the ratio of a warm nox session to the bare run, pair by pair; `select` is a -k expression for both."""
    environment = project.environment(f"cpu-tf{release}")
    engine = Containers(project, "docker")
    folder = project.state / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        bare = [*bare_command(project, environment, engine, folder), *select]
        session = [plain_nox(folder / "nox"), "-s", f"cpu-tf2({release})", "--", "--engine", "docker", *select]
        rows = []
        for pair in range(pairs + 1):
            shutil.rmtree(folder / "out" / "artifacts", ignore_errors=True)
            (folder / "out" / "events.jsonl").unlink(missing_ok=True)
            row = (timed(session), timed(bare))
            if pair:  # the first pair warms the page cache
                rows.append(row)
                print(
                    f"  nox {row[0]:6.2f} s   bare docker run {row[1]:6.2f} s   ratio {row[0] / row[1]:.3f}", flush=True
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratios = [session / bare for session, bare in rows]
    print(f"warm session / bare docker run: median {statistics.median(ratios):.3f}", end="")
    print(f" (from {min(ratios):.3f} to {max(ratios):.3f}, {pairs} pairs)")


def up_to_date(project, rounds):
    """Print how long it takes to find out whether each image is up to date, in one process, daemon asked each time."""
    engine = Containers(project, "docker")
    rows = [environment for environment in project.environments.values() if environment.device == "cpu"]
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        built = sum(engine.up_to_date(environment) is not None for environment in rows)
        seconds.append((time.perf_counter() - begun) / len(rows))
    print(f"is it up to date? median {statistics.median(seconds):.3f} s an image ({built} of {len(rows)} built)")


def main():
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", default="2.21")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("-k", metavar="EXPRESSION", default="", help="only these cells, on both sides")
    options = parser.parse_args()
    project = Project(ROOT)
    up_to_date(project, 5)
    session_against_bare(project, options.release, options.pairs, ["-k", options.k] if options.k else [])


if __name__ == "__main__":
    main()
