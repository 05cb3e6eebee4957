"""Writing onto the checkpoint that a model came from: what is written anew, and all the rest as it stands there.

The graph of TF 1 restores every tensor that its Saver knows: slots, powers, `global_step` and moving averages besides
the variables. So a checkpoint for that graph needs them, whether or not anybody trained on.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Iterable, Mapping

from .checkpoint import Piece, TensorInfo
from .errors import CheckpointError
from .foreign_text import named
from .slices import index_of
from .source import Source, of_checkpoint

if TYPE_CHECKING:
    from .checkpoint import Checkpoint, Stored

_SHOWN = 3
_KINDS = {
    "variable": "variables are those of {}",
    "shadow": "moving averages are those of {}, whatever their variables are now",
    "slot": "slots are those of {}, though their variables are written anew: TF 1 trains on from state that belongs to "
    "the weights there; export_optimizer gives that of an optimizer",
    "counter": "counters are those of {}",
}


def completed(tensors: Mapping[str, Any], base: Checkpoint) -> tuple[Source, tuple[str, ...]]:
    """`tensors` and what `base` holds besides, to be written as one checkpoint; and notes on what stays as it was.

    Raises CheckpointError for a tensor that `base` does not hold. One whose type or shape is another one there is
    refused when it is written. Of a tensor that `base` holds parts of, these are taken.
    """
    unknown = sorted(set(tensors) - set(base.tensors))
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(base.tensors), 1)
        hint = f"; nearest: {named(near[0])}" if near else ""
        raise CheckpointError(f"{base.path}: has no tensor {named(unknown[0])}, which is to be written onto it{hint}")
    rest = of_checkpoint(base)

    def read(name: str) -> Any:
        return tensors[name] if name in tensors else rest[name]

    def stored(name: str) -> Stored | None:
        if name not in tensors:
            return rest.stored(name)
        return tensors.stored(name) if isinstance(tensors, Source) else None

    def pieces(name: str) -> list[Piece]:
        there = base.pieces(name)
        if name not in tensors:
            return there
        return [Piece(piece.box, tensors[name][index_of(piece.box)]) for piece in there]

    return Source(rest.infos, read, stored, pieces), tuple(_notes(base, set(tensors), rest.infos))


def _notes(base: Checkpoint, written: set[str], infos: Mapping[str, TensorInfo]) -> Iterable[str]:
    roles = base.roles()
    for kind, note in _KINDS.items():
        names = [name for name in infos if roles[name].kind == kind and name not in written]
        if kind in ("slot", "shadow"):
            names = [name for name in names if roles[name].of in written]
        if kind == "counter" and not any(roles[name].kind == "variable" for name in written):
            continue
        if names:
            listed = ", ".join(map(named, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
            yield f"{len(names)} {note.format(base.path)} ({listed})"
