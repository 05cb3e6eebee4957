"""Runs the cells inside an environment: pytest, with one event written for everything that happens to a cell.

    python -m tests.recorder OUT [pytest arguments]

OUT/plan.json says which cells this environment has, which artifacts there are for those that consume one, and which
cells are done (an earlier process ran them, and died in the next). Events go to OUT/events.jsonl, one JSON object a
line, each written in one piece as it happens, so that whatever becomes of this process, what finished is known.
Standard library and pytest only, Python 3.7+: this runs in every environment.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time

import pytest

ORPHANED = 75  # exit status: the host went away
NO_SPACE = 76  # exit status: an event could not be written
REASON, TEXT = 1000, 500000  # characters; the host refuses events that are much longer


def leave_with_the_host():
    """End this process when its standard input ends: the host holds the other end and never writes to it.

    A host that is killed outright cannot clean up; the kernel closes its end for it, and nothing stays behind here:
    what cells have started goes too, where this process leads a group of its own.
    On a terminal it is for who sits there, and for a debugger, to read.
    """
    if os.isatty(0):
        return
    stdin = os.dup(0)  # pytest puts /dev/null in the place of descriptor 0

    def watch():
        while os.read(stdin, 1):
            pass
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(ORPHANED)

    threading.Thread(target=watch, daemon=True).start()


class Recorder:
    """The pytest plugin: selects the planned cells, hands them their artifacts, and writes events."""

    def __init__(self, out):
        self.out = out
        with open(os.path.join(out, "plan.json")) as file:
            self.plan = json.load(file)
        self.file = os.open(os.path.join(out, "events.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.started = {}
        self.selected = []
        self.passed, self.finished = set(), set()

    def write(self, event, **fields):
        """Append one event in one write. What is not UTF-8, as names of files may be, becomes a question mark."""
        line = (json.dumps(dict(fields, event=event), ensure_ascii=False) + "\n").encode("utf-8", "replace")
        try:
            if os.write(self.file, line) == len(line):
                return
        except OSError:
            pass
        os._exit(NO_SPACE)

    def pytest_generate_tests(self, metafunc):
        """One cell for each artifact of the kind that a test's `consumes` mark names."""
        mark = metafunc.definition.get_closest_marker("consumes")
        if mark:
            found = self.plan["artifacts"].get(mark.args[0], {})
            metafunc.parametrize("artifact", [pytest.param(path, id=name) for name, path in sorted(found.items())])
        if metafunc.definition.get_closest_marker("kinds"):
            metafunc.parametrize("kind", self.plan.get("kinds", []))
        if metafunc.definition.get_closest_marker("pairs"):
            pairs = [self.with_folder(pair) for pair in self.plan.get("pairs", [])]
            metafunc.parametrize("pair", [pytest.param(pair, id=pair["id"]) for pair in pairs])

    def with_folder(self, pair):
        """A pair of the compatibility matrix with the folder of the artifact that it reads."""
        return dict(pair, folder=self.plan["artifacts"][pair["artifact"]][pair["producer"]])

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config, items):
        """Keep what is planned here and not done yet; say what was collected, so that nothing can vanish unseen."""
        planned, done = set(self.plan["cells"]), set(self.plan["done"])
        cells = [item.nodeid for item in items if item.nodeid in planned]
        names = {path: kind + "/" + name for kind, of in self.plan["artifacts"].items() for name, path in of.items()}
        inputs = {item.nodeid: inputs_of(item, names) for item in items if item.nodeid in planned}
        self.write("collected", cells=cells, paths=[node_id(path, config) for path in config.args], inputs=inputs)
        items[:] = [item for item in items if item.nodeid in planned - done]
        order = {cell: place for place, cell in enumerate(self.plan["cells"])}
        items.sort(key=lambda item: order[item.nodeid])

    def pytest_collection_finish(self, session):
        """After -k, -m and --deselect have spoken."""
        self.selected = [item.nodeid for item in session.items]
        self.write("selected", cells=self.selected)

    def pytest_collectreport(self, report):
        """A test module that cannot be imported, or that says that it is not for here."""
        if report.failed:
            self.write("collection failed", where=report.nodeid, reason=last_line(report))
        elif report.skipped:
            cells = [cell for cell in self.plan["cells"] if cell.startswith(report.nodeid + "::")]
            self.write("stopped", reason=skip_reason(report), cells=cells)

    def pytest_runtest_logstart(self, nodeid):
        """A cell begins."""
        self.started[nodeid] = time.time()
        self.write("started", cell=nodeid)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        """A cell's outcome is that of its call, or of the set-up or tear-down that broke."""
        report = (yield).get_result()
        if report.nodeid in self.finished or (report.when == "setup" and report.passed):
            return
        if hasattr(report, "wasxfail"):
            self.finish(item, "failed", "xfail is not for cells: what is known to fail belongs into the ledger")
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)
        elif report.when == "teardown" and report.passed:
            if report.nodeid in self.passed:
                self.finish(item, "passed", "")
        elif report.skipped:
            reason = skip_reason(report)
            unsupported = reason.startswith("unsupported: ")
            self.finish(item, "unsupported" if unsupported else "not run", reason.replace("unsupported: ", "", 1))
        else:
            self.finish(item, "failed", last_line(report))

    def finish(self, item, outcome, reason):
        """Write the outcome of a cell, once."""
        self.finished.add(item.nodeid)
        self.write(
            "finished",
            cell=item.nodeid,
            outcome=outcome,
            reason=reason,
            seconds=round(time.time() - self.started[item.nodeid], 3),
            details={str(name): plain(value) for name, value in item.user_properties},
            versions=versions(),
        )

    def pytest_sessionfinish(self, session):
        """Cells that -x or --maxfail left unrun."""
        reason = getattr(session, "shouldfail", False) or getattr(session, "shouldstop", False)
        if reason:
            self.write(
                "stopped", reason=str(reason)[:REASON], cells=[c for c in self.selected if c not in self.finished]
            )


def inputs_of(item, names):
    """The artifacts that a cell reads, as KIND/NAME: those among its parameters, and what is committed if it asks."""
    found = set()
    waiting = list(item.callspec.params.values()) if hasattr(item, "callspec") else []
    while waiting:
        value = waiting.pop()
        if isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, str) and value in names:
            found.add(names[value])
    if "committed" in item.fixturenames:
        found |= {name for name in names.values() if name.endswith("/committed")}
    return sorted(found)


def plain(value):
    """A property as a record can hold it: JSON knows no NaN, and a table shows no list."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= TEXT else text[:TEXT] + "…"


def node_id(path, config):
    """An argument of pytest, such as ./tests/environment/, as the beginning of the ids that it selects."""
    file, colons, rest = str(path).partition("::")
    return os.path.relpath(file, str(config.rootdir)).replace(os.sep, "/") + colons + rest


def skip_reason(report):
    """Why a test or a module was skipped."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return (reason[len("Skipped: ") :] if reason.startswith("Skipped: ") else reason)[:REASON]


def last_line(report):
    """The error of a report in one line: `AssertionError: …`, without the traceback and the modules' names."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr).strip().splitlines()[-1]
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    line = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    line = re.sub(r"^Failed: ", "", line)
    return stable(re.sub(r"^([a-z_]\w*\.)+(?=[A-Z]\w*(:|$))", "", line))[:REASON]


def stable(text):
    """`text` without what is another in every run: folders of the run, temporary names, addresses, the host's name.

    So that the same failure reads the same, here and when it is reproduced elsewhere.
    """
    folders = {tempfile.gettempdir(), os.path.dirname(os.environ.get("CARRYOVER_OUT", "")), sys.prefix, os.getcwd()}
    for folder in sorted(folders - {"", "/"}, key=len, reverse=True):
        text = text.replace(folder + "/", "…/")
    text = re.sub(r"…/(tmp[a-z0-9_]{8}|pytest-of-[^/]+/pytest-\d+)\b", "…", text)
    text = re.sub(r"\b0x[0-9a-f]{6,}\b", "0x…", text)
    text = re.sub(r"\b(__(?:inference|forward|backward)_\w+?)_\d+\b", r"\1_…", text)  # numbered as they are traced
    return re.sub(r"(?<![\w.-]){}(?![\w-])".format(re.escape(socket.gethostname())), "…", text)


def versions():
    """What is loaded in this process, asked of the modules themselves."""
    found = {"python": "%d.%d.%d" % sys.version_info[:3]}
    for name in ("tensorflow", "keras", "numpy"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = version
    keras = getattr(sys.modules.get("tensorflow"), "keras", None)
    if keras is not None and "keras" not in found and getattr(keras, "__version__", None):
        found["keras"] = keras.__version__
    return found


def main(arguments):
    """Run pytest with the recorder; its exit status is pytest's."""
    leave_with_the_host()
    out, rest = arguments[0], arguments[1:]
    always = ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
    always += ["-o", "testpaths=tests/environment tests/compatibility"]  # for when no path is given
    return pytest.main(always + rest, plugins=[Recorder(out)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
