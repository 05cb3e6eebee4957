"""A gpu environment where there is no GPU: what can run there does, and nobody is told that all is well."""

from __future__ import annotations

import os

import pytest

from tests.engine.planted import OTHER, Planted


@pytest.fixture
def without_gpu(working, tmp_path, locks, venvs):
    """`without_gpu(**environ)` runs a good cell where nvidia-smi finds no driver, on the quickest engine."""
    planted = Planted(tmp_path / "project", working("venv")).plant(locks, venvs)
    planted.cells("def test_passes(): pass\n").cells("def test_runs_there(): pass\n", module="test_gpu", needs="gpu")
    smi = tmp_path / "bin/nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho NVIDIA-SMI has failed because it could not communicate with the driver\nexit 9\n")
    smi.chmod(0o755)
    path = f"{smi.parent}{os.pathsep}{os.environ['PATH']}"
    return lambda **environ: (planted, planted.run(environment=OTHER, PATH=path, **environ))


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
