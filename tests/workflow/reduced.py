"""The workflow of a pull request, whole, under act, one job after another: what each took, and how it ended.

    nox -s workflow -- --reduced [WORD...]    WORDs go to pytest in the job `tests`, which is long: -k results

Ends with 0 where act does, every planned cell has a record, and none is bad.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from matrix.disk import folder_size
from tests.workflow.act import WORKFLOW, Act, events

MB = 10**6
_EVERY_SECONDS = 2.0


class Sizes:
    """What the folder of the jobs holds, looked at now and then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[tuple[float, int]] = []

    def watch(self) -> None:
        """Look, unless that was just done."""
        now = time.time()
        if not self.seen or now - self.seen[-1][0] > _EVERY_SECONDS:
            self.seen.append((now, folder_size(self.folder)))

    def largest(self, begin: float, end: float) -> int:
        """The most bytes that were there between two times (Unix)."""
        return max((size for when, size in self.seen if begin <= when <= end + 1), default=0)


def main(words: list[str]) -> int:
    """Run it, and print a line a job."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that act is ended too
    folder = Path(tempfile.mkdtemp(prefix="carryover-reduced-"))
    try:
        act = Act.prepare(folder)
        workflow = act.root / WORKFLOW
        workflow.write_text(workflow.read_text().replace("fail-fast: false", "fail-fast: false\n      max-parallel: 1"))
        act.commit("one job at a time, which touches no row")
        sizes = Sizes(act.jobs_folder)
        options = ["pull_request", "--concurrent-jobs", "1", "--env", f"PYTEST_ADDOPTS={' '.join(words)}"]
        log = folder / "log"
        status, said = act.run(log, *options, watch=sizes.watch)
        if status:
            print(said)
        _table(events(log), sizes, act.store)
        return _verdict(status, act.store / "report")
    finally:
        shutil.rmtree(folder)


def _table(said: list[dict[str, Any]], sizes: Sizes, store: Path) -> None:
    jobs: dict[str, list[dict[str, Any]]] = {}
    for event in said:
        if "jobID" in event:
            name = event.get("matrix", {}).get("job", {}).get("environment", "")
            jobs.setdefault(f"{event['jobID']} {name}".strip(), []).append(event)
    print(f"{'job':24} {'result':8} {'s':>6} {'MB':>7} {'MB kept':>8}   its longest steps")
    for name, own in jobs.items():
        begin, end = (datetime.fromisoformat(own[at]["time"]).timestamp() for at in (0, -1))
        result = next((event["jobResult"] for event in own if "jobResult" in event), "cut")
        steps = sorted(((e["executionTime"] / 1e9, e["step"]) for e in own if "executionTime" in e), reverse=True)
        kept = sum(folder_size(path) for path in store.glob(_artifact(name)))
        longest = ", ".join(f"{seconds:.0f} s {step.splitlines()[0][:40]}" for seconds, step in steps[:2])
        seconds = sum(seconds for seconds, _ in steps)
        print(f"{name:24} {result:8} {seconds:6.0f} {sizes.largest(begin, end) / MB:7.0f} {kept / MB:8.1f}   {longest}")


def _artifact(name: str) -> str:
    stage, _, environment = name.partition(" ")
    stage = {"producers": "write", "consumers": "read", "checks": "check"}.get(stage, "")
    return f"part-{stage}-{environment}-1" if stage else "report" if name == "report" else "no-artifact"


def _verdict(status: int, report: Path) -> int:
    cells = json.loads((report / "report.json").read_text())["cells"]
    counts = Counter(cell["outcome"] for cell in cells)
    print(f"act: status {status}; " + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))
    for name in ("report.md", "index.html"):
        print(f"{name}: {(report / name).stat().st_size / 1000:.0f} kB")
    return 1 if status or set(counts) & {"failed", "crashed", "timed out", "fixed", "no record"} else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
