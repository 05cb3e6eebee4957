"""What the commands make of every hostile file, as a table: `python -m tests.unit.checkpoints.hostile_table [FOLDER]`.

With FOLDER, of the files in it instead of those of `hostile_files`. Of each: the line that `convert` ends with, its
status, and of all commands the highest peak of memory beyond an idle process, and the longest time of the processor.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Iterator

from .fuzzing import contained
from .fuzzing.__main__ import _import_all
from .fuzzing.check import MODEL
from .hostile_files import FILES
from .support import data

MEMORY = 3 << 30
SECONDS = 60


def made() -> Iterator[tuple[str, str]]:
    """Names and paths of the files of the tests."""
    for name, (make, _) in sorted(FILES.items()):
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            yield name, make(Path(folder))


def given(folder: str) -> Iterator[tuple[str, str]]:
    """Those of a folder, the smallest first; of a bundle its prefix."""
    for name in sorted(os.listdir(folder), key=lambda name: os.path.getsize(os.path.join(folder, name))):
        if ".data-" not in name:
            name = re.sub(r"\.index$", "", name)
            yield name, os.path.join(folder, name)


def commands(path: str) -> list[list[str]]:
    """Every command on the file, `convert` to a `.npz` first."""
    sound = data("keras_1.15.h5")
    return [
        ["convert", path, "--to", "a.npz"],
        ["convert", path, "--to", "a"],
        ["inspect", "--sha256", path],
        ["inspect", "--json", path],
        ["plan", path, "--model", path],
        ["diff", sound, path],
        ["verify", path, "--model", MODEL, "--golden", sound],
        ["golden", path, "--to", "g.npz"],
    ]


def main() -> int:
    """Prints the table; 1 if a command did what no input may cause."""
    _import_all()
    print("| file | status | memory | time | line |\n|---|---|---|---|---|")
    wrong = files = 0
    for name, path in given(sys.argv[1]) if sys.argv[1:] else made():
        files += 1
        outcomes = []
        for arguments in commands(os.path.abspath(path)):
            with tempfile.TemporaryDirectory(prefix="hostile-work-") as work:
                outcome = contained.run(arguments, work, MEMORY, SECONDS)
                problems = outcome.problems() + (os.listdir(work) if outcome.status else [])
            outcomes.append(outcome)
            wrong += bool(problems)
            if problems:
                print(f"{name}: {arguments}: {problems} {outcome.errors[-500:]}", file=sys.stderr)
        said = (outcomes[0].errors or outcomes[0].output).strip().split("\n")[-1].replace(os.path.dirname(path), "…")
        peak, seconds = max(each.peak for each in outcomes), max(each.seconds for each in outcomes)
        words = said[:160].replace("|", "\\|")
        print(f"| {name} | {outcomes[0].status} | {peak >> 20} MiB | {seconds:.1f} s | {words} |", flush=True)
    print(f"{files} files, {len(commands(''))} commands each, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
