"""Several runs at the same time: each has its records, and what both need is built once."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from matrix import images
from matrix.engine.containers import Containers
from matrix.project import Project
from tests.engine.planted import CHECKOUT, ID, OTHER, PYTHON, wait

CELLS = "".join(f"def test_{number}(): pass\n" for number in range(40))


@pytest.mark.parametrize("environments", [(ID, ID), (ID, OTHER)], ids=["the same", "different"])
def test_runs_at_the_same_time(planted_anew, environments):
    planted_anew.cells(CELLS)
    ends = [wait(process) for process in [planted_anew.start(environment=name) for name in environments]]
    assert [(done.status, done.err) for done in ends] == [(0, ""), (0, "")]
    lines = (planted_anew.root / "reports/results.jsonl").read_text().splitlines()
    assert len(lines) == 2 * CELLS.count("def") and set(planted_anew.outcomes().values()) == {"passed"}
    builds = sum(done.out.count("building ") + done.out.count("making ") for done in ends)
    assert builds == len(set(environments))
    assert planted_anew.left() == []


def test_images_are_listed_while_others_are_built_and_removed(working, tmp_path):
    """podman fails one listing in ten that a removal comes between."""
    engine = Containers(Project(CHECKOUT), working("podman"))
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    name = f"localhost/carryover-test/{tmp_path.name}"
    again = f"for n in $(seq 40); do podman build -q --layers=false -t {name} . && podman rmi -f {name}; done"
    with subprocess.Popen(["sh", "-c", again], cwd=tmp_path, stdout=subprocess.DEVNULL) as builds:
        listed = 0
        while builds.poll() is None:
            engine.images()
            listed += 1
    assert builds.returncode == 0
    assert listed > 40


def test_no_build_loses_the_name_of_its_base_to_another(working):
    """podman reads the names of an image, adds one and writes all: of two that do so at once one name is lost."""
    engine = Containers(Project(CHECKOUT), working("podman"))
    reference = images.stand_in_base(PYTHON)
    if reference not in engine.images():
        reference = images.official_base(PYTHON)

    def build(number):
        lost = 0
        for _ in range(10):
            with engine._own_name(reference) as name:
                found = subprocess.run(["podman", "image", "exists", name], check=False)
                lost += found.returncode
        return lost

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(build, range(4))) == 0
    assert not [name for name in engine.images() if f"building-{os.getpid()}-" in name]


def test_artifacts_are_whole_while_others_write_them(planted):
    """Two producers of the same artifact and a consumer that reads it, all at once."""
    planted.cells(
        "import os\n"
        "def test_writes(new_artifact):\n"
        "    folder = new_artifact('thing')\n"
        "    for number in range(50):\n"
        "        with open(os.path.join(folder, str(number)), 'wb') as file:\n"
        "            file.write(os.urandom(20000))\n"
    )
    assert planted.run().status == 0
    for _ in range(2):
        ends = [wait(process) for process in [planted.start() for _ in range(3)]]
        assert [(done.status, done.err) for done in ends] == [(0, "")] * 3
    assert planted.left() == []
    assert len(list((planted.root / "artifacts/thing").iterdir())) == 1
