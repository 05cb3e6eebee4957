"""From the name of a cell to its record."""

from __future__ import annotations

import json

import msgspec
import pytest

from matrix.errors import UnknownCell
from matrix.lookup import find
from matrix.project import Project
from matrix.results import Results
from tests.unit.matrix.test_results import record

AXIS = """
cutoff = "2026-01-01T00:00:00Z"
common = []
[environments."cpu-tf2.21"]
tensorflow = "2.21.0"
package = "tensorflow-cpu"
python = "3.13"
keras = 3
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "environments.toml").write_text(AXIS)
    (tmp_path / "tests/cells.toml").write_text('[[cells]]\ntest = "tests/a/test_later.py::test_new"\nin = []\n')
    (tmp_path / "reports/matrix").mkdir(parents=True)
    return Project(tmp_path)


def recorded(project, cell, file="results.jsonl", **fields):
    made = msgspec.structs.replace(record(cell), **fields)
    Results(project.reports / file).append(made)
    return made


def test_the_latest_record_is_meant_of_the_rows_and_of_the_matrix(project):
    recorded(project, "tests/a/test_x.py::test_y[z]", run="old")
    new = recorded(project, "tests/a/test_x.py::test_y[z]", run="new")
    pair = recorded(project, "tests/pairs/test_pairs.py::test_loads[k-p-native]", "matrix/results.jsonl")
    assert find(project, "cpu-tf2.21/x::y[z]") == new
    assert find(project, "cpu-tf2.21/tests/a/test_x.py::test_y[z]") == new
    assert find(project, "cpu-tf2.21/pairs::loads[k-p-native]") == pair


def test_a_run_that_got_no_image_does_not_hide_the_image_in_which_the_cell_failed(project):
    failed = recorded(project, "tests/a/test_x.py::test_y")
    recorded(project, "tests/a/test_x.py::test_y", image_id="", image="")
    assert find(project, "cpu-tf2.21/x::y") == failed


def test_a_short_name_of_two_cells_names_both_whole(project):
    recorded(project, "tests/a/test_x.py::test_y")
    recorded(project, "tests/b/test_x.py::test_y")
    with pytest.raises(UnknownCell, match=r"say cpu-tf2.21/tests/a/test_x.py::test_y or cpu-tf2.21/tests/b/test_x"):
        find(project, "cpu-tf2.21/x::y")


def test_what_is_planned_and_has_not_run_says_what_runs_it(project):
    pair = {"environment": "cpu-tf2.21", "cell": "tests/pairs/test_pairs.py::test_loads[k-p-native]", "role": "consume"}
    (project.reports / "matrix/plan.json").write_text(json.dumps({"version": 1, "cells": [pair]}))
    with pytest.raises(UnknownCell, match=r'`nox -s "cpu-tf2\(2.21\)"` runs it'):
        find(project, "cpu-tf2.21/later::new")
    with pytest.raises(UnknownCell, match="`nox -s matrix` runs it"):
        find(project, "cpu-tf2.21/pairs::loads[k-p-native]")
    with pytest.raises(UnknownCell, match=r"did you mean 'cpu-tf2.21/pairs::loads\[k-p-native\]'\?"):
        find(project, "cpu-tf2.21/pairs::loads[k-p-nativ]")
