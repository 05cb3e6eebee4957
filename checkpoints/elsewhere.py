"""Making golden arrays where this Python has no TensorFlow: in another Python, or in an environment of the checkout.

What is run is always `python -m checkpoints golden`; this only finds somebody to run it.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from .errors import ArgumentError, CheckpointError
from .golden_arrays import Golden, unpack
from .open import open_checkpoint
from .tf_graph import DOES_NOT_LOAD, GraphLoadError

VARIABLE = "CARRYOVER_TENSORFLOW_PYTHON"
# Where this package stands. The other interpreter finds it by its place; what else is on this one's path may not be
# made for it.
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Way(NamedTuple):
    """A command that takes the arguments of `golden`, what to call it, and whether it tells people how it goes."""

    command: tuple[str, ...]
    label: str
    tells: bool = False


def ways(python: str | None) -> Iterator[Way | None]:
    """Who can make golden arrays, one after the other; None stands for this very interpreter.

    That is `python`, where one is named, and nobody else; this interpreter, where it has TensorFlow; the one that the
    environment variable CARRYOVER_TENSORFLOW_PYTHON names; of the checkout's virtual environments that of the newest
    release and that of the oldest. The checkout's nox session `golden` is asked where none of these is there. Raises
    CheckpointError, which says what to do, if there is nobody.
    """
    if python:
        yield _interpreter(python, f"--python {python}")
        return
    found: list[Way | None] = [None] if _has_tensorflow() else []
    named = os.environ.get(VARIABLE)
    if named:
        found.append(_interpreter(named, f"{VARIABLE} ({named})"))
    folders = sorted(glob.glob(os.path.join(_ROOT, ".carryover", "venvs", "cpu-tf*")), key=_release, reverse=True)
    paths = [os.path.join(folder, "bin", "python") for folder in folders if not folder.endswith(".partial")]
    paths = [path for path in paths if os.path.exists(path)]
    found += [_interpreter(path, os.path.relpath(path)) for path in dict.fromkeys(paths[:1] + paths[-1:])]
    nox, noxfile = shutil.which("nox"), os.path.join(_ROOT, "noxfile.py")
    if not found and nox and os.path.isfile(noxfile):
        found.append(Way((nox, "-f", noxfile, "-s", "golden", "--"), "nox -s golden", tells=True))
    if not found:
        raise CheckpointError(
            "running a graph needs TensorFlow, which is not here: name a Python that has it with --python PATH or "
            f"${VARIABLE}, or install nox, which runs it in an environment of {_ROOT}"
        )
    yield from found


def _has_tensorflow() -> bool:
    from importlib.util import find_spec

    try:
        return find_spec("tensorflow") is not None
    except (ImportError, ValueError):
        return False


def _interpreter(path: str, label: str) -> Way:
    return Way((path, "-m", "checkpoints", "golden", "--here"), label)


def _release(folder: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", os.path.basename(folder).partition("-tf")[2].partition("-")[0])))


def golden_elsewhere(way: Way, graph: str, arguments: Sequence[str], layers: Mapping[str, Any]) -> Golden:
    """The arrays that `golden` makes of `graph` by `way`.

    Raises GraphLoadError if that one cannot load the graph, CheckpointError with the line that says why not otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, made = os.path.join(folder, "layers.json"), os.path.join(folder, "golden.npz")
        with open(asked, "w", encoding="utf-8") as stream:
            json.dump(layers, stream)
        # A prefix may end in the separator; an absolute path would lose it.
        path = os.path.join(os.path.abspath(os.path.dirname(graph)), os.path.basename(graph))
        command = [*way.command, path, "--to", made, "--layers", asked, *arguments]
        sys.stdout.flush()
        try:
            process = subprocess.Popen(
                command,
                env=dict(os.environ, PYTHONPATH=_ROOT),
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr if way.tells else subprocess.DEVNULL,
                stderr=sys.stderr if way.tells else subprocess.PIPE,
            )
        except OSError as error:
            raise ArgumentError(f"{way.label}: {error.strerror}") from None
        said = (process.communicate()[1] or b"").decode("utf-8", "replace").strip().splitlines()
        if process.returncode:
            last = said[-1] if said else f"ends with status {process.returncode}" + (", see above" if way.tells else "")
            line = f"{way.label}: {last[len('error: ') :] if last.startswith('error: ') else last}"
            raise GraphLoadError(line) if DOES_NOT_LOAD in last else CheckpointError(line)
        with open_checkpoint(made) as golden:
            return unpack({name: golden.read(name) for name in golden.tensors}, made)
