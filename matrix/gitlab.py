"""The jobs of a workflow as a child pipeline of GitLab CI, of the commands of .github/workflows/matrix.yml. Pure.

Stages and no `needs`, of which a job may have 50 only: who reads gets what all jobs of the stages before have kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from matrix.jobs import Job, Jobs

SETUP = ".gitlab/setup.yml"
_LOGIN = ".gitlab/login"
_LOGOUT = 'docker logout "$CI_REGISTRY"'  # a runner of one's own keeps what it is told


def pipeline(jobs: Jobs) -> dict[str, Any]:
    """What GitLab's `trigger: include` takes, as data; JSON is YAML."""
    part = '.github/nox -s part -- {} "$ENVIRONMENT" --jobs "$JOBS"'
    made: dict[str, Any] = {
        "include": [{"local": SETUP}],
        "stages": ["images", "write", "read", "report"],
        "variables": {"JOBS": msgspec.json.encode(jobs).decode()},
        ".image": {
            "stage": "images",
            "rules": [{"if": '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $CARRYOVER_REGISTRY != "none"'}],
            "script": [_LOGIN, '.github/nox -s images -- "$ENVIRONMENT" --push'],
            "after_script": [_LOGOUT],
        },
        ".write": _part("write", "write", [_LOGIN, part.format("write")]),
        ".read": _part("read", "read", [_LOGIN, part.format("read") + " --parts parts"]),
        ".check": _part("check", "read", [_LOGIN, '.github/nox -s "$SESSION"']),
    }
    stages = {"image": jobs.images, "write": jobs.producers, "read": jobs.consumers, "check": jobs.checks}
    for name, rows in stages.items():
        made |= {f"{name} {job.environment}": {"extends": f".{name}", **_own(job)} for job in rows}
    made["report"] = {
        "stage": "report",
        "when": "always",
        "script": ['.github/nox -s merge -- parts --jobs "$JOBS"', ".github/nox -s report"],
        "artifacts": {
            "when": "always",
            "paths": ["reports/index.html", "reports/report.md", "reports/report.json", "reports/bundles/"],
            "reports": {"junit": "reports/junit.xml"},
        },
    }
    return made


def _own(job: Job) -> dict[str, Any]:
    variables = {"ENVIRONMENT": job.environment, "SESSION": job.session, "CARRYOVER_REQUIRE_GPU": job.require_gpu}
    return {"tags": [job.runner], "variables": variables}


def _part(kind: str, stage: str, script: list[str]) -> dict[str, Any]:
    """A job that leaves a part, whatever becomes of it, and begins, whatever became of those before it."""
    return {
        "stage": stage,
        "when": "always",
        "timeout": "2 hours",
        "variables": {"RUNNER_SCRIPT_TIMEOUT": "110m"},  # ended before the job is, what it got to is kept
        "script": script,
        "after_script": [f'.github/pack {kind} "$ENVIRONMENT"', _LOGOUT],
        "artifacts": {
            "when": "always",
            "paths": [f"parts/part-{kind}-$ENVIRONMENT.1.tar.gz"],
            "expire_in": "1 week",
        },
    }
