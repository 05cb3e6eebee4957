"""What `nox` shows and refuses: asked of nox itself."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.environments import load_environments
from matrix.plan import load_checks
from matrix.tools import at_once

CHECKOUT = Path(__file__).resolve().parents[3]
ROWS = load_environments(CHECKOUT / "environments.toml")


def nox(*arguments):
    command = [sys.executable, "-m", "nox", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def listed():
    """{session: (tags, description)} as `nox -l` shows them, those that do not run by default included."""
    done = nox("-l")
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^[*-] (\S+)(?: \[(\S*)\])?(?: -> (.*))?$", done.stdout, re.MULTILINE)
    return {name: (tags, text) for name, tags, text in lines}


def test_there_is_a_session_for_each_row_with_its_tags(listed):
    rows = {f"{row.session}({row.release})": ",".join(row.tags) for row in ROWS.values()}
    assert {name: tags for name, (tags, _) in listed.items() if re.match("[cg]pu-", name)} == rows


def test_every_session_has_a_description_of_one_line(listed):
    assert len(listed) > len(ROWS)
    assert not [name for name, (_, text) in listed.items() if not (20 < len(text) < 120 and text.endswith("."))]


def test_every_session_is_in_the_tables_of_commands_and_nothing_else_is(listed):
    readme, reference = ((CHECKOUT / name).read_text() for name in ("README.md", "docs/reference.md"))
    table = reference.partition("## Commands")[2].partition("\n## ")[0]
    named = set(re.findall(r"nox -s \"?([\w-]+)", readme + table))
    assert named == {name.partition("(")[0] for name in listed}


def test_every_session_that_is_named_anywhere_is_one(listed):
    """A command that is told to be typed, in documents, messages and comments, and with a parameter too."""
    paths = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("*.py"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("*/README.md")]
    paths += [
        path for folder in ("matrix", "tests", "checkpoints", "gan") for path in (CHECKOUT / folder).rglob("*.py")
    ]
    command = re.compile(r"""nox -s\s+["']?([a-z][\w-]*(?:\([^(){}\s]*\))?)(?![\w({\\-])""")
    named = {name: path.name for path in paths for name in command.findall(path.read_text())}
    assert {"cpu-tf2", "cpu-tf2(2.21)", "bench(images)", "image-report"} <= set(named)
    there = {*listed, *(name.partition("(")[0] for name in listed)}
    assert {name: path for name, path in named.items() if name not in there} == {}


@pytest.mark.parametrize("tag", ["tf1", "tf2", "cpu", "gpu", "keras2", "keras3", "legacy"])
def test_a_tag_selects_the_rows_that_have_it(tag):
    done = nox("-l", "--json", "-t", tag)
    rows = {f"{row.session}({row.release})" for row in ROWS.values() if tag in row.tags}
    assert {entry["session"] for entry in json.loads(done.stdout)} == rows != set()


@pytest.mark.parametrize("release", ["2.1", "2.10", "2.2", "2.20"])
def test_one_release_is_one_though_another_is_the_same_number(release):
    done = nox("-l", "--json", "-s", f"cpu-tf2({release})")
    assert [entry["session"] for entry in json.loads(done.stdout)] == [f"cpu-tf2({release})"]


@pytest.mark.parametrize(
    "arguments", [["-s", "cpu-tf2(2.25)"], ["--session", "cpu-tf2(2.25)"], ["--session=cpu-tf2(2.25)"]]
)
def test_an_unknown_release_is_one_line_with_those_near_it(arguments):
    done = nox(*arguments)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [done.stderr.strip()] and "cpu-tf2(2.21)" in done.stderr


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("cpu-tf2.21", "cpu-tf2(2.21)"),
        ("cpu-tf2.16-legacy", "cpu-legacy(2.16)"),
        ("cpu-keras3-jax", "cpu-keras(jax)"),
        ("cpu-tf2[2.21]", "cpu-tf2(2.21)"),
        ("cpu-tf3", "cpu-tf2"),
        ("imagse", "images"),
        ("2.21", "nox -l"),
    ],
)
def test_an_unknown_session_is_one_line_with_what_is_meant(word, meant):
    done = nox("-s", word)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, meant in line.rpartition(": ")[2]) == (3, True), line


@pytest.mark.parametrize("word", ["cpu-tf2.99", "2.15"])
def test_an_experiment_in_an_unknown_environment_starts_nowhere(word):
    done = nox("-s", "experiment", "--", word, "-x")
    assert done.returncode == 3 and f"there is no environment '{word}'" in done.stderr


def commands(session, *arguments):
    """The commands of `matrix` that a session runs with `arguments` after --, without running them."""
    code = (
        "import json, sys, types, noxfile\n"
        "told = []\n"
        "noxfile._matrix = lambda session, *words: told.append(words)\n"
        f"noxfile.{session}(types.SimpleNamespace(posargs=sys.argv[1:]))\n"
        "print(json.dumps(told))"
    )
    command = [sys.executable, "-c", code, *arguments]
    return json.loads(subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout)


def test_what_goes_back_is_restored_whatever_else_is_asked_for():
    """A second -k would take the place of the first."""
    (command,) = commands("go_back", "-k", "committed")
    assert command[:3] == ["run", "cpu-tf1.15", "--"] and command[-2:] == ["-k", "committed"]
    path, *rest = command[3:-2]
    declared = [check.test for check in load_checks(CHECKOUT / "tests/cells.toml") if check.consumes == "keras-as-tf1"]
    assert ([path], rest) == (declared, [])


def test_no_session_that_changes_committed_files_ignores_its_arguments():
    assert commands("fixtures", "--help") == [["fixtures", "--help"]]


def test_a_status_of_its_own_reaches_who_called_nox():
    done = nox("-s", "cpu-tf2(2.21)", "--", "--engine", "rocket")
    assert done.returncode == 4, done.stderr
    assert "there is no engine 'rocket'" in done.stderr


def test_what_a_killed_nox_of_the_same_number_left_is_not_the_status():
    statuses = CHECKOUT / ".carryover"
    statuses.mkdir(exist_ok=True)
    command = f'echo 6 > "$0/nox-$$.statuses"; exec {shlex.quote(sys.executable)} -m nox -l'
    done = subprocess.run(["sh", "-c", command, statuses], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(statuses.glob("nox-*"))


def test_the_reduced_matrix_has_a_row_of_each_kind_and_goes_back():
    done = nox("-l", "--json", "-t", "reduced")
    assert [entry["session"] for entry in json.loads(done.stdout)] == [
        "cpu-tf1(1.15)", "cpu-tf2(2.0)", "cpu-tf2(2.15)", "cpu-tf2(2.21)", "go-back"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "more", [["-s", "cpu-tf2"], ["-t", "reduced"], ["-j", "2", "-s", "cpu-tf2(2.4)", "cpu-tf2(2.21)"]]
)
def test_several_releases_run_beside_each_other_and_their_status_is_still_told(more):
    done = nox(*more, "--", "--engine", "rocket")
    assert done.returncode == 4, done.stderr
    assert done.stdout.count("Starting session cpu-tf2") > 1
    assert not list((CHECKOUT / ".carryover").glob("nox-*"))


def test_one_release_shows_its_cells_as_they_happen():
    done = nox("-s", "cpu-tf2(2.21)", "--", "--engine", "rocket")
    assert "Starting session" not in done.stdout  # which is how nox begins to hold output back


@pytest.mark.parametrize("gibibytes, cores, most", [(64, 4, 4), (8, 4, 2), (1, 4, 1)])
def test_as_many_releases_at_once_as_there_are_cores_and_memory_for(gibibytes, cores, most, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    monkeypatch.setattr(os, "sysconf", lambda name: gibibytes * 2**20 if name == "SC_PHYS_PAGES" else 2**10)
    assert at_once() == most
