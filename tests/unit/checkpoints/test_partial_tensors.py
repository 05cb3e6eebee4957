"""Tensors that a file holds parts of: TF 1 stores each part of a partitioned slot under a name of its own."""

from __future__ import annotations

import numpy as np
import pytest

from checkpoints import CheckpointError, open_checkpoint, write_saver
from checkpoints.checkpoint import Piece
from checkpoints.cli import main
from checkpoints.source import Source, of_checkpoint

from .support import data

PARTS = ("dnn/fc/kernel/t_0/Adam", "dnn/fc/kernel/t_1/Adam")


def test_parts_are_read():
    with open_checkpoint(data("partitioned")) as checkpoint:
        infos = [checkpoint.tensors[name] for name in PARTS]
        pieces = [checkpoint.pieces(name) for name in PARTS]
        with pytest.raises(CheckpointError, match=r"t_0/Adam.*slices"):
            checkpoint.read(PARTS[0])
    assert [(info.shape, info.missing, info.nbytes) for info in infos] == [((5, 3), 6, 36), ((5, 3), 9, 24)]
    assert [[piece.box for piece in each] for each in pieces] == [[((0, 3), (0, 3))], [((3, 2), (0, 3))]]
    assert [[piece.value.shape for piece in each] for each in pieces] == [[(3, 3)], [(2, 3)]]


def test_parts_are_copied(tmp_path):
    """Into a Saver's file as they are."""
    assert main(["convert", data("partitioned"), "--to", str(tmp_path / "copy.ckpt")]) == 0
    assert main(["diff", data("partitioned"), str(tmp_path / "copy.ckpt")]) == 0
    with open_checkpoint(data("partitioned")) as a, open_checkpoint(tmp_path / "copy.ckpt") as b:
        for name in PARTS:
            assert [piece.box for piece in a.pieces(name)] == [piece.box for piece in b.pieces(name)]
            assert np.array_equal(a.pieces(name)[0].value, b.pieces(name)[0].value)


def test_parts_are_left_out(tmp_path, capsys):
    assert main(["convert", data("partitioned"), "--to", str(tmp_path / "copy.npz")]) == 0
    assert "a part of a slot of a partitioned variable" in "".join(capsys.readouterr())
    with np.load(tmp_path / "copy.npz") as stored:
        assert "dnn/fc/kernel" in stored.files and not set(PARTS) & set(stored.files)


def test_parts_that_differ(tmp_path, capsys):
    with open_checkpoint(data("partitioned")) as checkpoint:

        def changed(name):
            return [Piece(box, value + (name == PARTS[0])) for box, value in checkpoint.pieces(name)]

        write_saver(tmp_path / "m", Source(of_checkpoint(checkpoint).infos, checkpoint.read, pieces=changed))
    assert main(["diff", data("partitioned"), str(tmp_path / "m")]) == 1
    told = "".join(capsys.readouterr())
    assert PARTS[0] in told and PARTS[1] not in told
