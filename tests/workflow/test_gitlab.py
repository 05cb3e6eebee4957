"""The generated pipeline of GitLab, its scripts run by hand in their order, each job in a clone of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tests.support.other_machine import CHECKOUT, clone
from tests.support.other_machine import environ as environ_of_machine

ID = "cpu-tf2.21"
SMALL = ["--releases", ID, "--kinds", "keras-v3,saver-v2"]


@pytest.fixture
def checkout(tmp_path):
    """What is not ignored of this checkout, committed."""
    return clone(tmp_path / "checkout")


class Runner:
    """What GitLab's does with the jobs of a pipeline, as far as these need it: one level of `extends`, no rules."""

    def __init__(self, checkout, folder, pipeline):
        self.checkout, self.folder, self.pipeline = checkout, folder, pipeline
        self.kept = folder / "kept"
        self.kept.mkdir()

    def job(self, name):
        own = self.pipeline[name]
        base = self.pipeline.get(own.get("extends"), {})
        variables = {**self.pipeline["variables"], **base.get("variables", {}), **own.get("variables", {})}
        return {**base, **own, "variables": variables}

    def run(self, name):
        """The exit status of one job's script. Its artifacts are kept, as they are named."""
        job, clone = self.job(name), self.folder / name.replace(" ", "-")
        subprocess.run(["git", "clone", "-q", str(self.checkout), str(clone)], check=True)
        shutil.copytree(self.kept, clone, dirs_exist_ok=True)
        environ = environ_of_machine(**job["variables"], CARRYOVER_ENGINE="docker", CARRYOVER_REGISTRY="none")

        def shell(lines):
            words = ["bash", "-eo", "pipefail", "-c", "\n".join(lines)]
            return subprocess.run(words, cwd=clone, env=environ, check=False).returncode

        status = shell(job["script"])
        assert shell(job.get("after_script", ())) == 0
        for path in job["artifacts"]["paths"]:
            path = path.replace("$ENVIRONMENT", job["variables"].get("ENVIRONMENT", ""))
            for found in clone.glob(path.rstrip("/")):
                there = self.kept / found.relative_to(clone)
                there.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if found.is_dir() else shutil.copy)(found, there)
        return status


def test_the_scripts_of_its_jobs_write_read_and_report(checkout, tmp_path):
    words = [sys.executable, "-m", "matrix", "plan", "--gitlab", *SMALL]
    printed = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    runner = Runner(checkout, tmp_path, json.loads(printed))
    jobs = [name for name in runner.pipeline if " " in name and not name.startswith("image ")]
    assert jobs == [f"write {ID}", f"read {ID}"]
    assert [runner.run(name) for name in [*jobs, "report"]] == [0, 0, 0]
    cells = json.loads((runner.kept / "reports/report.json").read_text())["cells"]
    assert [cell["outcome"] for cell in cells] == ["passed"] * 6


def test_without_the_part_of_a_job_the_report_is_red(checkout, tmp_path):
    words = [sys.executable, "-m", "matrix", "plan", "--gitlab", *SMALL]
    printed = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    runner = Runner(checkout, tmp_path, json.loads(printed))
    assert runner.run("report") == 1
    cells = json.loads((runner.kept / "reports/report.json").read_text())["cells"]
    assert {cell["outcome"] for cell in cells} == {"no record"}
