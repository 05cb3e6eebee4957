"""Opening a checkpoint, whatever its format, by whatever path the user has."""

from __future__ import annotations

import glob
import os
import re
from typing import Any

from .budget import Budget
from .bundle import Bundle
from .checkpoint import Checkpoint
from .errors import CheckpointError
from .guidance import (
    SAVED_MODELS,
    SHARD,
    V1_SHARD,
    checkpoints_in,
    hint,
    names_in,
    nothing_at,
    what_else,
    without_index,
)
from .spans import open_regular
from .table import TableReader, ends_as_table

_STATE = re.compile(r'^\s*model_checkpoint_path:\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)
_MOST_STATE = 1 << 20


def open_checkpoint(path: Any, budget: float = 1.0) -> Checkpoint:
    """The checkpoint at `path`, listed but not yet read.

    `path` may be the prefix that a Saver was given, or what stands beside it: the `.index`, a data shard, the `.meta`,
    the `checkpoint` file (also when its path is stale), the directory; a V1 file or one of its shards; a SavedModel's
    directory or its `saved_model.pb` or `.pbtxt`; a frozen graph; a Keras `.h5`, `.weights.h5` or `.keras`; `.npz`,
    `.safetensors`. Nothing outside the directory of `path` is opened. What a file may expand to is limited in relation
    to its size (see `checkpoints.budget`); `budget` multiplies the limits.

    Raises CheckpointError, which says what to pass, if there is none, or what is wrong with the one that is there.
    """
    path = os.fspath(path)
    if not isinstance(path, str) or not path or "\0" in path or "\n" in path:
        raise CheckpointError("{!r}: not a path".format(path))
    return _open(path, Budget(budget))


def _open(path: str, budget: Budget) -> Checkpoint:
    if os.path.isdir(path):
        return _open_directory(path, budget)
    found = _open_prefix(path, budget)
    if found is None:
        raise CheckpointError(nothing_at(path))
    return found


def _open_prefix(path: str, budget: Budget) -> Checkpoint | None:
    """The checkpoint with the prefix `path`, the one in the file of that name, or None where there is neither."""
    if os.path.isfile(path + ".index"):
        return Bundle(path, budget)
    if os.path.lexists(path) and not os.path.isdir(path):
        return _open_file(path, budget)
    shards = _v1_shards(path)
    return _open_v1(path, shards, budget) if shards else None


def _open_directory(path: str, budget: Budget) -> Checkpoint:
    state = os.path.join(path, "checkpoint")
    variables = os.path.join(path, "variables", "variables")
    if any(os.path.isfile(os.path.join(path, name)) for name in SAVED_MODELS) or os.path.isfile(variables + ".index"):
        return _open_saved_model(path, budget)
    if os.path.isfile(state):
        return _open_state(state, budget)
    names = names_in(path)
    indexes = [name for name in names if name.endswith(".index")]
    if len(indexes) == 1:
        return Bundle(os.path.join(path, indexes[0][: -len(".index")]), budget)
    if indexes:
        prefixes = [os.path.join(path, name[: -len(".index")]) for name in indexes]
        raise CheckpointError("{}: {} checkpoints; pass one of {}".format(path, len(prefixes), ", ".join(prefixes)))
    tables = [name for name in names if ends_as_table(os.path.join(path, name))]
    groups = sorted({V1_SHARD.sub(r"\1", name) for name in tables})
    if len(groups) == 1:
        return _open(os.path.join(path, groups[0]), budget)
    whole = [name for name in names if name.endswith((".keras", ".h5", ".pb", ".safetensors"))]
    others = [os.path.join(path, name) for name in groups + whole]
    if len(others) == 1:
        return _open_file(others[0], budget)
    raise CheckpointError(f"{path}: {_none_in(path, others)}")


def _none_in(path: str, others: list[str]) -> str:
    """What to say of a directory with no checkpoint in it that could be meant: with `others`, or with none at all."""
    if others:
        return "{} checkpoints; pass one of {}".format(len(others), ", ".join(others))
    lonely = without_index(path)
    if lonely:
        return lonely
    below = [os.path.join(path, name) for name in names_in(path)]
    below = [
        name for name in below if os.path.isdir(name) and (checkpoints_in(name) or os.path.isdir(name + "/variables"))
    ]
    return "no checkpoint in this directory" + ("; pass one of {}".format(", ".join(below)) if below else hint(path))


def _open_saved_model(path: str, budget: Budget) -> Checkpoint:
    """The variables of a SavedModel: a TensorBundle, or a V1 file in the oldest. Without any, the graph's constants."""
    found = _open_prefix(os.path.join(path, "variables", "variables"), budget)
    files = [os.path.join(path, name) for name in SAVED_MODELS]
    return found if found is not None else _open_graph(next(filter(os.path.isfile, files), files[0]), budget)


def _open_state(path: str, budget: Budget) -> Checkpoint:
    """The latest checkpoint that a `checkpoint` file names: its base name, beside it, wherever it was written once."""
    with open_regular(path) as stream:
        content = stream.read(_MOST_STATE).decode("utf-8", "replace")
    match = _STATE.search(content)
    if match is None:
        raise CheckpointError(f"{path}: names no checkpoint (no model_checkpoint_path){hint(os.path.dirname(path))}")
    named = _unescaped(match.group(1))
    directory = os.path.dirname(path)
    prefix = os.path.join(directory, re.split(r"[/\\]", named)[-1])
    # A graph's file leads back here if it is called `checkpoint.meta`.
    there = os.path.isfile(prefix + ".index") or (os.path.isfile(prefix) and not prefix.endswith(".meta"))
    if prefix != path and there:
        return Bundle(prefix, budget) if os.path.isfile(prefix + ".index") else _open_file(prefix, budget)
    told = hint(directory) or "; none is here"
    raise CheckpointError(f"{path}: names {named}, which is not beside it{told}")


def _unescaped(text: str) -> str:
    """What a string of a protocol buffer's text format says; some releases write its UTF-8 bytes as octal numbers."""
    plain = re.sub(
        rb"\\(?:([0-7]{1,3})|(.))",
        lambda escaped: bytes([int(escaped.group(1), 8) & 255]) if escaped.group(1) else escaped.group(2),
        text.encode("utf-8"),
    )
    return plain.decode("utf-8", "replace")


def _open_file(path: str, budget: Budget) -> Checkpoint:
    """The checkpoint that the file at `path` is, or is a part of, going by its contents more than by its name."""
    with open_regular(path) as stream:
        head = stream.read(512)
        size = stream.seek(0, 2)
    if ends_as_table(path):
        return _open_table(path, budget)
    base = os.path.basename(path)
    shard = SHARD.fullmatch(path)
    if shard is not None:
        prefix = shard.group(1)
        if os.path.isfile(prefix + ".index"):
            return Bundle(prefix, budget)
        raise CheckpointError("{}: a data shard; its index {}.index is not beside it".format(path, prefix))
    if base.endswith(".index"):
        return Bundle(path[: -len(".index")], budget)
    if base == "checkpoint":
        return _open_state(path, budget)
    if base.endswith(".meta"):
        return _open_beside_graph(path, budget)
    if base in SAVED_MODELS:
        return _open_saved_model(os.path.dirname(path), budget)
    return _open_by_content(path, head, size, budget)


def _open_beside_graph(path: str, budget: Budget) -> Checkpoint:
    """The checkpoint whose graph the `.meta` file at `path` is. Its own constants are not what anybody trained."""
    prefix = path[: -len(".meta")]
    found = _open_prefix(prefix, budget)
    if found is not None:
        return found
    told = without_index(prefix) or f"{prefix}.index is not beside it{hint(os.path.dirname(path))}"
    raise CheckpointError(f"{path}: the graph of a checkpoint, without its variables: {told}")


def _open_table(path: str, budget: Budget) -> Checkpoint:
    from .v1 import is_v1

    with open_regular(path, budget=budget) as stream:
        old = is_v1(TableReader(stream, path, budget))
    if not old:
        if path.endswith(".index"):
            return Bundle(path[: -len(".index")], budget)
        raise CheckpointError("{}: the index of a checkpoint; its name must end in .index".format(path))
    return _open_v1(path, _v1_shards(path) or [path], budget)


def _open_by_content(path: str, head: bytes, size: int, budget: Budget) -> Checkpoint:
    from .hdf5 import SIGNATURE

    if not size:
        raise CheckpointError("{}: an empty file".format(path))
    other = what_else(head)
    if other and path.endswith((".h5", ".hdf5", ".keras", ".npz", ".safetensors")):
        raise CheckpointError(f"{path}: no checkpoint, but {other}{hint(os.path.dirname(path), path)}")
    if head.startswith(SIGNATURE) or path.endswith((".h5", ".hdf5")):
        from .hdf5 import Hdf5

        checkpoint = Hdf5(path, budget=budget)
        if "optimizer/vars/0" in checkpoint.tensors:
            checkpoint.optimizer = checkpoint.group_name("optimizer/vars")
        return checkpoint
    if head.startswith(b"PK"):
        from .archives import Npz, open_keras

        return Npz(path, budget) if path.endswith(".npz") else open_keras(path, budget)
    if path.endswith(".safetensors") or (head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size):
        from .archives import SafeTensors

        return SafeTensors(path, budget)
    return _open_graph(path, budget)


def _open_graph(path: str, budget: Budget) -> Checkpoint:
    from .frozen import FrozenGraph

    if not os.path.exists(path):
        raise CheckpointError(f"{path}: there is no such file")
    if path.endswith(".pbtxt"):
        raise CheckpointError(
            f"{path}: a graph in text form, whose constants are not read: have TensorFlow write a .pb"
        )
    return FrozenGraph(path, budget)


def _open_v1(path: str, shards: list[str], budget: Budget) -> Checkpoint:
    from .v1 import V1Checkpoint

    return V1Checkpoint(path, shards, budget)


def _v1_shards(path: str) -> list[str]:
    """All shards of the V1 checkpoint whose prefix, pattern (`P-?????-of-00002`) or shard `path` is; none if it is not.

    Raises CheckpointError if some of them are missing.
    """
    match = V1_SHARD.fullmatch(path)
    if match is None:
        found = sorted(glob.glob(glob.escape(path) + "-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]"))
        if not found:
            return []
        match = V1_SHARD.fullmatch(found[0])
    if match is None:
        return []
    prefix, count = match.group(1), int(match.group(2))
    found = sorted(glob.glob("{}-[0-9][0-9][0-9][0-9][0-9]-of-{:05d}".format(glob.escape(prefix), count)))
    if found and len(found) != count:
        raise CheckpointError("{}: {} of its {} shards are here".format(prefix, len(found), count))
    return found
