"""Stand-ins for the official base images, where those cannot be pulled: Debian packages and a CPython of this host.

A stand-in has the shape of `python:X.Y-slim-bookworm`: a layer of Debian bookworm without recommended packages, manuals
and translations, which all share, and CPython in /usr/local. Nothing of the host's site-packages comes along, and so no
.pth file and no certificate of it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from matrix import images, interpreters
from matrix.engine import Containers, Say
from matrix.errors import BaseImageUnavailable
from matrix.tools import exclusive, user_cache

SUITE = "bookworm"
DEBIAN = f"localhost/carryover/debian:{SUITE}"  # the layer that all stand-ins share
_DOCKERFILE = f'FROM {DEBIAN}\nADD python.tar /\nCMD ["python3"]\n'
_LABEL = "carryover.inputs"
_UNREAD = ("doc", "info", "locale", "man", "lintian")  # of /usr/share, which the official slim images leave out too
_LEFT_OUT = ("site-packages", "test", "tests", "idlelib", "turtledemo", "tkinter", "_tkinter*", "__pycache__", "*.a")


def build(engine: Containers, python: str, say: Say) -> str:
    """Build the stand-in for CPython `python` into `engine`, unless it is there; returns its reference.

    A stand-in stays as it is while its interpreter and this module do: images are built on it, and a new one would
    have them all built again. Raises InterpreterMissing, or BaseImageUnavailable with the words of what failed.
    """
    reference = images.stand_in_base(python)
    interpreter = interpreters.require(python)
    inputs = hashlib.sha256(Path(__file__).read_bytes() + interpreter.read_bytes()).hexdigest()
    if engine.label(reference, _LABEL) == inputs:
        say(f"{reference}: is there")
        return reference
    state = engine.project.state
    with exclusive(state / "bases.lock"), tempfile.TemporaryDirectory(prefix="base-", dir=state) as temporary:
        debian = _debian(say)
        if engine.label(DEBIAN, _LABEL) != debian.stem:
            engine.import_image(DEBIAN, debian, f"{_LABEL}={debian.stem}")
        tree, context = Path(temporary) / "tree", Path(temporary) / "context"
        context.mkdir()
        _copy_python(interpreter, python, tree / "usr" / "local")
        libraries = _copy_libraries(tree, debian)
        _pack(tree, context / "python.tar", debian, reference)
        (context / "Dockerfile").write_text(_DOCKERFILE)
        label = f"{_LABEL}={inputs}"
        engine.build_base(reference, context, label, lambda unproven: _prove(engine, unproven, python))
    say(f"{reference}: Debian {SUITE} and {interpreter}, with {libraries} libraries of this host")
    return reference


def _run(command: list[str], reference: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BaseImageUnavailable(f"{reference} needs {command[0]}: apt-get install {command[0]}") from None
    if done.returncode:
        words = [line for line in done.stderr.strip().splitlines() if line.strip()][-1:] or ["no reason given"]
        raise BaseImageUnavailable(f"{reference} cannot be built: {command[0]}: {words[0]}")
    return done.stdout


def _debian(say: Say) -> Path:
    """A tar of a minimal Debian, made once: mmdebstrap needs no root where user namespaces are allowed."""
    options = ["--variant=minbase", "--include=ca-certificates,netbase,tzdata"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _UNREAD]
    digest = hashlib.sha256(" ".join(options).encode()).hexdigest()[:8]
    tar = user_cache() / f"debian-{SUITE}-{digest}.tar"
    if not tar.exists():
        say(f"fetching Debian {SUITE}'s packages")
        partial = tar.with_suffix(f".{os.getpid()}.tar")
        try:
            _run(["mmdebstrap", *options, SUITE, str(partial)], f"Debian {SUITE}")
            partial.replace(tar)
        finally:
            partial.unlink(missing_ok=True)
    return tar


def _copy_python(interpreter: Path, python: str, prefix: Path) -> None:
    """The interpreter and its standard library to `prefix`/bin and `prefix`/lib, as /usr/local has them."""
    shape = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    stdlib = subprocess.run([interpreter, "-I", "-c", shape], capture_output=True, text=True, check=True).stdout.strip()
    (prefix / "bin").mkdir(parents=True)
    shutil.copy(interpreter, prefix / "bin" / f"python{python}")
    for link in ("python3", "python"):
        (prefix / "bin" / link).symlink_to(f"python{python}")
    shutil.copytree(
        stdlib, prefix / "lib" / f"python{python}", ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True
    )
    (prefix / "lib" / f"python{python}" / "site-packages").mkdir()


def _copy_libraries(tree: Path, debian: Path) -> int:
    """Copy the shared libraries that the interpreter and its modules link to and Debian's tar does not have.

    They go where the loader looks without being told; libpython too, whose own path is the host's.
    """
    there = {Path(name).name for name in _listing(debian) if ".so" in name}
    prefix = tree / "usr" / "local"
    linked: set[str] = set()
    for binary in [*prefix.glob("bin/python3.*"), *prefix.rglob("*.so*")]:
        done = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
        linked |= set(re.findall(r"=> (/\S+)", done.stdout))
    folder = tree / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    folder.mkdir(parents=True)
    missing = [path for path in sorted(linked) if Path(path).name not in there]
    for path in missing:
        shutil.copy(path, folder)
    return len(missing)


def _listing(tar: Path) -> set[str]:
    done = subprocess.run(["tar", "--list", f"--file={tar}"], capture_output=True, text=True, check=True)
    return {line.removeprefix("./").rstrip("/") for line in done.stdout.splitlines()}


def _pack(tree: Path, tar: Path, debian: Path, reference: str) -> None:
    """Make `tar` of `tree`, without the folders that Debian has: their owner and mode stay as they are."""
    there = _listing(debian)
    names = [str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))]
    (tree / ".names").write_text("".join(f"{name}\n" for name in names if name not in there))
    _run(
        ["tar", "--create", "--owner=0", "--group=0", "--no-recursion", f"--file={tar}", f"--directory={tree}"]
        + [f"--files-from={tree / '.names'}"],
        reference,
    )


def _prove(engine: Containers, reference: str, python: str) -> None:
    """Start the interpreter in the image, with the modules that pip-installed packages rely on."""
    modules = "bz2, ctypes, hashlib, lzma, sqlite3, ssl, zlib"
    done = engine.run_in(reference, f"python{python}", "-c", f"import {modules}")
    if done.returncode:
        raise BaseImageUnavailable(f"{reference} does not work: {' '.join(done.stderr.split())[-300:]}")
