"""What a workflow fans out to."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from matrix import disk
from matrix.environments import load_environments
from matrix.errors import BadConfiguration, NothingSelected
from matrix.jobs import MOST, Asked, Jobs, Runners, load_runners, make_jobs, touched
from matrix.project import Project
from matrix.sweep import Store

CHECKOUT = Path(__file__).resolve().parents[3]
ROWS = load_environments(CHECKOUT / "environments.toml")
STORE = Store(Project(CHECKOUT))
SMALL = Runners("small")


def jobs(runners=SMALL, rows=ROWS, producers=STORE.producers, **asked):
    return make_jobs(Asked(**asked), rows, producers, STORE.kinds, runners)


def names(stage):
    return [job.environment for job in stage]


def test_everything_is_one_job_a_stage_for_each_environment():
    made = jobs(Runners("small", "with-gpu"))
    releases = [name for name, row in ROWS.items() if row.session in ("cpu-tf1", "cpu-tf2")]
    assert names(made.producers) == names(made.consumers) == releases
    assert names(made.checks) == list(ROWS), "each environment has cells of its own"
    assert names(made.images) == [name for name, row in ROWS.items() if row.device == "cpu"]
    assert made.only == "" and not made.not_run
    assert {job.runner for job in made.checks if job.environment.startswith("gpu")} == {"with-gpu"}
    assert {job.require_gpu for job in made.checks if job.runner == "with-gpu"} == {"1"}
    assert {job.require_gpu for job in made.checks if job.runner == "small"} == {"0"}


def test_rows_that_no_runner_takes_are_named():
    made = jobs()
    assert list(made.not_run) == [name for name, row in ROWS.items() if row.device == "gpu"]
    assert not set(made.not_run) & {*names(made.checks), *names(made.images)}


def test_the_session_of_a_job_is_one_that_nox_has():
    assert jobs(releases=("cpu-tf2.21",)).checks[0].session == "cpu-tf2(2.21)"


def test_the_short_matrix_has_its_tag_and_what_was_touched():
    short = names(jobs(reduced=True).producers)
    assert short == [name for name, row in ROWS.items() if "reduced" in row.tags] and len(short) == 4
    more = jobs(reduced=True, touched=frozenset({"cpu-tf2.4", "cpu-keras3-jax"}))
    assert set(names(more.consumers)) == {*short, "cpu-tf2.4"}
    assert "cpu-keras3-jax" in names(more.checks)
    assert "cpu-tf2.4" in more.only and "cpu-tf2.5" not in more.only


def test_a_selection_is_the_same_at_home():
    from matrix import pairs

    made = jobs(releases=("1.15", "keras3"), kinds=("keras-h5",))
    there = pairs.select(made.only.split(), STORE.producers, STORE.environments, STORE.kinds)
    assert names(made.consumers) == list(there.consumers) and there.kinds == ("keras-h5",)
    assert "cpu-tf1.15" in names(made.producers) and "cpu-tf2.15" not in names(made.producers)
    assert not made.checks, "a kind of file asks for the matrix only"


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ({"releases": ("2.21",)}, []),
        ({"reduced": True, "touched": frozenset({"cpu-tf2.21-legacy"})}, []),
        ({"releases": ("2.15", "cpu-tf2.21-legacy")}, ["cpu-tf2.21-legacy"]),
    ],
)
def test_keras_2_in_a_release_of_keras_3_is_in_the_matrix_only_where_it_is_named(asked, there):
    made = jobs(**asked)
    assert "cpu-tf2.21-legacy" in names(made.checks), "its own cells run all the same"
    assert [name for name in names(made.producers) if "legacy" in name] == there
    assert [name for name in names(made.consumers) if "legacy" in name] == there


def test_a_device_selects():
    made = jobs(Runners("small", "with-gpu"), device="gpu")
    assert names(made.checks) == [name for name, row in ROWS.items() if row.device == "gpu"]
    assert not made.producers and not made.consumers and not made.images


@pytest.mark.parametrize(
    "asked", [{"releases": ("2.51",)}, {"kinds": ("keras-h6",)}, {"releases": ("jax",), "device": "gpu"}]
)
def test_nothing_selected_is_an_error(asked):
    with pytest.raises(NothingSelected):
        jobs(**asked)


def test_more_jobs_than_a_matrix_may_have_are_an_error():
    row = ROWS["cpu-tf2.21"]
    many = {f"cpu-tf2.{i}": msgspec.structs.replace(row, id=f"cpu-tf2.{i}") for i in range(100, 101 + MOST)}
    with pytest.raises(BadConfiguration, match=str(MOST)):
        jobs(rows=many, producers=many)


def test_the_largest_plan_is_one_word_of_a_command():
    row = ROWS["cpu-tf2.21"]
    many = {f"cpu-tf2.{i}": msgspec.structs.replace(row, id=f"cpu-tf2.{i}") for i in range(100, 100 + MOST)}
    assert len(msgspec.json.encode(jobs(Runners("ubuntu-24.04"), rows=many, producers=many))) < 2**17, "of Linux"


def test_a_hosted_runner_holds_the_largest_image_while_it_is_built():
    project = Project(CHECKOUT)
    needed = {name: disk.needed(project, row) for name, row in ROWS.items() if row.device == "cpu"}
    assert max(needed.values()) < 14 * disk.GB, needed


def test_a_change_touches_the_rows_that_it_is_about():
    assert touched(["docker/locks/cpu-tf2.4.txt", "README.md"], ROWS, ROWS) == {"cpu-tf2.4"}
    assert not touched(["checkpoints/reader.py", "docker/locks/cpu-tf9.9.txt"], ROWS, ROWS)
    moved = {name: msgspec.structs.replace(row, places={"": "environments.toml:1"}) for name, row in ROWS.items()}
    assert not touched([], moved, ROWS), "a line that moved changes no row"
    before = {name: row for name, row in ROWS.items() if name != "cpu-tf2.21"}
    before["cpu-tf2.3"] = msgspec.structs.replace(ROWS["cpu-tf2.3"], python="3.9")
    assert touched([], ROWS, before) == {"cpu-tf2.21", "cpu-tf2.3"}


def test_the_runners_of_this_repository_are_named_in_one_place(tmp_path):
    assert load_runners(CHECKOUT / ".github/runners.toml").cpu
    (tmp_path / "runners.toml").write_text('tpu = "x"\ncpu = "y"\n')
    with pytest.raises(BadConfiguration, match="tpu"):
        load_runners(tmp_path / "runners.toml")


def test_what_is_printed_is_read_again():
    made = jobs(reduced=True)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Jobs) == made


def test_the_workflow_names_no_environment_and_every_action_by_its_commit():
    text = "".join(path.read_text() for path in (CHECKOUT / ".github/workflows").glob("*.yml"))
    assert not [name for name in ROWS if name in text]
    assert not re.findall(r"\b[12]\.\d{1,2}\b(?!\.)", re.sub(r"# v[\d.]+", "", text)), "no release either"
    uses = re.findall(r"uses: (.*)", text)
    assert uses and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in uses)
    scripts = re.findall(r"^ +(?:- )?run: (?:\|\n((?:          .*\n)+)|(.*))", text, re.MULTILINE)
    assert scripts and not [one for one in scripts if "${{" in "".join(one)], "what runs has no text of others in it"
