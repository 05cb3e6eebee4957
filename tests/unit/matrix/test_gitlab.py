"""The child pipeline of GitLab: the jobs of the plan, by the commands of the other workflow."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from matrix import ci, cli, gitlab
from matrix.jobs import Runners
from tests.unit.matrix.test_jobs import ROWS, jobs, names

CHECKOUT = Path(__file__).resolve().parents[3]
WORKFLOW = (CHECKOUT / ".github/workflows/matrix.yml").read_text()
PARENT = (CHECKOUT / ".gitlab-ci.yml").read_text()
COMMANDS = set(re.findall(r"^ +(?:- )?run: (\.github/.*)$", WORKFLOW, re.MULTILINE))
RUNNERS = Runners("small", "with-gpu")


@pytest.fixture
def made():
    """Everything, and the plan that it was made of."""
    plan = jobs(RUNNERS)
    return gitlab.pipeline(plan), plan


def of(pipeline, stage):
    return {name.partition(" ")[2]: job for name, job in pipeline.items() if name.startswith(f"{stage} ")}


def test_every_job_of_the_plan_is_one_of_the_pipeline(made):
    pipeline, plan = made
    for stage, rows in [("image", plan.images), ("write", plan.producers), ("read", plan.consumers)]:
        assert list(of(pipeline, stage)) == names(rows)
    checks = of(pipeline, "check")
    assert list(checks) == names(plan.checks)
    assert checks["gpu-tf2.21"]["tags"] == ["with-gpu"] and checks["cpu-tf2.21"]["tags"] == ["small"]
    assert checks["gpu-tf2.21"]["variables"]["CARRYOVER_REQUIRE_GPU"] == "1"
    assert ci.read_jobs(pipeline["variables"]["JOBS"]) == plan


def test_what_runs_are_the_commands_of_the_other_workflow(made):
    pipeline, _ = made
    scripts = [line for job in pipeline.values() if isinstance(job, dict) for line in job.get("script", ())]
    scripts += [line for job in pipeline.values() if isinstance(job, dict) for line in job.get("after_script", ())]
    scripts = [line for line in scripts if line not in (".gitlab/login", 'docker logout "$CI_REGISTRY"')]
    assert len(scripts) == 9 and set(scripts) <= COMMANDS
    assert COMMANDS - set(scripts) == {".github/nox -s lint", ".github/nox -s tests"}, "which the parent runs"
    own = re.findall(r"^ +- (\.github/.*)$", PARENT, re.MULTILINE)
    assert set(own) == COMMANDS - set(scripts)


def test_the_plan_is_asked_in_the_same_words():
    def asked(text):
        return [line.split("plan -- --")[1] for line in text.splitlines() if "plan -- --" in line]

    there = [line.replace("HEAD^1", '"$CI_MERGE_REQUEST_DIFF_BASE_SHA"').rstrip(")") for line in asked(WORKFLOW)]
    assert len(there) == 2
    assert [line.removeprefix("github") for line in there] == [
        line.removeprefix("gitlab").removesuffix(" > matrix.yml") for line in asked(PARENT)
    ]


def test_who_reads_gets_what_everybody_wrote_and_begins_whatever_became_of_them(made):
    pipeline, _ = made
    order = pipeline["stages"]
    stage = {name: pipeline[name]["stage"] for name in (".image", ".write", ".read", ".check", "report")}
    assert [order.index(stage[name]) for name in stage] == [0, 1, 2, 2, 3]
    assert all(not {"needs", "dependencies"} & set(job) for job in pipeline.values() if isinstance(job, dict))
    for name in (".write", ".read", ".check", "report"):
        assert pipeline[name]["when"] == pipeline[name]["artifacts"]["when"] == "always"
    assert all(job["extends"] in pipeline for name, job in pipeline.items() if " " in name)


def test_images_are_pushed_from_the_main_branch_only(made):
    pipeline, _ = made
    (rule,) = pipeline[".image"]["rules"]
    assert rule["if"].startswith("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && ")
    assert "--push" not in json.dumps([job for name, job in pipeline.items() if name != ".image"])


def test_the_files_of_the_parent_name_no_environment():
    text = PARENT + (CHECKOUT / gitlab.SETUP).read_text()
    assert not [name for name in ROWS if name in text]


def test_it_is_printed_as_one_document_with_the_runners_of_this_forge(capsys):
    assert cli.main(["plan", "--gitlab", "--releases", "cpu-tf2.21"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["include"] == [{"local": ".gitlab/setup.yml"}]
    assert printed["write cpu-tf2.21"]["tags"] == ["saas-linux-small-amd64"]
    assert cli.main(["plan", "--gitlab", "--releases", "2.51"]) == 10
    assert not capsys.readouterr().out
