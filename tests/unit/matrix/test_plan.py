"""The plan: which cells an environment must account for."""

from __future__ import annotations

import pytest

from matrix.environments import Environment
from matrix.errors import BadConfiguration
from matrix.plan import Check, load_checks, planned_cells

TF1 = Environment("cpu-tf1.15", "1.15.5", "tensorflow", "3.7", 2, (), "")
TF2 = Environment("gpu-tf2.21", "2.21.0", "tensorflow", "3.13", 3, (), "")
CHECKS = (
    Check("a.py::test_all", ()),
    Check("a.py::test_one", ("tf1",)),
    Check("a.py::test_new", ("tf2", "keras3")),
    Check("a.py::test_old_keras", ("tf2", "keras2")),
    Check("b.py::test_reads", ("tf2",), consumes="saved"),
    Check("b.py::test_device", ("gpu",), needs="gpu"),
)


def ids(environment, artifacts):
    return [cell.id for cell in planned_cells(CHECKS, environment, artifacts)]


def test_all_tags_of_a_check_must_be_the_environments():
    assert ids(TF1, {}) == ["a.py::test_all", "a.py::test_one"]


def test_a_consumer_has_one_cell_for_each_artifact_of_its_kind():
    planned = ids(TF2, {"saved": ["cpu-tf1.15", "committed"], "other": ["x"]})
    assert planned == [
        "a.py::test_all",
        "a.py::test_new",
        "b.py::test_reads[committed]",
        "b.py::test_reads[cpu-tf1.15]",
        "b.py::test_device",
    ]


def test_a_consumer_of_nothing_does_not_vanish():
    assert "b.py::test_reads[nothing-there]" in ids(TF2, {})


def test_what_a_cell_needs_is_known():
    assert [cell.id for cell in planned_cells(CHECKS, TF2, {}) if cell.needs == "gpu"] == ["b.py::test_device"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[cells]]\ntest = "a.py::test"\n', "in"),
        ('[[cells]]\ntest = "a.py::test"\nin = []\nneed = "gpu"\n', "need"),
        ('[[cells]]\ntest = "a.py::test"\nin = []\nneeds = "gpus"\n', "gpus"),
        ("[[cells]\n", "cells.toml"),
    ],
)
def test_what_is_wrong_in_cells_toml_is_named(tmp_path, text, words):
    (tmp_path / "cells.toml").write_text(text)
    with pytest.raises(BadConfiguration, match=words):
        load_checks(tmp_path / "cells.toml")
