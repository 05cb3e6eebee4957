"""What `nox -s doctor` says of a machine, asked as a process where it can be, and of GPUs that are not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from matrix import doctor
from matrix.engine import Gpu
from matrix.errors import EngineUnavailable
from matrix.project import Project

CHECKOUT = Path(__file__).resolve().parents[3]


def ask(*arguments, **environ):
    """`python -m matrix doctor` with no container engine on PATH and an index that nobody serves."""
    unreached = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "PATH": os.path.dirname(sys.executable)}
    command = [sys.executable, "-m", "matrix", "doctor", *arguments]
    environ = {**os.environ, **unreached, **environ}
    return subprocess.run(command, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def findings():
    done = ask("--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["status"] == 0  # without an engine virtual environments are left
    return {finding["what"]: finding for finding in answer["findings"]}


def test_every_part_of_the_machine_is_there(findings):
    assert {"host", "docker", "podman", "venv", "locks", "CPython", "disk of checkout", "network"} <= set(findings)
    assert findings["host"]["state"] == findings["venv"]["state"] == "good"


@pytest.mark.parametrize("what", ["docker", "podman", "network"])
def test_what_is_missing_comes_with_what_helps(findings, what):
    assert findings[what]["state"] == "lacking" and findings[what]["remedy"]


READING_AT_ONCE = """
import importlib, sys, threading
from pathlib import Path
from matrix import environments, project

sys.setswitchinterval(1e-6)
for _ in range(20):
    importlib.reload(environments)  # types that nothing has met
    importlib.reload(project)
    checkout, gate = project.Project(Path.cwd()), threading.Barrier(6)
    readers = [threading.Thread(target=lambda: (gate.wait(), checkout.environments)) for _ in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
print(len(checkout.environments))
"""


def test_checks_that_read_the_environments_at_once_do_not_end_the_process():
    done = subprocess.run([sys.executable, "-c", READING_AT_ONCE], cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == len(Project(CHECKOUT).environments)


def test_an_engine_that_was_asked_for_and_is_not_here_is_an_error():
    done = ask(CARRYOVER_ENGINE="podman")
    assert done.returncode == 1 and done.stderr == ""
    assert "CARRYOVER_ENGINE" in done.stdout and "this machine cannot run them yet" in done.stdout


def test_a_terminal_that_shows_ascii_only_is_told_all_the_same():
    done = ask(LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "this machine runs the CPU environments" in done.stdout and done.stdout.isascii()


def test_a_check_that_breaks_is_a_finding_and_no_traceback():
    def broken(project):
        raise RuntimeError("odd machine")

    def unavailable(project):
        raise EngineUnavailable("docker does not answer: no daemon; start it (`systemctl start docker`)")

    project = Project(CHECKOUT)
    assert doctor._guarded(broken, project)[0].found == "could not be looked at: RuntimeError: odd machine"
    found = doctor._guarded(unavailable, project)[0]
    assert (found.found, found.remedy) == ("docker does not answer: no daemon", "start it (`systemctl start docker`)")


@pytest.mark.parametrize(("built", "state"), [(0, "lacking"), (3, "good")])
def test_the_disk_needs_room_for_what_is_not_built_only(monkeypatch, tmp_path, built, state):
    """Eight gigabytes hold one of the four rows at 5 GB, not all."""

    class Engine:
        def __init__(self, project, name):
            self.name = name

        def folder(self):
            if self.name == "podman":
                raise EngineUnavailable("podman is not installed")
            return tmp_path

        def images(self):
            return {}

        def up_to_date(self, row, here):
            return row.id in ids[:built]

    project = Project(CHECKOUT)
    ids = [row.id for row in project.environments.values() if "reduced" in row.tags]
    few = {name: project.environments[name] for name in ids}
    monkeypatch.setattr(Project, "environments", property(lambda self: few))
    monkeypatch.setattr(doctor, "Containers", Engine)
    monkeypatch.setattr(doctor.disk, "needed", lambda project, row: 5 * doctor.disk.GB)
    monkeypatch.setattr(doctor.disk, "free", lambda folder: 8 * doctor.disk.GB)
    found = {finding.what: finding for finding in doctor._disk(project)}
    assert {what: finding.state for what, finding in found.items()} == {
        "disk of checkout": "good",  # for virtual environments, which are for where there is no docker
        "disk of docker": state,
    }
    assert ("the 4 CPU environments that are not built need about 20.0 GB" in found["disk of docker"].remedy) == (
        not built
    )


def drives(gpu):
    rows = [row for row in Project(CHECKOUT).environments.values() if row.device == "gpu"]
    can, cannot = doctor.drives(gpu, rows)
    assert sorted([*can, *cannot]) == sorted(row.id for row in rows)
    return rows, cannot


@pytest.mark.parametrize(
    ("gpu", "without"),
    [
        (Gpu("T4", "550.54.15", "7.5"), set()),
        (Gpu("A100", "550.54.15", "8.0"), {"10.0", "10.1"}),
        (Gpu("L4", "550.54.15", "8.9"), {"10.0", "10.1"}),
        (Gpu("H100", "550.54.15", "9.0"), {"10.0", "10.1", "11.0"}),
        (Gpu("RTX 5090", "575.57.08", "12.0"), {"10.0", "10.1", "11.0", "11", ""}),
        (Gpu("T4", "470.82.01", "7.5"), {""}),
        (Gpu("V100", "450.51.06", ""), {"11", ""}),
        (Gpu("V100", "418.87.00", ""), {"11.0", "11", ""}),
    ],
)
def test_rows_are_told_apart_by_what_their_cuda_release_drives(gpu, without):
    """A base of NVIDIA's own brings another CUDA than the table of its row says, as tensorflow[and-cuda] does."""
    rows, cannot = drives(gpu)
    assert {"" if row.base else row.cuda for row in rows if row.id in cannot} == without
    assert all(why and remedy for why, remedy in cannot.values())


@pytest.mark.parametrize(
    ("gpu", "last"), [(Gpu("K80", "550.54.15", "3.7"), "gpu-tf2.14"), (Gpu("M60", "550.54.15", "5.2"), "gpu-tf2.16")]
)
def test_an_old_gpu_is_told_the_last_release_that_has_code_for_it(gpu, last):
    rows, cannot = drives(gpu)
    names = [row.id for row in rows if not row.base]
    assert [name for name in names if name not in cannot][-1] == last
    assert {name for name in names if name in cannot} == set(names[names.index(last) + 1 :])
    assert all("no code for compute capability" in why for why, _ in cannot.values())
