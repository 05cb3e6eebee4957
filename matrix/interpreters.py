"""CPython on this host, wherever people keep it. A pyenv shim is not an interpreter."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from matrix.errors import InterpreterMissing
from matrix.tools import uv

_FETCH_SECONDS = 120
_PROBE = "import sys, platform; print(platform.python_implementation(), '%d.%d' % sys.version_info[:2])"


def _uv_python_folder() -> Path:
    if "UV_PYTHON_INSTALL_DIR" in os.environ:
        return Path(os.environ["UV_PYTHON_INSTALL_DIR"])
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "uv" / "python"


def _pyenv_folder() -> Path:
    return Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"


def _by_patch(folder: Path, pattern: str) -> list[Path]:
    """The folders in `folder` that match `pattern`, newest patch release first."""

    def patch(path: Path) -> tuple[int, ...]:
        return tuple(int(number) for number in re.findall(r"\d+", path.name))

    return sorted(folder.glob(pattern), key=patch, reverse=True)


def candidates(python: str) -> Iterator[Path]:
    """Paths that may be CPython `python` (such as 3.7), in the order in which they are tried."""
    on_path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    yield from (Path(folder) / f"python{python}" for folder in on_path if folder and Path(folder).name != "shims")
    for folder in _by_patch(_uv_python_folder(), f"cpython-{python}.*"):
        yield folder / "bin" / f"python{python}"
    for folder in _by_patch(_pyenv_folder(), f"{python}.*"):
        yield folder / "bin" / "python"
    yield from (Path(prefix) / "bin" / f"python{python}" for prefix in ("/usr/local", "/usr", "/opt/homebrew"))


def _is(path: Path, python: str) -> bool:
    """Whether `path` runs, and is CPython `python`: a name proves nothing."""
    if not os.access(path, os.X_OK):
        return False
    try:
        done = subprocess.run([path, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == f"CPython {python}"


def find(python: str) -> Path | None:
    """The first candidate that is CPython `python`, with links resolved, or None."""
    return next((path.resolve() for path in candidates(python) if _is(path, python)), None)


def _fetch(python: str) -> str:
    """Let uv install CPython `python`; returns why it could not, if it could not."""
    command = [uv(), "python", "install", "--no-bin", "--no-progress", python]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {_FETCH_SECONDS} s"
    return ([line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"])[-1]


def require(python: str) -> Path:
    """CPython `python`, fetched by uv where it is not here. Raises InterpreterMissing, saying how to get it."""
    found = find(python)
    if found is not None:
        return found
    words = _fetch(python)
    found = find(python)
    if found is not None:
        return found
    offered = "No download found" not in words
    ways = [f"`uv python install {python}`"] if offered else []
    ways += [f"`pyenv install {python}`", "a container engine (docker or podman)"]
    raise InterpreterMissing(
        f"CPython {python} is not here: not on PATH, nor among uv's or pyenv's versions, and uv "
        + (f"could not fetch it ({words[:160]})" if offered else "does not offer it")
        + f"; what helps: {', or '.join(ways)}"
    )
