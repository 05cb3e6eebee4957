"""The parts of many jobs made one: what is there, what is not, and what is said of it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest

from matrix import artifacts, ci, cli, parts, sweep
from matrix.jobs import Asked, Runners, make_jobs
from matrix.project import Limits, Project
from matrix.report.command import gather
from matrix.results import Outcome, Results
from matrix.sweep import Store
from tests.page import sample
from tests.unit.matrix import bundles
from tests.unit.matrix import test_jobs as rows

CHECKOUT = Path(__file__).resolve().parents[3]
ONE = "cpu-tf2.21"


@pytest.fixture
def project(tmp_path):
    """A checkout without records or artifacts of its own."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("environments.toml", "docker", "tests", "gan", "checkpoints", ".github", "matrix", "pyproject.toml"):
        (root / name).symlink_to(CHECKOUT / name)
    (root / ".carryover").mkdir()
    return Project(root)


def jobs(project, **asked):
    store = Store(project)
    return make_jobs(Asked(**asked), project.environments, store.producers, store.kinds, Runners("small"))


def one_kind(project):
    return jobs(project, releases=(ONE,), kinds=("keras-v3",))


def part(project, folder, stage, *, skip=(), artifact=True, failed=(), number=1):
    """What a job of `stage` leaves at a try of it: records of all of its cells that pass, but `skip` and `failed`."""
    there = Project(folder / stage)
    for name in ("environments.toml", "docker", "tests", "gan", "checkpoints", "matrix"):
        (there.root / name).parent.mkdir(parents=True, exist_ok=True)
        (there.root / name).symlink_to(CHECKOUT / name)
    there.state.mkdir()
    made = there.root / "made"
    made.mkdir()
    (made / "model").write_text("weights")
    if artifact:
        manifest = artifacts.Manifest("matrix-keras-v3", ONE, "cell", {}, {})
        artifacts.publish(there, made, manifest, there.artifacts / f"matrix-keras-v3/{ONE}")
    cells = sweep.plan(Store(there), one_kind(project).only.split(), stage)
    role = {"write": "produce", "read": "consume"}[stage]
    for cell in cells:
        if cell.role == role and cell.way not in skip:
            outcome = Outcome.FAILED if cell.way in failed else Outcome.PASSED
            Results(there.reports / "matrix/results.jsonl").append(sample.record(ONE, cell.cell, outcome))
    pack(there.root, folder / "parts", stage, number)
    shutil.rmtree(there.root)
    return folder / "parts"


def pack(root, folder, stage, number=1):
    """What `.github/pack` makes of the checkout `root`, in `folder`."""
    environ = {**os.environ, "GITHUB_RUN_ATTEMPT": str(number)}
    subprocess.run([CHECKOUT / ".github/pack", stage, ONE], cwd=root, env=environ, check=True)
    folder.mkdir(exist_ok=True)
    shutil.move(root / "parts" / f"part-{stage}-{ONE}.{number}.tar.gz", folder)


def outcomes(project):
    return {cell.way or cell.role: cell.outcome for cell in gather(project).cells}


def test_parts_make_one_matrix(project, tmp_path):
    part(project, tmp_path, "write")
    folder = part(project, tmp_path, "read")
    assert ci.merge(project, folder, one_kind(project)) == 0
    assert outcomes(project) == {"produce": "passed", "native": "passed", "carryover": "passed"}
    artifacts.verify(project.artifacts / "matrix-keras-v3" / ONE)


def test_a_job_that_ended_midway_leaves_cells_without_record(project, tmp_path, capsys):
    part(project, tmp_path, "write")
    ci.merge(project, part(project, tmp_path, "read", skip=("carryover",)), one_kind(project))
    assert outcomes(project)["carryover"] == "no record"
    assert cli.main(["--root", str(project.root), "report"]) == 1
    assert f"--only producer={ONE} kind=keras-v3 consumer={ONE} way=carryover" in capsys.readouterr().out


def test_a_consumer_whose_whole_job_died_is_planned_all_the_same(project, tmp_path):
    ci.merge(project, part(project, tmp_path, "write"), one_kind(project))
    assert outcomes(project) == {"produce": "passed", "native": "no record", "carryover": "no record"}


def test_all_jobs_died(project, tmp_path):
    assert ci.merge(project, tmp_path / "nothing", one_kind(project)) == 0
    assert outcomes(project) == {"produce": "no record"}


def test_a_damaged_part_is_said_and_counts_as_missing(project, tmp_path, capsys):
    part(project, tmp_path, "write")
    folder = part(project, tmp_path, "read")
    torn = folder / f"part-read-{ONE}.1.tar.gz"
    torn.write_bytes(torn.read_bytes()[:-100])
    ci.merge(project, folder, one_kind(project))
    assert f"part-read-{ONE}.1.tar.gz is damaged and left out" in capsys.readouterr().out
    assert outcomes(project)["native"] == "no record"


def test_what_passed_only_at_a_second_try_is_shown_as_such(project, tmp_path):
    part(project, tmp_path, "write")
    part(project, tmp_path, "read", failed=("native",), number=2)
    folder = part(project, tmp_path, "read", number=10)
    part(project, tmp_path, "read", failed=("native",))
    ci.merge(project, folder, one_kind(project))
    made = gather(project)
    assert {cell.way or cell.role: cell.outcome for cell in made.cells} == dict.fromkeys(
        ("produce", "native", "carryover"), "passed"
    ), "the last try counts, and 10 comes after 2"
    (tried,) = [cell for cell in made.cells if cell.figures.get("tries")]
    assert (tried.way, tried.figures["tries"]) == ("native", 10)
    assert made.notes == [f"passed only when their job was run again: {tried.name}"]


def test_what_a_first_try_did_not_get_to_counts_as_a_second_try_too(project, tmp_path):
    part(project, tmp_path, "write")
    part(project, tmp_path, "read", skip=("carryover",))
    ci.merge(project, part(project, tmp_path, "read", number=2), one_kind(project))
    assert [cell.way for cell in gather(project).cells if cell.figures.get("tries")] == ["carryover"]


def test_environments_own_cells_without_their_job_fail_and_those_without_a_runner_are_not_run(project, tmp_path):
    asked = msgspec.structs.replace(jobs(project, releases=("jax", "gpu-tf2.21")), producers=(), consumers=())
    ci.merge(project, tmp_path, asked)
    records = Results(project.reports / "results.jsonl").read()
    assert {record.environment: record.outcome for record in records} == {
        "cpu-keras3-jax": Outcome.FAILED,
        "gpu-tf2.21": Outcome.NOT_RUN,
    }
    assert {record.reason for record in records if record.outcome is Outcome.FAILED} == {
        "no record: its job died, or never began"
    }


def test_the_commands_take_what_plan_printed(project, capsys):
    root = ["--root", str(project.root)]
    assert cli.main([*root, "plan", "--github", "--reduced"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 1 and json.loads(printed)["producers"]
    assert ci.read_jobs(printed) == rows.jobs(runners=Runners("ubuntu-24.04"), reduced=True)
    assert cli.main([*root, "merge", "parts", "--jobs", "{"]) == 2
    assert "what `nox -s plan -- --github` printed" in capsys.readouterr().err
    assert cli.main([*root, "plan", "--since", "HEAD"]) == 2
    assert cli.main([*root, "plan", "--reduced", "--since", "nowhere"]) == 2


def test_bundles_show_every_reason_before_one_a_second_time(project, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ci, "_BUNDLES", 2)
    asked = jobs(project, releases=(ONE,), kinds=("keras-v3", "keras-h5", "weights-h5", "saver-v2"))
    project.reports.mkdir()
    reasons = iter(["OSError: torn", "OSError: torn", "OSError: torn", "ValueError: other"])
    for cell in sweep.plan(Store(project), asked.only.split(), "write"):
        record = sample.record(ONE, cell.cell, Outcome.FAILED, next(reasons), kind=cell.kind)
        record = msgspec.structs.replace(record, image_id="sha256:" + "0" * 64)
        Results(project.reports / "matrix/results.jsonl").append(record)
    ci.merge(project, tmp_path / "nothing", asked)
    shown = {cell.reason for cell in gather(project).bad() if cell.bundle}
    assert shown == {"OSError: torn", "ValueError: other"}
    assert len(list((project.reports / "bundles").iterdir())) == 2
    assert "2 bundles of 4 bad cells" in capsys.readouterr().out


def test_an_axis_of_an_older_form_touches_every_row(project, capsys):
    git = ["git", "-C", str(project.root), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    axis = project.root / "environments.toml"
    now = axis.read_text()
    axis.unlink()
    for text in (now.replace("python = ", "snake = "), now):
        axis.write_text(text)
        for words in (["init", "-q"], ["add", "environments.toml"], ["commit", "-q", "-m", "axis"]):
            subprocess.run([*git, *words], check=True)
    assert cli.main(["--root", str(project.root), "plan", "--github", "--reduced", "--since", "HEAD^1"]) == 0
    producers = {job["environment"] for job in json.loads(capsys.readouterr().out)["producers"]}
    assert producers > {"cpu-tf2.4", "cpu-tf2.5"}


@pytest.mark.parametrize("stage", ["write", "read"])
@pytest.mark.parametrize(
    ("left", "status"), [("all", 0), ("one failed", 1), ("one missing", 1), ("none", 1)], ids=lambda value: str(value)
)
def test_a_job_is_green_only_if_each_of_its_cells_has_a_record_that_is_not_bad(
    project, monkeypatch, stage, left, status
):
    """And what others have to do is theirs."""
    asked = jobs(project, releases=(ONE, "2.20"), kinds=("keras-v3", "keras-h5"))
    role = {"write": "produce", "read": "consume"}[stage]
    store = Store(project)
    made = {name: {ONE} for name in store.written(())}
    monkeypatch.setattr(Store, "written", lambda *_: made)

    def run_part(*_):
        planned = store.plan().cells
        own = [cell for cell in planned if (cell.environment, cell.role) == (ONE, role)]
        others = [cell for cell in planned if (cell.environment, cell.role) != (ONE, role)]
        records = [sample.record(ONE, cell.cell) for cell in own]
        if left == "one failed":
            records[0] = sample.record(ONE, own[0].cell, Outcome.FAILED)
        records = {"one missing": records[1:], "none": []}.get(left, records)
        store.results.extend([sample.record(cell.environment, cell.cell, Outcome.FAILED) for cell in others])
        store.results.extend(records)

    monkeypatch.setattr(ci, "choose", lambda *_: None)
    monkeypatch.setattr(ci, "run_part", run_part)
    store.folder.mkdir(parents=True)
    assert ci.part(project, stage, ONE, asked, None) == status


def test_a_part_whose_artifact_was_altered_is_left_out(project, tmp_path, capsys):
    folder = part(project, tmp_path, "write")
    path = folder / f"part-write-{ONE}.1.tar.gz"
    there = tmp_path / "altered"
    with tarfile.open(path) as tar:
        tar.extractall(there, filter="data")
    (there / f"artifacts/matrix-keras-v3/{ONE}/model").write_text("other weights")
    path.unlink()
    pack(there, folder, "write")
    ci.merge(project, folder, one_kind(project))
    assert "is damaged and left out" in capsys.readouterr().out
    assert not (project.artifacts / "matrix-keras-v3" / ONE).exists()
    assert outcomes(project) == {"produce": "no record"}


@pytest.mark.parametrize("damaged", [2, 1], ids=["the last", "the first"])
def test_a_damaged_part_does_not_keep_the_others_from_being_read(project, tmp_path, damaged, capsys):
    folder = part(project, tmp_path, "write")
    whole = folder / f"part-write-{ONE}.1.tar.gz"
    other = folder / f"part-write-{ONE}.2.tar.gz"
    shutil.copy(whole, other)
    torn = {1: whole, 2: other}[damaged]
    torn.write_bytes(torn.read_bytes()[:-100])
    parts.take_artifacts(project, folder)
    assert f"{torn.name} is damaged and left out" in capsys.readouterr().out
    artifacts.verify(project.artifacts / "matrix-keras-v3" / ONE)
    assert not list(project.state.glob("parts/*"))


def forged(folder, *members):
    """A part with `members`, each what stands in a tar."""
    folder.mkdir(exist_ok=True)
    (folder / f"part-write-{ONE}.1.tar.gz").write_bytes(gzip.compress(b"".join(members) + bytes(1024), 1))
    return folder


@pytest.mark.parametrize(
    "members",
    [
        [bundles.member("reports/../../evil", b"x")],
        [bundles.member("/tmp/evil", b"x")],
        [bundles.member("matrix/cli.py", b"x")],
        [bundles.member("reports/\x1b[2J", b"x")],
        [bundles.header("reports/evil", 0, tarfile.SYMTYPE, "/etc/passwd")],
        [bundles.header("reports/evil", 0, tarfile.LNKTYPE, "/etc/passwd")],
        [bundles.header("reports/evil", 0, tarfile.FIFOTYPE)],
        [bundles.header("reports", 0, tarfile.SYMTYPE, "/tmp")],
        [bundles.announced(tarfile.GNUTYPE_LONGNAME, b"a" * (64 << 20))],
        [bundles.announced(tarfile.XHDTYPE, bytes(64 << 20))],
        [bundles.member("reports/zeros", bytes(5 << 20))],
        [bundles.member("reports/a", b"x"), bundles.member("reports/a", b"y")],
        [bundles.member("reports/a", b"x"), bundles.member("reports/a/b", b"y")],
        [bundles.member(f"reports/{n}", b"") for n in range(20_001)],
    ],
    ids=[
        *(
            "leads out",
            "absolute",
            "another folder",
            "control characters",
            "link",
            "hard link",
            "pipe",
            "folder is a link",
        ),
        *("long name", "pax", "too large", "twice", "file and folder", "too many"),
    ],
)
def test_hostile_part(project, tmp_path, members, capsys):
    project = Project(project.root, Limits(bundle_bytes=4 << 20))
    ci.merge(project, forged(tmp_path / "parts", *members), one_kind(project))
    told = capsys.readouterr().out
    assert f"part-write-{ONE}.1.tar.gz is damaged and left out" in told and told.replace("\n", "").isprintable(), told
    assert not list(project.state.glob("parts/*")) and not (tmp_path / "evil").exists()
    assert outcomes(project) == {"produce": "no record"}


def test_part_has_its_own_environment_only(project, tmp_path):
    """A job says nothing of others' cells, and writes under no other producer's name."""
    there = tmp_path / "there"
    (there / "reports/matrix").mkdir(parents=True)
    Results(there / "reports/results.jsonl").extend(
        [sample.record("cpu-tf2.20", "tests/x::y"), sample.record(ONE, "x::y")]
    )
    for name in (ONE, "cpu-tf2.20"):
        made = tmp_path / f"made-{name}"
        made.mkdir()
        manifest = artifacts.Manifest("matrix-keras-v3", name, "cell", {}, {})
        artifacts.publish(Project(there), made, manifest, there / f"artifacts/matrix-keras-v3/{name}")
    pack(there, tmp_path / "parts", "write")
    ci.merge(project, tmp_path / "parts", one_kind(project))
    assert [path.name for path in project.artifacts.glob("*/*")] == [ONE]
    assert {record.environment for record in Results(project.reports / "results.jsonl").read()} == {ONE}
