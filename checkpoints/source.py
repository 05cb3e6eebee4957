"""Tensors to write, whatever they come from: described at once, read when their turn comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Container, Iterator, Mapping

if TYPE_CHECKING:
    import numpy as np

    from .checkpoint import Checkpoint, Piece, Stored, TensorInfo

UNREADABLE = ("variant", "resource")


class Source(Mapping[str, Any]):
    """Tensors to write: what they are is known before what they hold, which is read when it is asked for."""

    def __init__(
        self,
        infos: Mapping[str, TensorInfo],
        read: Callable[[str], np.ndarray[Any, Any]],
        stored: Callable[[str], Stored | None] | None = None,
        pieces: Callable[[str], list[Piece]] | None = None,
    ) -> None:
        self.infos = infos
        self._read = read
        self._stored = stored
        self._pieces = pieces

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.infos)

    def __len__(self) -> int:
        return len(self.infos)

    def stored(self, name: str) -> Stored | None:
        """The bytes of the tensor `name`, where they can be copied as they stand in a file; else None."""
        return self._stored(name) if self._stored else None

    def pieces(self, name: str) -> list[Piece] | None:
        """What there is of the tensor `name` if that is not all of it; else None."""
        return self._pieces(name) if self._pieces and self.infos[name].missing else None


def of_checkpoint(checkpoint: Checkpoint, without: Container[str] = ()) -> Source:
    """All readable tensors of a checkpoint, but for those named in `without`.

    Raises CheckpointError if they are more than the file's budget allows.
    """
    infos = {
        name: info for name, info in checkpoint.tensors.items() if info.dtype not in UNREADABLE and name not in without
    }
    checkpoint.reserve(infos)
    return Source(infos, checkpoint.read, checkpoint.stored, checkpoint.pieces)
