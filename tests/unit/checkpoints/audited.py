"""Runs a command under an audit hook, and prints as JSON what it did that it has no business with.

    python -m tests.unit.checkpoints.audited FOLDER WARM ARGUMENTS

WARM are the arguments of the same command for a sound file of the same format, as JSON: it is run first, so that
every module is imported that the command needs. ARGUMENTS, as JSON too, are run under the hook. FOLDER is the only
place where anything may be opened, listed, written, renamed or removed, and what is written must be new there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys

from checkpoints.cli import main

# What does nothing outside this process, beside reading and writing as `_in_its_place` checks.
_HARMLESS = ("mmap.__new__", "fcntl.flock", "sys._getframe", "builtins.id", "array.__new__", "object.__getattr__")
_HARMLESS += ("object.__setattr__", "object.__delattr__", "sys.unraisablehook", "gc.get_objects", "time.sleep")
_ON_PATHS = (
    "open",
    "os.listdir",
    "os.scandir",
    "glob.glob",
    "glob.glob/2",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
)


def _in_its_place(event: str, arguments: tuple, folder: str) -> bool:
    """Whether all paths of the event are in the folder."""
    for path in arguments[:2] if event == "os.rename" else arguments[:1]:
        if not isinstance(path, int):
            real = os.path.realpath(os.fsdecode(path) or ".")
            if real != folder and not real.startswith(folder + os.sep):
                return False
    return True


def run() -> int:
    """Prints the events, the status and the output; returns 0."""
    folder, warm, arguments = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(warm)
    events: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple) -> None:
        if not watching or event in _HARMLESS:
            return
        if event not in _ON_PATHS or not _in_its_place(event, arguments, folder):
            events.append(f"{event} {arguments!r}"[:300])

    output, errors = io.StringIO(), io.StringIO()
    sys.addaudithook(hook)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(arguments)
    watching = False
    print(json.dumps({"events": events, "status": status, "output": output.getvalue(), "errors": errors.getvalue()}))
    return 0


if __name__ == "__main__":
    sys.exit(run())
