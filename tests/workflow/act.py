"""Runs the project's workflow under act: its jobs on this machine, in copies of the checkout.

What differs from a runner of GitHub's: checkout copies the files that are here, and the actions that keep artifacts
between jobs copy to a folder. Everything else is the workflow as it stands.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import other_machine

WORKFLOW = Path(".github/workflows/matrix.yml")
STAND_INS = Path(__file__).parent / "actions"


def events(log: Path) -> list[dict[str, Any]]:
    """What act has said so far, in its own form."""
    lines = log.read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


@dataclass
class Act:
    """A copy of the checkout at `root`, and the folder `store` where artifacts go."""

    root: Path
    store: Path
    registry: str = "none"

    @classmethod
    def prepare(cls, folder: Path, registry: str = "none") -> Act:
        """Copy what is not ignored of this checkout, changes included, and commit it. `registry` keeps its images."""
        made = cls(other_machine.clone(folder / "checkout"), folder / "store", registry)
        made.store.mkdir()
        return made

    def commit(self, message: str) -> None:
        """Commit all that is there."""
        other_machine.commit(self.root, message)

    def run(self, log: Path, *words: str, watch: Callable[[], None] = lambda: None) -> tuple[int, str]:
        """Run the workflow for the event and options in `words`; returns the exit status and all that was said."""
        act = shutil.which("act")
        assert act, "act is installed by `nox -s workflow`"
        command = [act, *words, "-W", str(WORKFLOW), "-P", "ubuntu-24.04=-self-hosted", "--no-cache-server", "--json"]
        command += ["--var", f"CARRYOVER_REGISTRY={self.registry}", "--env", f"CARRYOVER_WORKFLOW_STORE={self.store}"]
        command += ["--action-cache-path", str(self.jobs_folder), "--defaultbranch", "main"]
        for action in self.stood_in_for():
            stand_in = STAND_INS / action.partition("@")[0].rpartition("/")[2]
            command += ["--local-repository", f"{action}={stand_in}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=self.root, stdout=output, stderr=subprocess.STDOUT, env=other_machine.environ()
            )
            try:
                while True:
                    try:
                        process.wait(0.02)
                        break
                    except subprocess.TimeoutExpired:
                        watch()
            finally:
                process.terminate()
                process.wait()
        said = "".join(f"[{event.get('job', '')}] {event['msg'].rstrip()}\n" for event in events(log))
        return process.returncode, re.sub(r"\x1b\[[0-9;]*m", "", said)

    @property
    def jobs_folder(self) -> Path:
        """Where each job that is under way has its checkout."""
        return self.store.parent / "act"

    def stood_in_for(self) -> Sequence[str]:
        """The actions of the workflow, with their commits, that cannot run here; checkout act does itself."""
        found = set(re.findall(r"uses: ([\w-]+/[\w-]+@[0-9a-f]{40})", (self.root / WORKFLOW).read_text()))
        return sorted(action for action in found if (STAND_INS / action.partition("@")[0].rpartition("/")[2]).is_dir())

    def jobs_of(self, *words: str) -> list[tuple[int, Path]]:
        """The processes whose command line has these words one after another, each with its working folder."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                where = Path(os.readlink(folder / "cwd"))
            except OSError:
                continue
            places = range(len(line) - len(words) + 1)
            if where.is_relative_to(self.store.parent) and any(
                tuple(line[i : i + len(words)]) == words for i in places
            ):
                found.append((int(folder.name), where))
        return found

    def kill(self, *words: str) -> bool:
        """Kill outright the processes that `jobs_of` finds; True if there were any."""
        found = self.jobs_of(*words)
        for process, _ in found:
            os.kill(process, signal.SIGKILL)
        return bool(found)
