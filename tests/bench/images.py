"""What building, checking and keeping the images costs, and whether sessions over many rows keep the cores busy."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from matrix import images
from matrix.engine import Containers
from matrix.image_report import sharing
from matrix.project import Project
from tests.bench.overhead import ROOT, plain_nox

SESSIONS = ("cpu-tf1", "cpu-tf2")
SIX = ("cpu-tf1.15", "cpu-tf2.1", "cpu-tf2.3", "cpu-tf2.4", "cpu-tf2.10", "cpu-tf2.11")
PLAIN = """FROM {base}
COPY lock.txt /lock.txt
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip \\
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \\
    if [ -f /run/secrets/pip ]; then export PIP_INDEX_URL=$(cat /run/secrets/pip); fi; \\
    python3 -m pip install --quiet --no-cache-dir --no-deps --require-hashes -r /lock.txt
"""


class Bench:
    """The images of some releases, built in two ways from the same locks, bases and index, without any cache."""

    def __init__(self, folder, names):
        self.folder, self.names = folder, names
        self.project = Project(ROOT)
        self.engine = Containers(self.project, "docker")
        self.rows = [self.project.environment(name) for name in names]
        self.made = []
        self.before = kept(self.engine)
        command, self.environ = self.engine.builder()
        self.build = [*command, "build", "--quiet", "--network=host"]
        self.secrets = []
        for name, path in images.secrets(folder, self.rows[0]).items():
            if name == "index":
                path = folder / "pip"
                path.write_text(os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX", ""))
                name = "pip" if path.read_text() else ""
            self.secrets += [f"--secret=id={name},src={path}"] if name else []

    def run(self, *arguments):
        """Build an image; its words are shown only when it fails."""
        done = subprocess.run([*self.build, *arguments], env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"docker build {' '.join(arguments)}: {done.stderr[-2000:]}")

    def with_pip(self, row):
        """The base of `row` with pip, which stand-ins do not have; not timed."""
        here = self.engine.images()
        base = self.engine.base(row, here)
        name = f"localhost/carryover-bench/base:{row.python}"
        if name not in self.made:
            context = self.folder / "base"
            context.mkdir(exist_ok=True)
            (context / "Dockerfile").write_text(f"FROM {base.reference}\nRUN python3 -m ensurepip\n")
            self.run("--tag", name, str(context))
            self.made.append(name)
        return name

    def plain(self, rows):
        """Seconds for a Dockerfile a release with `pip install` of the same lock, one after another."""
        context = self.folder / "plain"
        context.mkdir(exist_ok=True)
        bases = {row.id: self.with_pip(row) for row in rows}
        seconds = 0.0
        for row in rows:
            shutil.copy(self.project.lock(row), context / "lock.txt")
            (context / "Dockerfile").write_text(PLAIN.format(base=bases[row.id]))
            name = f"localhost/carryover-bench/{row.id}:plain"
            begun = time.perf_counter()
            self.run("--no-cache", "--tag", name, *self.secrets, str(context))
            took = time.perf_counter() - begun
            print(f"  plain {row.id}: {took:.0f} s", flush=True)
            seconds += took
            self.engine.remove_image(name)  # for the disk
        return seconds

    def ours(self):
        """Seconds for `matrix images` in a checkout of its own, whose package cache has a name that none has had."""
        root = self.folder / "checkout"
        shutil.copytree(ROOT / "docker", root / "docker")
        shutil.copy(ROOT / "environments.toml", root)
        dockerfile = root / "docker" / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text().replace("id=carryover-uv", f"id=carryover-bench-{os.getpid()}"))
        command = [sys.executable, "-m", "matrix", "--root", str(root), "--engine", "docker", "images", *self.names]
        begun = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True)
        seconds = time.perf_counter() - begun
        own = Project(root)
        built = {row.id: Containers(own, "docker").up_to_date(row).image for row in self.rows}
        self.made += built.values()
        shared = sharing({name: self.engine.layers(image) for name, image in built.items()})
        print(f"  these {len(built)} images: {shared.total / 1e9:.2f} GB in all, {shared.ratio:.0%} of it on the disk")
        return seconds

    def clean(self):
        """Remove what was made, and what BuildKit has kept since."""
        for name in self.made:
            self.engine.remove_image(name)
        for _ in range(10):  # a layer goes when none stands on it
            for identifier in kept(self.engine) - self.before:
                self.engine.remove_build_cache(identifier)


def kept(engine):
    """The ids of all that BuildKit keeps and nothing uses."""
    shape = ["system", "df", "--verbose", "--format", "{{json .BuildCache}}"]
    done = subprocess.run([engine.command, *shape], capture_output=True, text=True, check=True)
    return {entry["ID"] for entry in json.loads(done.stdout) if entry["InUse"] == entry["Shared"] == "false"}


def cold(names):
    """Print the ratio of building all, without any cache, to the plain way; the plain half stands on both sides."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), names)
        try:
            half = len(names) // 2
            plain = bench.plain(bench.rows[:half])
            ours = bench.ours()
            plain += bench.plain(bench.rows[half:])
        finally:
            bench.clean()
    print(f"cold, {len(names)} images: {ours:.0f} s, plain {plain:.0f} s, ratio {ours / plain:.2f} (target 0.33)")


def warm(rounds):
    """Print how long a session takes to find that all is built, whole process."""
    with tempfile.TemporaryDirectory() as folder:
        nox = plain_nox(Path(folder) / "nox")
        for _ in range(rounds):
            begun = time.perf_counter()
            command = [nox, "-s", "images", "--", "--check", "--engine", "docker", *SESSIONS]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - begun
            said = re.findall(r"\d+ of \d+ up to date", done.stdout)
            print(f"warm check: {seconds:.2f} s for nox and all ({said[0] if said else done.stderr}; target 5 s)")


def shared():
    """Print what the images that are built share."""
    project = Project(ROOT)
    engine = Containers(project, "docker")
    rows = [row for row in project.environments.values() if row.session in SESSIONS]
    built = {row.id: engine.up_to_date(row) for row in rows}
    layers = {name: engine.layers(prepared.image) for name, prepared in built.items() if prepared}
    part = sharing(layers)
    own = sum(steps[-1].size for steps in layers.values())
    print(
        f"shared: {len(layers)} of {len(rows)} images, {part.total / 1e9:.2f} GB in all, {part.ratio:.0%} on the disk"
    )
    print(f"  what is in one image only comes to {own / max(1, part.total):.0%} of the sum")


def _busy():
    """Seconds of all cores, busy and in all, since the machine started."""
    values = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = values[3] + values[4]
    return sum(values) - idle, sum(values)


def cores(select):
    """Print how busy a warm session over all rows keeps the machine, and how busy it was without."""
    with tempfile.TemporaryDirectory() as folder:
        nox = plain_nox(Path(folder) / "nox")
        seen = []
        for command in (["sleep", "10"], [nox, "-s", *SESSIONS, "--", "--engine", "docker", *select]):
            before, begun = _busy(), time.perf_counter()
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            after = _busy()
            seen.append((after[0] - before[0]) / max(1, after[1] - before[1]))
            if done.returncode:
                print(f"  {' '.join(map(str, command))} ended with {done.returncode}")
            seconds = time.perf_counter() - begun
    print(f"cores: {seen[1]:.0%} busy for {seconds:.0f} s (target 85%), {seen[0]:.0%} in the 10 s before")


def main():
    """Run all, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("cold", "warm", "shared", "cores"))
    parser.add_argument("--releases", nargs="+", default=SIX, metavar="ENVIRONMENT", help="for cold")
    parser.add_argument("-k", metavar="EXPRESSION", default="", help="only these cells, for cores")
    options = parser.parse_args()
    for name, part in (
        ("cold", lambda: cold(options.releases)),
        ("warm", lambda: warm(3)),
        ("shared", shared),
        ("cores", lambda: cores(["-k", options.k] if options.k else [])),
    ):
        if options.only in (None, name):
            part()


if __name__ == "__main__":
    main()
