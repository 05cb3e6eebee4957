"""CPython on this host, wherever people keep it. A pyenv shim is not an interpreter."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from matrix.errors import InterpreterMissing
from matrix.tools import uv

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


def require(python: str, fetch: bool = True) -> Path:
    """CPython `python`, fetched by uv where it is not here. Raises InterpreterMissing, saying how to get it."""
    found = find(python)
    if found is None and fetch:
        done = subprocess.run(
            [uv(), "python", "install", "--quiet", "--no-bin", python], capture_output=True, text=True, check=False
        )
        found = find(python)
        why = done.stderr.strip().splitlines()[-1:] or ["nothing was installed"]
    if found is None:
        tried = f"; uv could not fetch it ({why[0].strip()})" if fetch else ""
        raise InterpreterMissing(
            f"CPython {python} is not here: not on PATH, nor among uv's or pyenv's versions{tried}. "
            f"Get it with `uv python install {python}` or `pyenv install {python}`, or use a container engine"
        )
    return found
