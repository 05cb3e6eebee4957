"""Whom the job's token is shown to: the forge's own registry, and nobody else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
GITHUB = {"GITHUB_ACTOR": "octocat"}
GITLAB = {"CI_REGISTRY": "registry.example.com:5050", "CI_REGISTRY_USER": "ci"}


@pytest.mark.parametrize(
    ("registry", "forge", "told"),
    [
        ("ghcr.io/owner/repository", GITHUB, "login ghcr.io --username octocat --password-stdin token"),
        (
            "registry.example.com:5050/group/project",
            GITLAB,
            "login registry.example.com:5050 --username ci --password-stdin token",
        ),
        ("none", GITHUB, ""),
        ("localhost:5000", GITHUB, ""),
        ("evil.example/owner", GITHUB, ""),
        ("ghcr.io.evil.example/owner", GITHUB, ""),
        ("ghcr.io@evil.example/owner", GITHUB, ""),
        ("docker.io/owner", GITLAB, ""),
        ("ghcr.io/owner/repository", GITLAB, ""),
        ("registry.example.com:5050/group/project", GITHUB, ""),
    ],
)
def test_the_token_goes_to_the_registry_of_the_forge_alone(tmp_path, registry, forge, told):
    log = tmp_path / "log"
    (tmp_path / "docker").write_text(f'#!/bin/sh\nprintf "%s " "$@" >> {log}\ncat >> {log}\n')
    (tmp_path / "docker").chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CARRYOVER_REGISTRY": registry, "TOKEN": "token", **forge}
    subprocess.run([CHECKOUT / ".github/login"], env=environ, check=True, capture_output=True)
    assert (log.read_text() if log.exists() else "") == told
