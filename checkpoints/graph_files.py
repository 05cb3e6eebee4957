"""Finding the graph to run, by whatever path of it or of its checkpoint the user has."""

from __future__ import annotations

import os
from typing import NamedTuple

from .errors import CheckpointError
from .guidance import SAVED_MODELS, names_in
from .open import open_checkpoint

_GRAPHS = (".pb", ".pbtxt")


class GraphFile(NamedTuple):
    """A graph: the file that it is in, and the prefix of the values of its variables, empty if it needs none.

    `folder` is that of a SavedModel, whose assets are below it; empty for others.
    """

    file: str
    prefix: str = ""
    folder: str = ""

    def path(self) -> str:
        """The path that leads back to it."""
        return self.folder or self.prefix or self.file


def find_graph(path: str) -> GraphFile:
    """The graph at `path`: a SavedModel or a file in it, a prefix with a `.meta` or a file beside that, a `.pb` or
    `.pbtxt`, or a directory with one of these.

    Raises CheckpointError that says what is there instead.
    """
    if os.path.isdir(path):
        return _in_directory(path)
    directory, base = os.path.split(path)
    if base in SAVED_MODELS and os.path.isfile(path):
        return _saved_model(directory)
    if base.endswith(_GRAPHS) and os.path.isfile(path):
        return GraphFile(path)
    if os.path.isfile(path + ".meta"):
        return GraphFile(path + ".meta", path)
    if os.path.isfile(path) or os.path.isfile(path + ".index"):
        found = beside(_prefix(path))
        if found is not None:
            return found
        raise CheckpointError(f"{path}: comes without a graph ({_prefix(path)}.meta)")
    raise CheckpointError(f"{path}: no graph here: {_kinds()}")


def beside(prefix: str) -> GraphFile | None:
    """The graph that came with the checkpoint of that prefix, or None: its `.meta`, or the SavedModel it is part of."""
    # The base name is empty too where a Saver was given a directory, here the current one.
    prefix = prefix or os.path.join(os.curdir, "")
    if os.path.isfile(prefix + ".meta"):
        return GraphFile(prefix + ".meta", prefix)
    above, below = os.path.split(os.path.dirname(os.path.abspath(prefix)))
    if below == "variables" and any(os.path.isfile(os.path.join(above, name)) for name in SAVED_MODELS):
        return _saved_model(above)
    text = os.path.join(os.path.dirname(prefix), "graph.pbtxt")
    return GraphFile(text, prefix) if os.path.isfile(text) else None


def _saved_model(folder: str) -> GraphFile:
    file = next(name for name in SAVED_MODELS if os.path.isfile(os.path.join(folder, name)))
    return GraphFile(os.path.join(folder, file), os.path.join(folder, "variables", "variables"), folder or ".")


def _prefix(path: str) -> str:
    """The prefix of the checkpoint that `path` leads to."""
    with open_checkpoint(path) as checkpoint:
        return checkpoint.path


def _in_directory(path: str) -> GraphFile:
    names = names_in(path)
    if any(name in names for name in SAVED_MODELS):
        return _saved_model(path)
    graphs = [name for name in names if name.endswith(_GRAPHS)]
    metas = [name for name in names if name.endswith(".meta")]
    if metas or "checkpoint" in names or any(name.endswith(".index") for name in names):
        found = beside(_prefix(path))
        if found is not None:
            return found
    if len(graphs) == 1:
        return GraphFile(os.path.join(path, graphs[0]))
    below = [name for name in names if any(os.path.isfile(os.path.join(path, name, each)) for each in SAVED_MODELS)]
    others = ", ".join(os.path.join(path, name) for name in graphs + metas or below)
    raise CheckpointError(f"{path}: {f'pass one of {others}' if others else f'no graph in this directory: {_kinds()}'}")


def _kinds() -> str:
    return "pass a SavedModel, a prefix with a .meta, or a frozen .pb"
