"""An environment on an image that has TensorFlow already, as NVIDIA's: the lock is added to it, beside what it has."""

from __future__ import annotations

import os
import subprocess

import pytest

from matrix import images
from matrix.environments import load_environments
from matrix.locks import make_lock
from tests.engine.planted import PYTEST, PYTHON, Planted, axis

ROW = "gpu-tf1.99-own"
BASE = f"localhost/carryover-test/own:{os.getpid()}"
TABLE = f"""
[environments."{ROW}"]
tensorflow = "1.99.0"
python = "{PYTHON}"
keras = 2
base = "{BASE}"
with = ["pytest=={PYTEST}"]
"""
DOCKERFILE = """FROM {}
RUN place=$(python3 -c 'import site; print(site.getsitepackages()[0])'); mkdir -p "$place/tensorflow"; \\
    echo '__version__ = "1.99.0"' >"$place/tensorflow/__init__.py"
"""
CELLS = """
import sys

def test_tensorflow_is_the_images_own(environment):
    import tensorflow
    assert tensorflow.__version__ == environment["tensorflow"]
    assert not tensorflow.__file__.startswith("/opt/environment")

def test_what_was_added_is_the_locks():
    import pytest
    assert pytest.__file__.startswith("/opt/environment") and sys.prefix == "/opt/environment"
"""


@pytest.fixture
def planted(container_engine, tmp_path, locks):
    """A project with that environment, and the image that it stands on."""
    planted = Planted(tmp_path / "project", container_engine).plant(locks).cells(CELLS)
    axis_file = planted.root / "environments.toml"
    axis_file.write_text(axis() + TABLE)
    make_lock(planted.root / f"docker/locks/{ROW}.txt", load_environments(axis_file)[ROW])
    with (planted.root / "docker/sizes.toml").open("a") as file:
        file.write(f'"{ROW}" = 10\n')
    below = images.stand_in_base(PYTHON)
    if subprocess.run([container_engine, "image", "inspect", below], capture_output=True, check=False).returncode:
        below = images.official_base(PYTHON)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE.format(below))
    subprocess.run([container_engine, "build", "--tag", BASE, str(context)], check=True, capture_output=True)
    yield planted
    prepared = planted.do("up-to-date", ROW).out.split()
    for image in [*prepared[1:2], BASE]:
        subprocess.run([container_engine, "rmi", "--force", image], capture_output=True, check=False)


def test_the_lock_is_added_to_an_image_that_has_tensorflow(planted):
    done = planted.run(environment=ROW, CUDA_VISIBLE_DEVICES="")
    assert set(planted.outcomes().values()) == {"passed"}, done.out + done.err
    assert {record.base.split()[0] for record in planted.records().values()} == {"official"}


def test_where_it_cannot_be_had_that_is_said_with_what_to_do(planted):
    subprocess.run([planted.engine, "rmi", "--force", BASE], capture_output=True, check=True)
    done = planted.run(environment=ROW)
    assert (done.status, "it has this TensorFlow in it, and there is no stand-in" in done.error) == (5, True), done.err
