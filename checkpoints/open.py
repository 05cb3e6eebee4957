"""Opening a checkpoint, whatever its format, by whatever path the user has."""

from __future__ import annotations

import os
from typing import Any

from .bundle import Bundle
from .checkpoint import Checkpoint
from .errors import CheckpointError


def open_checkpoint(path: Any) -> Checkpoint:
    """The checkpoint at `path`, a prefix (`model.ckpt` for `model.ckpt.index`), listed but not yet read.

    Raises CheckpointError, which says what to pass, if there is none, or what is wrong with the one that is there.
    """
    path = os.fspath(path)
    if os.path.isfile(path + ".index"):
        return Bundle(path)
    raise CheckpointError(f"{path}: no checkpoint here: there is no file {path}.index")
