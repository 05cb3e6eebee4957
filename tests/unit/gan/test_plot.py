"""Pictures of runs do not overwrite each other."""

from __future__ import annotations

import pytest

from gan.plot import names


@pytest.mark.parametrize(
    "folders, expected",
    [
        (["/runs/eager", "/runs/function/"], ["eager", "function"]),
        (["/a/run", "/b/run"], ["a-run", "b-run"]),
        (["/runs/run", "/runs/again/run"], ["run", "again-run"]),
        (["/runs/run", "/runs/run"], ["run", "run"]),
    ],
)
def test_each_run_has_a_name_of_its_own(folders, expected):
    assert names(folders) == expected
