"""The workflow, run for real over one release and two kinds of files: green, red with the command, red as missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from matrix import bundle
from matrix.project import Project
from tests.support.other_machine import CHECKOUT
from tests.workflow.act import Act

ID = "cpu-tf2.21"
SMALL = ["workflow_dispatch", "--input", f"releases={ID}", "--input", "kinds=keras-v3,saver-v2"]
PLANTED = """    if pair["kind"] == "keras-v3" and pair["way"] == "native":
        raise OSError("planted: the file is torn")
"""


@pytest.fixture
def act(tmp_path):
    return Act.prepare(tmp_path)


def test_a_pull_request_plans_the_short_matrix_and_what_it_touches(act, tmp_path):
    with (act.root / "docker/locks/cpu-tf2.4.txt").open("a") as lock:
        lock.write("# changed\n")
    act.commit("touched")
    status, said = act.run(tmp_path / "log", "pull_request", "-j", "plan")
    assert status == 0, said[-5000:]
    (printed,) = re.findall(r"::set-output:: jobs=(.*)", said)
    jobs = json.loads(printed)
    short = {row.id for row in Project(CHECKOUT).environments.values() if "reduced" in row.tags}
    assert {job["environment"] for job in jobs["producers"]} == {*short, "cpu-tf2.4"}
    assert {job["environment"] for job in jobs["checks"]} == {*short, "cpu-tf2.4"}


def told(act):
    """The report that the workflow has uploaded: outcomes by name, and the summary."""
    folder = act.store / "report"
    cells = json.loads((folder / "report.json").read_text())["cells"]
    return {cell["name"]: cell["outcome"] for cell in cells}, (folder / "report.md").read_text()


def test_a_selection_is_written_read_and_reported(act, tmp_path):
    status, said = act.run(tmp_path / "log", *SMALL)
    assert status == 0, said[-5000:]
    outcomes, _ = told(act)
    assert set(outcomes.values()) == {"passed"}, outcomes
    assert len([name for name in outcomes if "writes" in name]) == 2
    assert len([name for name in outcomes if "loads" in name]) == 4
    assert {path.name for path in act.store.iterdir()} >= {f"part-write-{ID}-1", f"part-read-{ID}-1", "report"}
    assert "<html" in (act.store / "report/index.html").read_text()[:500].lower()
    assert "lint" not in re.findall(r"^\[matrix/(\w+)", said, re.MULTILINE), "one selection by hand tests no sources"


def test_a_failure_turns_it_red_with_the_command_that_reproduces_it_at_home(act, tmp_path):
    cells = act.root / "tests/pairs/test_pairs.py"
    before, mark, after = cells.read_text().partition('    golden = read_golden(pair["folder"])\n')
    cells.write_text(before + PLANTED + mark + after)
    act.commit("planted")
    status, said = act.run(tmp_path / "log", *SMALL)
    assert status != 0
    outcomes, summary = told(act)
    failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
    assert failed == [f"{ID}/pairs::loads[keras-v3-{ID}-native]"], outcomes
    assert f"nox -s repro -- '{failed[0]}'" in said, "in the job's own log"
    (command,) = re.findall(r"\| `nox -s repro -- (\S+)` \|", summary)
    path = act.store / "bundles" / command
    assert path.name.endswith(bundle.SUFFIX) and path.is_file(), "the bundle that the summary's line names"
    words = [sys.executable, "-m", "matrix", "repro", str(path)]
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "fails again, in the same way: OSError: planted: the file is torn" in done.stdout


def test_a_job_killed_midway_turns_it_red_as_missing(act, tmp_path):
    killed = []

    def watch():
        for _, folder in act.jobs_of("part", "--", "read", ID):
            records = folder / "reports/matrix/results.jsonl"
            if not killed and records.is_file() and b"test_loads" in records.read_bytes():
                killed.append(act.kill("part", "--", "read", ID))

    status, _ = act.run(tmp_path / "log", *SMALL, watch=watch)
    assert killed == [True] and status != 0
    outcomes, summary = told(act)
    missing = [name for name, outcome in outcomes.items() if outcome == "no record"]
    assert 0 < len(missing) < 4, outcomes
    assert all(name in summary for name in missing) and "? no record" in summary
    assert f"nox -s matrix -- --only producer={ID}" in summary


def test_rows_that_no_runner_takes_are_shown_as_not_run(act, tmp_path):
    words = ["workflow_dispatch", "--input", "releases=gpu-tf2.21", "--input", "device=gpu"]
    status, said = act.run(tmp_path / "log", *words)
    assert status == 0, said[-5000:]
    outcomes, summary = told(act)
    assert set(outcomes.values()) == {"not run"}, outcomes
    assert "not run" in summary and "passed" not in summary


def test_a_release_that_is_none_is_an_error_of_the_plan_and_nothing_else_runs(act, tmp_path):
    status, said = act.run(tmp_path / "log", "workflow_dispatch", "--input", "releases=2.51; echo oh")
    assert status != 0
    assert "'2.51;' is no release, environment or tag: did you mean" in said
    assert not list(act.store.iterdir())


def test_what_passes_only_when_its_job_is_run_again_is_shown_as_such(act, tmp_path):
    cells = act.root / "tests/pairs/test_pairs.py"
    before, mark, after = cells.read_text().partition('    golden = read_golden(pair["folder"])\n')
    cells.write_text(before + PLANTED + mark + after)
    act.commit("planted")
    assert act.run(tmp_path / "log", *SMALL)[0] != 0
    cells.write_text(before + mark + after)
    act.commit("mended")
    status, said = act.run(tmp_path / "log", *SMALL, "--env", "GITHUB_RUN_ATTEMPT=2")
    assert status == 0, said[-5000:]
    outcomes, summary = told(act)
    assert set(outcomes.values()) == {"passed"}, outcomes
    assert f"passed only when their job was run again: {ID}/pairs::loads" in summary.replace("\\", "")
    assert {path.name for path in act.store.iterdir()} >= {f"part-read-{ID}-1", f"part-read-{ID}-2"}
