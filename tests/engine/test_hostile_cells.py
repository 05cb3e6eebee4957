"""Cells that do all they can to the host that reads what they write: each costs itself alone, and says why.

All of them run in one run, one after the other, without a container: what a container keeps from them does not count.
"""

from __future__ import annotations

import re
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine.planted import Planted, until, wait

HEAD = """
import json, os, shutil, signal, socket, subprocess, sys, threading, time

OUT = os.environ["CARRYOVER_OUT"]
EVENTS = OUT + "/events.jsonl"

def me(request):
    return request.node.nodeid

def write(line):
    data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\\n"
    with open(EVENTS, "ab") as file:
        file.write(data)
    time.sleep(0.3)

def end(request, **more):
    write({"event": "finished", "cell": me(request), "outcome": "passed", **more})

def folder(environment, kind="thing"):
    path = os.path.join(OUT, "artifacts", kind, environment["id"])
    os.makedirs(path)
    return path

def keep(record_property, environment, kind="thing"):
    record_property("artifact", kind + "/" + environment["id"])
"""
WRONG, KEPT = "a cell has done that", "what it wrote cannot be kept: "
# name: (what it does, its outcome, a part of its reason)
CELLS = {
    # Events.
    "seconds_of_1e300": ("end(request, seconds=1e300)", "failed", "`float` <= 10000000.0"),
    "negative_seconds": ("end(request, seconds=-1e12)", "failed", "`float` >= 0.0"),
    "nan_seconds": ('write(b\'{"event":"finished","seconds":NaN}\\n\')', "failed", "JSON is malformed"),
    "huge_integer": ("end(request, details={'a': 10**400})", "failed", "is no event"),
    "nested_details": ("end(request, details={'a': {'b': 1}})", "failed", "is no event"),
    "long_reason": ("end(request, reason='x' * 10**6)", "failed", "of length <= 4000"),
    "unplanned_cell": (
        "write({'event': 'started', 'cell': 'x\\x1b[2J'})",
        "failed",
        "'x\\\\x1b[2J', which is not planned",
    ),
    "ends_another": (
        "end(request, cell=me(request).replace('ends_another', 'last'))",
        "failed",
        "says 'finished' of tests/environment/test_cells.py::test_last while",
    ),
    "begins_another": (
        "write({'event': 'started', 'cell': me(request).replace('begins_another', 'last')})",
        "failed",
        "says 'started' of tests/environment/test_cells.py::test_last while",
    ),
    "begins_twice": ("write({'event': 'started', 'cell': me(request)})", "failed", "says 'started' twice"),
    "selects_again": ("write({'event': 'selected', 'cells': []})", "failed", "says 'selected' twice"),
    "collects_again": ("write({'event': 'collected', 'cells': []})", "failed", "says 'collected' twice"),
    "stops_unplanned": ("write({'event': 'stopped', 'cells': ['x']})", "failed", "'x', which is not planned"),
    "reads_what_it_has_not": (
        "write({'event': 'collected', 'inputs': {me(request): ['../../../etc']}})",
        "failed",
        "which it was not given",
    ),
    "unknown_event": ("write({'event': 'pwned'})", "failed", "Invalid enum value 'pwned'"),
    "unknown_outcome": ("end(request, outcome='splendid')", "failed", "Invalid enum value 'splendid'"),
    "no_json": ("write(b'nonsense\\n')", "failed", "is no event"),
    "no_utf8": ("write(b'\"\\xff\"\\n')", "failed", "is no event"),
    "nul": ("write(b'\\0\\n')", "failed", "is no event"),
    "lone_surrogate": ("end(request, reason='\\ud800')", "failed", "is no event"),
    "deep_json": ("write(b'{\"a\":' * 10**5 + b'1' + b'}' * 10**5 + b'\\n')", "failed", "is no event"),
    "deep_json_with_escapes": (
        "write(b'{\"\\\\u0061\":' * 10**5 + b'1' + b'}' * 10**5 + b'\\n')",
        "failed",
        "recursion",
    ),
    "long_line": ("write(b'x' * (5 << 20))", "failed", "a line of more than 4 MiB"),
    "hole": ("os.truncate(EVENTS, 1 << 40); time.sleep(0.3)", "failed", "a line of more than 4 MiB"),
    "flood": (
        "line = json.dumps({'event': 'stopped', 'reason': 'x' * 3000}).encode() + b'\\n'\n"
        "write(line * 30_000)\ntime.sleep(60)",
        "failed",
        "has more than 64 MiB",
    ),
    "shorter": ("os.truncate(EVENTS, 0); time.sleep(1)", "failed", WRONG),
    # What takes the place of the file is not read: the host goes on with the one that it has made.
    "pipe": ("os.remove(EVENTS); os.mkfifo(EVENTS)", "passed", ""),
    "link": ("os.remove(EVENTS); os.symlink('/dev/zero', EVENTS)", "passed", ""),
    "directory": ("os.remove(EVENTS); os.mkdir(EVENTS)", "passed", ""),
    "removes_and_aborts": ("shutil.rmtree(EVENTS); os.abort()", "crashed", "SIGABRT"),
    # Artifacts.
    "artifact_leads_out": ("record_property('artifact', '../../x/y')", "failed", f"{KEPT}'../../x/y' is no name"),
    "artifact_with_control_characters": (
        "record_property('artifact', 'a/\\x1b[2J')",
        "failed",
        f"{KEPT}'a/\\\\x1b[2J' is no name",
    ),
    "artifact_of_another": ("record_property('artifact', 'a/cpu-tf1.15')", "failed", "is not called after"),
    "artifact_is_not_there": ("keep(record_property, environment, 'nowhere')", "failed", "is not there"),
    "artifact_is_a_link": (
        "os.makedirs(OUT + '/artifacts/linked'); os.symlink('/etc', OUT + '/artifacts/linked/' + environment['id'])\n"
        "keep(record_property, environment, 'linked')",
        "failed",
        "is a link",
    ),
    "artifact_below_a_link": (
        "os.makedirs(OUT + '/artifacts', exist_ok=True); os.symlink('/etc', OUT + '/artifacts/below')\n"
        "keep(record_property, environment, 'below')",
        "failed",
        "is a link",
    ),
    "link_in_an_artifact": (
        "os.symlink('/etc/passwd', folder(environment, 'in') + '/x'); keep(record_property, environment, 'in')",
        "failed",
        "is a link",
    ),
    "pipe_in_an_artifact": (
        "os.mkfifo(folder(environment, 'pipe') + '/x'); keep(record_property, environment, 'pipe')",
        "failed",
        "is neither a file nor a folder",
    ),
    "terabyte_in_an_artifact": (
        "path = folder(environment, 'large') + '/x'\nopen(path, 'w').close(); os.truncate(path, 1 << 40)\n"
        "keep(record_property, environment, 'large')",
        "failed",
        "has 1099.5 GB, and there is room for",
    ),
    "many_files_in_an_artifact": (
        "path = folder(environment, 'many')\nfor n in range(20_001): open(path + '/%d' % n, 'w').close()\n"
        "keep(record_property, environment, 'many')",
        "failed",
        "is one file or folder more than 20,000",
    ),
    "deep_artifact": (
        "os.chdir(folder(environment, 'deep'))\nfor _ in range(2000): os.mkdir('d'); os.chdir('d')\n"
        "keep(record_property, environment, 'deep')",
        "failed",
        "has folders more than 50 deep",
    ),
    "long_path_in_an_artifact": (
        "os.chdir(folder(environment, 'path'))\nfor _ in range(10): os.mkdir('d' * 200); os.chdir('d' * 200)\n"
        "keep(record_property, environment, 'path')",
        "failed",
        "has a path of more than 1000 characters",
    ),
    "name_with_a_line_end": (
        "open(folder(environment, 'name') + '/a\\nb', 'w').close(); keep(record_property, environment, 'name')",
        "failed",
        "has a name that cannot be shown",
    ),
    "name_that_is_no_utf8": (
        "open(folder(environment, 'bytes').encode() + b'/\\xff', 'w').close()\n"
        "keep(record_property, environment, 'bytes')",
        "failed",
        "has a name that cannot be shown",
    ),
    "manifest_is_a_folder": (
        "os.mkdir(folder(environment, 'manifest') + '/manifest.json'); keep(record_property, environment, 'manifest')",
        "failed",
        "manifest.json is a folder in what was written",
    ),
    "forged_manifest": (
        "open(folder(environment, 'forged') + '/manifest.json', 'w').write('{}')\n"
        "keep(record_property, environment, 'forged')",
        "passed",
        "",
    ),
    # Text.
    "draws_on_the_screen": (
        "print('\\x1b]0;title\\x07\\x1b[2J'); assert False, '\\x1b]0;title\\x07\\x1b[2J\\u202e'",
        "failed",
        "AssertionError: \\x1b]0;title\\x07\\x1b[2J\\u202e",
    ),
    "draws_by_a_property": ("record_property('\\x1b[2J', '\\x1b[2J\\r\\n\\u2028')", "passed", ""),
    "talks_without_end": ("for _ in range(1 << 20): print('x' * 99)", "passed", ""),
    # The process, and what is around it.
    "exits": ("os._exit(0)", "crashed", "exit status 0"),
    "exits_as_docker_fails": ("os._exit(125)", "crashed", "exit status 125"),
    "exits_by_exception": ("sys.exit(1)", "failed", "SystemExit: 1"),
    "exits_as_the_recorder_does_on_a_full_disk": ("os._exit(76)", "crashed", "exit status 76"),
    "aborts": ("os.abort()", "crashed", "SIGABRT"),
    "kills_itself": ("os.kill(os.getpid(), signal.SIGKILL)", "crashed", "SIGKILL"),
    "interrupts_itself": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(5)", "crashed", "exit status 2"),
    "recurses": ("def f(): f()\nf()", "failed", "RecursionError"),
    "closes_all_descriptors": ("os.closerange(3, 100); time.sleep(0.1)", "crashed", ""),
    "closes_its_output": ("os.close(1); os.close(2)", "passed", ""),
    "removes_its_folder": ("shutil.rmtree(OUT)", "passed", ""),
    "removes_it_and_aborts": ("shutil.rmtree(OUT, ignore_errors=True); os.abort()", "crashed", "SIGABRT"),
    "its_folder_is_a_link": (
        "shutil.rmtree(OUT, ignore_errors=True); os.symlink('/tmp', OUT); os.abort()",
        "crashed",
        "SIGABRT",
    ),
    "removes_what_it_was_given": ("shutil.rmtree(os.path.dirname(OUT) + '/in', ignore_errors=True)", "passed", ""),
    "locks_its_folder": ("os.makedirs(OUT + '/x/y'); os.chmod(OUT + '/x', 0)", "passed", ""),
    "leaves_a_deep_folder": (
        "os.chdir(OUT)\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')",
        "passed",
        "",
    ),
    "changes_the_plan": ("open(OUT + '/plan.json', 'w').write('{}'); os.abort()", "crashed", "SIGABRT"),
    "plan_is_a_pipe": (
        "os.remove(OUT + '/plan.json'); os.mkfifo(OUT + '/plan.json'); os.abort()",
        "crashed",
        "SIGABRT",
    ),
    "leaves_a_process": (
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)",
        "passed",
        "",
    ),
    "leaves_a_thread": ("threading.Thread(target=time.sleep, args=(600,), daemon=True).start()", "passed", ""),
    "last": ("pass", "passed", ""),
}
MAY_END_OTHERWISE = {"closes_all_descriptors"}


@pytest.fixture(scope="module")
def turned(working, tmp_path_factory, locks, venvs):
    """A project after a run of all of them, how it ended, and the most memory (KiB) that its process took."""
    planted = Planted(tmp_path_factory.mktemp("turned") / "project", working("venv")).plant(locks, venvs)
    source = HEAD
    for name, (code, _, _) in CELLS.items():
        source += f"\ndef test_{name}(request, record_property, environment):\n{textwrap.indent(code, '    ')}\n"
    planted.cells(source)
    process = planted.start()
    with ThreadPoolExecutor(1) as pool:
        peak = pool.submit(highest, process)
        done = wait(process, 600)
    return planted, done, process.pid, peak.result()


def highest(process):
    """The most memory that a process has taken until it ends, as the kernel counts it."""
    most = 0

    def ended():
        nonlocal most
        try:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return True
        most = max([most, *map(int, re.findall(r"VmHWM:\s+(\d+)", status))])
        return process.returncode is not None

    until(ended, 700, every=0.2)
    return most


@pytest.mark.parametrize("name", CELLS)
def test_it_costs_itself(turned, name):
    planted, *_ = turned
    _, outcome, reason = CELLS[name]
    record = planted.records()[f"test_{name}"]
    if name in MAY_END_OTHERWISE:
        assert record.outcome.value in ("crashed", "failed", "passed")
    else:
        assert (record.outcome.value, reason in record.reason) == (outcome, True), record.reason
    assert record.reason.isprintable() and len(record.reason) < 2000


def test_the_run_ends_in_order(turned):
    planted, done, pid, _ = turned
    assert (done.status, done.err) == (1, "")
    assert done.out.replace("\n", "").isprintable()
    assert set(planted.outcomes()) == {f"test_{name}" for name in CELLS}, "no other cell has a record"
    assert planted.left() == []
    assert not planted.processes(pid), "what a cell left running is ended"


def test_the_log_is_bounded(turned):
    planted, *_ = turned
    (log,) = planted.root.glob("reports/logs/*.log")
    assert log.stat().st_size < 65 << 20
    with log.open() as lines:
        assert all(line.rstrip("\n").replace("\t", "").isprintable() for line in lines)


def test_artifacts_are_those_of_cells_that_passed(turned):
    planted, *_ = turned
    assert [path.parent.name for path in planted.root.glob("artifacts/*/*")] == ["forged"]


def test_the_host_takes_little_memory(turned):
    assert 10 << 10 < turned[-1] < 600 << 10
