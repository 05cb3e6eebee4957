"""One lock an environment: every distribution with its hashes, made by uv from the environment's own table.

The first line of a lock carries a digest of what it was made for, so that a table changed since is noticed at once.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from matrix.environments import Environment
from matrix.errors import BuildFailed, LockMismatch
from matrix.tools import uv

_HEADER = "# carryover lock of {id} for {digest}: made by `nox -s lock -- {id}`, not by hand\n"


def wanted(environment: Environment) -> str:
    """A digest of all that decides the contents of the lock of `environment`."""
    text = "\n".join([environment.id, environment.python, environment.cutoff, *environment.requirements])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_lock(path: Path, environment: Environment) -> None:
    """Raise LockMismatch unless the lock at `path` was made for `environment` as it is declared now."""
    remedy = f"make it with: nox -s lock -- {environment.id}"
    try:
        with path.open() as file:
            header = file.readline()
    except FileNotFoundError:
        raise LockMismatch(f"{environment.id} has no lock ({path}); {remedy}") from None
    if header != _HEADER.format(id=environment.id, digest=wanted(environment)):
        raise LockMismatch(
            f"{path} was not made for what environments.toml says of {environment.id} now "
            f"({', '.join(environment.requirements)} on Python {environment.python}); {remedy}"
        )


def make_lock(path: Path, environment: Environment) -> int:
    """Resolve the requirements of `environment` into `path`; returns how many distributions it pins.

    The target is always x86-64 Linux with the environment's Python, whatever this machine is. Raises BuildFailed with
    the resolver's own words; the old lock then stays as it was.
    """
    command = [uv(), "pip", "compile", "--quiet", "-", "--no-header", "--no-annotate", "--generate-hashes"]
    command += ["--python", sys.executable]  # else uv asks every python on PATH, which takes seconds, and uses none
    command += ["--exclude-newer", environment.cutoff, "--python-version", environment.python]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--no-emit-index-url", "--no-emit-find-links"]
    done = subprocess.run(
        command,
        input="\n".join(environment.requirements),
        capture_output=True,
        text=True,
        check=False,
        cwd=path.parent,
    )
    if done.returncode:
        raise BuildFailed(f"the lock of {environment.id} cannot be made: {done.stderr.strip() or done.returncode}")
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_text(_HEADER.format(id=environment.id, digest=wanted(environment)) + done.stdout)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return done.stdout.count("==")
