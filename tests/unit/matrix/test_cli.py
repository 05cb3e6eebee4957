"""Errors of the command line that come before any engine."""

from __future__ import annotations

from matrix import cli
from matrix.errors import CannotWrite


def test_a_checkout_that_cannot_be_written_is_one_line(tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    assert cli.main(["--root", str(file), "up-to-date"]) == CannotWrite.status
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert str(file) in told[0]
