"""A gpu environment where there is no GPU: what can run there does, and nobody is told that all is well."""

from __future__ import annotations

import json
import os

import pytest

from matrix.engine import gpu_here
from tests.engine.planted import OTHER, Planted

_DRIVER_ANSWERS = """\
case "$*" in
-L) echo "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-0)" ;;
*) echo "NVIDIA A100-SXM4-40GB, 550.54.15, 8.0" ;;
esac
"""


@pytest.fixture
def without_gpu(working, tmp_path, locks, venvs):
    """`without_gpu(**environ)` runs a good cell where nvidia-smi finds no driver, on the quickest engine."""
    planted = Planted(tmp_path / "project", working("venv")).plant(locks, venvs)
    planted.cells("def test_passes(): pass\n").cells("def test_runs_there(): pass\n", module="test_gpu", needs="gpu")
    path = with_smi(tmp_path, "echo NVIDIA-SMI has failed because it could not communicate with the driver\nexit 9\n")
    return lambda **environ: (planted, planted.run(environment=OTHER, PATH=path, **environ))


def with_smi(folder, script):
    """A PATH on which nvidia-smi is `script`."""
    smi = folder / "bin/nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\n" + script)
    smi.chmod(0o755)
    return f"{smi.parent}{os.pathsep}{os.environ['PATH']}"


def test_where_a_gpu_is_required_no_cell_runs_and_the_status_is_20(without_gpu):
    planted, done = without_gpu(CARRYOVER_REQUIRE_GPU="1")
    assert done.status == 20 and "CARRYOVER_REQUIRE_GPU" in done.error and OTHER in done.error
    assert planted.outcomes() == {"test_passes": "not run", "test_runs_there": "not run"}
    assert planted.left() == []


@pytest.mark.parametrize("environ", [{}, {"CARRYOVER_REQUIRE_GPU": "0"}])
def test_else_the_cells_run_on_the_cpu_and_the_session_is_skipped(without_gpu, environ):
    planted, done = without_gpu(**environ)
    outcomes = {"test_passes": "passed", "test_runs_there": "not run"}
    assert (done.status, planted.outcomes()) == (77, outcomes), done.out + done.err
    assert planted.records()["test_passes"].device == "cpu"


@pytest.mark.skipif(gpu_here(), reason="containers may well get the GPU that is here")
def test_an_engine_that_cannot_give_a_container_the_gpu_says_what_helps_and_blames_no_cell(
    container_engine, tmp_path, locks
):
    """A driver and no container toolkit: what many hosts have."""
    planted = Planted(tmp_path / "project", container_engine).plant(locks)
    planted.cells("def test_passes(): pass\n").cells("def test_runs_there(): pass\n", module="test_gpu", needs="gpu")
    path = with_smi(tmp_path, _DRIVER_ANSWERS)
    done = planted.run(environment=OTHER, PATH=path)
    assert done.status == 4 and "nvidia-container-toolkit" in done.error, done.out + done.err
    assert planted.outcomes() == {"test_passes": "not run", "test_runs_there": "not run"}
    assert planted.left() == []
    doctor = planted.do("doctor", "--json", PATH=path)
    (finding,) = [f for f in json.loads(doctor.out)["findings"] if f["what"] == f"{container_engine} GPU"]
    assert finding["state"] == "lacking" and "nvidia-container-toolkit" in finding["remedy"], finding


def test_cells_leave_memory_of_a_gpu_to_others_and_compute_in_float32(planted):
    """TensorFlow's own defaults are neither."""
    planted.cells(
        """\
import os

def test_environ():
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" and os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
"""
    )
    done = planted.run()
    assert done.status == 0, done.out + done.err
