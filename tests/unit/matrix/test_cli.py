"""Errors of the command line that come before any engine."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from matrix import cli
from matrix.errors import ArtifactMismatch, BadConfiguration, CannotWrite, CarryoverError
from matrix.project import Project
from matrix.results import Outcome
from tests.page import sample

CHECKOUT = Path(__file__).resolve().parents[3]


def test_a_checkout_that_cannot_be_written_is_one_line(tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    assert cli.main(["--root", str(file), "up-to-date"]) == CannotWrite.status
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert str(file) in told[0]


@pytest.mark.parametrize("words", [["--engine"], ["--engine", ""], ["--engine="], ["--engine", "-x"]])
def test_an_engine_without_a_name_is_not_no_choice(tmp_path, capsys, words):
    with pytest.raises(SystemExit) as end:
        cli.main(["--root", str(tmp_path), "run", "cpu-tf2.21", "--", *words])
    assert end.value.code == 2
    assert "--engine: expected one argument" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["matrix", "images", "clean", "repro", "fixtures"])
def test_the_help_of_a_command_that_runs_an_engine_says_how_to_choose_it(capsys, command):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    assert "--engine NAME" in capsys.readouterr().out


def test_a_selection_of_the_matrix_without_only_is_told_of_it(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["matrix", "--fresh", "producer=1.15", "kind=keras-h5"])
    assert end.value.code == 2
    assert "--only producer=1.15 kind=keras-h5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "where"), [("matrix", "reports/matrix/results.jsonl"), ("run", "reports/results.jsonl")]
)
def test_what_is_interrupted_says_where_its_records_are(monkeypatch, capsys, command, where):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert cli.main([command, *(["cpu-tf2.21"] if command == "run" else [])]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.endswith(f"the cells that had finished are in {where}\n")


@pytest.mark.parametrize("text", ["[[cells]\n", None], ids=["broken", "missing"])
def test_the_cells_are_those_of_the_file_that_is_named(tmp_path, capsys, text):
    """Which comes before anything is built; what cells.toml says does not matter then."""
    shutil.copy(CHECKOUT / "environments.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/cells.toml").write_text("neither is [this\n")
    if text:
        (tmp_path / "tests/other.toml").write_text(text)
    arguments = ["--root", str(tmp_path), "--cells", "other.toml", "--engine", "venv", "run", "cpu-tf2.21"]
    assert cli.main(arguments) == BadConfiguration.status
    (line,) = capsys.readouterr().err.splitlines()
    assert "other.toml" in line


@pytest.mark.parametrize("error", [KeyError("key"), FileExistsError(17, "File exists")], ids=["any", "of the system"])
def test_a_defect_has_a_status_of_its_own_and_not_that_of_a_bad_cell(tmp_path, capsys, monkeypatch, error):
    def doctor(*_):
        raise error

    monkeypatch.setattr(cli, "doctor", doctor)
    assert cli.main(["--root", str(tmp_path), "doctor"]) == CarryoverError.status
    assert "Traceback" in capsys.readouterr().err


def test_fixtures_come_from_cells_that_passed(tmp_path, monkeypatch):
    """A failed one names the file too, and the one of an earlier run is there."""
    shutil.copy(CHECKOUT / "environments.toml", tmp_path)
    project = Project(tmp_path)
    for folder in (project.artifacts / "tf1-saver/cpu-tf1.15", project.committed / "tf1-saver"):
        folder.mkdir(parents=True)
        (folder / folder.parent.name).touch()
    written = sample.record("cpu-tf1.15", "tests/compatibility/test_a.py::test_a", Outcome.FAILED)
    written = msgspec.structs.replace(written, details={"artifact": "tf1-saver/cpu-tf1.15"})
    monkeypatch.setattr(cli, "choose", lambda *_: None)
    monkeypatch.setattr(cli, "run_environment", lambda *_: SimpleNamespace(records=[written], shown_log="log"))
    with pytest.raises(ArtifactMismatch, match="has not written"):
        cli.fixtures(project, "venv")
    assert [path.name for path in (project.committed / "tf1-saver").iterdir()] == ["fixtures"]
