"""Whom the job's token is shown to, and for how long: the forge's own registry, and no longer than the job."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from matrix import gitlab
from matrix.jobs import Runners
from tests.unit.matrix.test_jobs import jobs

CHECKOUT = Path(__file__).resolve().parents[3]
GITLAB = {"CI_REGISTRY": "registry.example.com:5050", "CI_REGISTRY_USER": "ci"}


def test_github_login():
    """Every job that uses images logs in by the action that logs out at its end, and to the forge's registry only."""
    workflow = (CHECKOUT / ".github/workflows/matrix.yml").read_text()
    logins = re.findall(r"- if: (.*)\n +uses: docker/login-action@[0-9a-f]{40} .*\n((?: {8,}.*\n)+)", workflow)
    assert len(logins) == workflow.count("docker/login-action@") == 4
    for condition, inputs in logins:
        assert condition == "startsWith(env.CARRYOVER_REGISTRY, 'ghcr.io/')"
        assert "registry: ghcr.io\n" in inputs and "logout" not in inputs
    assert "docker login" not in workflow


@pytest.mark.parametrize(
    ("registry", "forge", "told"),
    [
        (
            "registry.example.com:5050/group/project",
            GITLAB,
            "login registry.example.com:5050 --username ci --password-stdin token",
        ),
        ("none", GITLAB, ""),
        ("localhost:5000", GITLAB, ""),
        ("docker.io/owner", GITLAB, ""),
        ("ghcr.io/owner/repository", GITLAB, ""),
        ("registry.example.com:5050.evil.example/owner", GITLAB, ""),
        ("registry.example.com:5050@evil.example/owner", GITLAB, ""),
        ("registry.example.com:5050/group/project", {}, ""),
    ],
)
def test_gitlab_login(tmp_path, registry, forge, told):
    log = tmp_path / "log"
    (tmp_path / "docker").write_text(f'#!/bin/sh\nprintf "%s " "$@" >> {log}\ncat >> {log}\n')
    (tmp_path / "docker").chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CARRYOVER_REGISTRY": registry, "TOKEN": "token", **forge}
    subprocess.run([CHECKOUT / ".gitlab/login"], env=environ, check=True, capture_output=True)
    assert (log.read_text() if log.exists() else "") == told


def test_gitlab_logout():
    made = gitlab.pipeline(jobs(runners=Runners("small"), reduced=True))
    for name, job in made.items():
        if isinstance(job, dict) and ".gitlab/login" in job.get("script", ()):
            assert 'docker logout "$CI_REGISTRY"' in job["after_script"], name
