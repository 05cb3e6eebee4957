"""One lock an environment: every distribution with its hashes, made by uv from the environment's own table.

The first line of a lock carries a digest of what it was made for, so that a table changed since is noticed at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from matrix.environments import Environment
from matrix.errors import BuildFailed, LockMismatch
from matrix.tools import uv, whole_file

_HEADER = "# carryover lock of {id} for {digest}: made by `nox -s lock -- {id}`, not by hand\n"
_PIN = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?==(\d+\.\d+)\.\S+")

#: Where a release and a Python fit together is where these have wheels: built from source, they need a compiler.
_WHEELS = [f"--only-binary={name}" for name in ("tensorflow", "tensorflow-cpu", "numpy", "h5py", "protobuf")]

#: What uv says when the network is at fault; it has then tried four times, and waited longer each time.
NETWORK = re.compile(
    r"timed out|timeout|error sending request|connection (refused|reset)|dns error|after \d+ retries|50[0234]",
    re.IGNORECASE,
)


def wanted(environment: Environment) -> str:
    """A digest of all that decides the contents of the lock of `environment`."""
    parts = [environment.id, environment.python, environment.cutoff, *environment.requirements]
    text = "\n".join(parts + ([environment.index] if environment.index else []))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_lock(path: Path, environment: Environment) -> None:
    """Raise LockMismatch unless the lock at `path` was made for `environment` as it is declared now."""
    place = _at(environment)
    remedy = f"make it with: nox -s lock -- {environment.id}"
    try:
        with path.open() as file:
            header = file.readline()
    except FileNotFoundError:
        raise LockMismatch(f"{place}{environment.id} has no lock ({path}); {remedy}") from None
    if header != _HEADER.format(id=environment.id, digest=wanted(environment)):
        raise LockMismatch(
            f"{place}{path} was not made for what environments.toml says of {environment.id} now "
            f"({', '.join(environment.requirements)} on Python {environment.python}); {remedy}"
        )


def make_lock(path: Path, environment: Environment) -> tuple[int, list[str]]:
    """Resolve the requirements of `environment` into `path`; returns how many distributions it pins, and warnings.

    The target is always x86-64 Linux with the environment's Python, whatever this machine is. Raises BuildFailed with
    the resolver's own words and the row's line; the old lock then stays as it was.
    """
    done = _compile(environment, environment.requirements, ["--generate-hashes", *_WHEELS, *_cutoff(environment)])
    if done.returncode:
        raise BuildFailed(_why(environment, done))
    with whole_file(path) as partial:
        partial.write_text(_HEADER.format(id=environment.id, digest=wanted(environment)) + done.stdout)
    return done.stdout.count("=="), _warnings(done)


def news(path: Path, environment: Environment) -> list[str]:
    """What the index says today of a lock: newer patches of what the row pins, and what was yanked or has vanished.

    A row that pins 2.15.0 is told of 2.15.1, not of 2.16.0. Raises BuildFailed when the index does not answer.
    """
    told = []
    for requirement in environment.requirements:
        pin = _PIN.fullmatch(requirement)
        if pin is None:
            continue
        done = _compile(environment, [f"{pin[1]}=={pin[2]}.*"], ["--no-deps", "--only-binary", pin[1]])
        if done.returncode and NETWORK.search(done.stderr):
            raise BuildFailed(_why(environment, done))
        newest = re.search(r"^[\w.-]+==(\S+)", done.stdout, re.MULTILINE)
        if newest and newest[1] != requirement.rpartition("==")[2]:
            told.append(f"{requirement}: there is {newest[1]}")
    pins = re.findall(r"^[\w.-]+==[^\s\\;]+", path.read_text(), re.MULTILINE)
    done = _compile(environment, pins, ["--no-deps"])
    if done.returncode:
        told.append(_because(done))
    return told + _warnings(done)


def index_variables(environment: Environment) -> dict[str, str]:
    """What uv is told of a row that names an index: one of the caller's takes its place.

    All indexes are asked for the version that is wanted, not the first that knows the name: a lock has hashes, so that
    who serves a file is all the same.
    """
    if not environment.index:
        return {}
    return {"UV_INDEX": os.environ.get("UV_INDEX", environment.index), "UV_INDEX_STRATEGY": "unsafe-best-match"}


def _compile(
    environment: Environment, requirements: tuple[str, ...] | list[str], options: list[str]
) -> subprocess.CompletedProcess[str]:
    command = [uv(), "pip", "compile", "-", "--no-header", "--no-annotate", "--no-progress", "--color=never", *options]
    command += ["--python", sys.executable]  # else uv asks every python on PATH, which takes seconds, and uses none
    command += ["--python-version", environment.python, "--python-platform", "x86_64-manylinux_2_28"]
    command += ["--no-emit-index-url", "--no-emit-find-links"]
    environ = {**os.environ, **index_variables(environment)}
    return subprocess.run(
        command, input="\n".join(requirements), capture_output=True, text=True, check=False, env=environ, cwd="/"
    )


def _cutoff(environment: Environment) -> list[str]:
    """The options for the day after which nothing is seen; an index of its own may not say when a file was uploaded."""
    pins = [_PIN.fullmatch(requirement) for requirement in environment.requirements if environment.index]
    exempt = [f"--exclude-newer-package={pin[1]}=false" for pin in pins if pin]
    return ["--exclude-newer", environment.cutoff, *exempt]


def _at(environment: Environment, key: str = "") -> str:
    return f"{environment.places[key]}: " if key in environment.places else ""


def _because(done: subprocess.CompletedProcess[str]) -> str:
    """The words of uv in one line, without its drawing."""
    lines = [re.sub(r"^(error:|×|╰─▶|├─▶|│)\s*", "", line.strip()) for line in done.stderr.splitlines()]
    return " ".join(" ".join(line for line in lines if not line.startswith("warning:")).split()) or str(done.returncode)


def _warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix("warning: ") for line in done.stderr.splitlines() if line.startswith("warning: ")]


def _why(environment: Environment, done: subprocess.CompletedProcess[str]) -> str:
    words = _because(done)
    cannot = f"the lock of {environment.id} cannot be made"
    if NETWORK.search(words):
        return f"{cannot}: the package index does not answer, though asked several times; try again later ({words})"
    if re.search(r"Python ABI tag|Python version|Python implementation tag|wheels? with a matching Python", words):
        return f"{_at(environment, 'python')}python = {environment.python!r} of {environment.id} does not fit: {words}"
    return f"{_at(environment)}{cannot}: {words}"
