"""Each thing that can be wrong before a cell runs: one clear line, its own exit status, soon, and nothing lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from matrix import images
from matrix.environments import load_environments
from matrix.locks import make_lock
from matrix.results import NO_RESULT
from tests.engine.daemons import REAL, relay
from tests.engine.planted import ID, PYTHON, Planted, axis, until, wait

CELLS = "def test_passes(): pass\n"


@pytest.fixture
def anywhere(tmp_path, locks, venvs):
    """`anywhere(engine)` is a project with one cell, whether or not that engine works here."""

    def make(engine):
        return Planted(tmp_path / "project", engine).plant(locks, venvs).cells(CELLS)

    return make


def change_python(planted, python):
    """Let the environments ask for another Python, with locks made for it in a year that has it."""
    cutoff = f'cutoff = "{2011 + int(python.partition(".")[2])}'
    (planted.root / "environments.toml").write_text(re.sub(r'^cutoff = "\d{4}', cutoff, axis(python)))
    environment = load_environments(planted.root / "environments.toml")[ID]
    make_lock(planted.root / f"docker/locks/{ID}.txt", environment)


@pytest.fixture
def no_engine_on_path(tmp_path):
    """A PATH with this Python and no container engine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / f"python{PYTHON}").symlink_to(os.path.realpath(sys.executable))
    return str(folder)


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_named_engine_that_is_not_installed(anywhere, no_engine_on_path, engine):
    done = anywhere(engine).run(PATH=no_engine_on_path)
    assert (done.status, f"{engine} is not installed" in done.error, done.seconds < 5) == (4, True, True)


def test_named_engine_that_nobody_knows(anywhere):
    done = anywhere("rocket").run()
    assert (done.status, "there are docker, podman, venv" in done.error) == (4, True)


def test_no_engine_at_all_is_said_and_cells_run_in_a_virtual_environment(anywhere, no_engine_on_path):
    planted = anywhere("")
    done = planted.run(PATH=no_engine_on_path)
    assert done.status == 0, done.out + done.err
    said = [line for line in done.out.splitlines() if "engine venv" in line]
    assert len(said) == 1 and "docker is not installed and podman is not installed" in said[0]
    assert planted.records()["test_passes"].isolation == "none"


@pytest.fixture
def docker_client():
    """Skips where there is no docker command."""
    if not any(os.access(Path(folder) / "docker", os.X_OK) for folder in os.environ["PATH"].split(os.pathsep)):
        pytest.skip("the docker command is not installed")


def test_daemon_that_is_not_there(anywhere, docker_client):
    done = anywhere("docker").run(DOCKER_HOST="unix:///nowhere/docker.sock")
    assert (done.status, "docker does not answer" in done.error, done.seconds < 5) == (4, True, True)


def test_daemon_that_never_answers(anywhere, docker_client, tmp_path):
    with relay(tmp_path) as daemon:
        daemon.silent.set()
        done = anywhere("docker").run(DOCKER_HOST=daemon.address, CARRYOVER_ANSWER_SECONDS="1")
    assert (done.status, "within 1 s" in done.error, done.seconds < 5) == (4, True, True)


def test_daemon_that_stops_answering_does_not_hold_ctrl_c_up(working, anywhere, tmp_path):
    working("docker")
    if not REAL.startswith("unix://"):
        pytest.skip(f"DOCKER_HOST is no unix socket: {REAL}")
    planted = anywhere("docker").cells("import time\n\ndef test_takes_long(): time.sleep(600)\n", module="test_long")
    with relay(tmp_path) as daemon:
        process = planted.start(DOCKER_HOST=daemon.address, CARRYOVER_ANSWER_SECONDS="1")
        try:
            until(lambda: planted.outcomes() == {"test_passes": "passed"})
            daemon.silent.set()
            process.send_signal(signal.SIGINT)
            done = wait(process, 20)
            left = re.findall(r"docker rm -f (\S+)", done.error)
            assert (done.status, len(left)) == (4, 1), done.err
            assert planted.outcomes() == {"test_passes": "passed", "test_takes_long": "not run"}
        finally:
            for line in planted.containers(process.pid):
                subprocess.run(["docker", "rm", "-f", line.split()[0]], capture_output=True, check=True)


def test_base_image_that_cannot_be_pulled(container_engine, anywhere):
    planted = anywhere(container_engine)
    change_python(planted, "3.99")
    done = planted.run()
    assert (done.status, "`nox -s base-images -- 3.99`" in done.error, done.seconds < 60) == (5, True, True)
    assert planted.records()["test_passes"].outcome.value == "not run"


def test_interpreter_that_is_missing(anywhere):
    planted = anywhere("venv")
    change_python(planted, "3.99")
    done = planted.run()
    assert (done.status, "`pyenv install 3.99`" in done.error, done.seconds < 60) == (8, True, True)
    assert planted.records()["test_passes"].outcome.value == "not run"


def test_lock_that_was_made_for_something_else(planted):
    planted.cells(CELLS)
    file = planted.root / "environments.toml"
    file.write_text(file.read_text().replace("common = []", 'common = ["iniconfig<2"]'))
    done = planted.run()
    assert (done.status, f"nox -s lock -- {ID}" in done.error) == (7, True)
    record = planted.records()["test_passes"]
    assert (record.outcome.value, record.details) == ("not run", {"how": NO_RESULT}), "which the report calls bad"


def test_lock_with_a_hash_that_no_file_has(planted_anew):
    """Tampered with, or the index serves something else: nothing is installed from it."""
    planted_anew.cells(CELLS)
    lock = planted_anew.root / f"docker/locks/{ID}.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", lock.read_text()))
    done = planted_anew.run()
    assert (done.status, "ash mismatch" in done.error) == (6, True), done.err
    assert planted_anew.left() == []


def test_unknown_release_names_the_nearest(anywhere):
    done = anywhere("venv").run(environment=ID.replace("tf", "tf1"))
    assert (done.status, f"did you mean {ID}" in done.error) == (3, True)


def test_artifact_whose_file_is_not_what_its_manifest_says(planted):
    planted.cells("def test_writes(new_artifact):\n    open(new_artifact('thing') + '/file', 'w').write('one')\n")
    assert planted.run().status == 0
    reads = "import pytest\n\n@pytest.mark.consumes('thing')\ndef test_reads(artifact):\n    pass\n"
    planted.cells(reads, module="test_reader", consumes="thing")
    folder = planted.root / "artifacts/thing" / ID
    assert json.loads((folder / "manifest.json").read_text())["environment"] == ID
    (folder / "file").write_text("two")
    done = planted.run()
    assert (done.status, f"thing/{ID}/file has SHA-256" in done.error) == (11, True), done.err


def test_an_image_name_of_another_base_is_not_taken(container_engine, anywhere):
    """What is asked for by name is looked up by the hash of its contents: another Dockerfile is another image."""
    planted = anywhere(container_engine)
    assert planted.do("up-to-date", ID).status == 0
    with (planted.root / "docker/Dockerfile").open("a") as file:
        file.write("# changed\n")
    done = planted.do("up-to-date", ID)
    assert (done.status, f"{ID}: not built" in done.out) == (1, True)
    assert images.stand_in_base(PYTHON).startswith("localhost/")  # so that no registry is ever asked for it
