"""What every format of checkpoint looks like to its reader: tensors by name, read when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple

from .budget import STRING, Budget
from .errors import CheckpointError
from .foreign_text import LONGEST_NAME, named

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np

    from .copies import Copies
    from .layer_order import Place
    from .roles import Role


MOST_DIMENSIONS = 254
"""TensorFlow's own limit: `TensorShape::MaxDimensions`."""
_MOST_COMPARED = 10_000


class TensorInfo(NamedTuple):
    """One tensor of a file, as its index describes it.

    `dtype` is TensorFlow's name for the element type; `nbytes` counts the bytes of the elements in the file (for
    strings: with their lengths and checksum); `shard` is the number of the data file, of the first slice if `slices`,
    the number of separately stored pieces, is not 0. `missing` counts the elements that are in no slice: a slot of a
    partitioned variable may have a name for each part, and under it that part alone.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    shard: int = 0
    slices: int = 0
    missing: int = 0


class Stored(NamedTuple):
    """A tensor's bytes as its file has them: little-endian, in row-major order, uncompressed.

    `copy` hands them to a `checkpoints.copies.Copies`, which never holds a large tensor whole and raises
    CheckpointError if they do not have the checksum `crc` (masked).
    """

    copy: Callable[[Copies], None]
    crc: int


class Description(NamedTuple):
    """What a Keras file says of its model: the configuration as data, and the version and backend that wrote it."""

    model: Any = None
    keras_version: str = ""
    backend: str = ""


class Piece(NamedTuple):
    """A part of a tensor: (start, length) in each of its dimensions, and the elements."""

    box: tuple[tuple[int, int], ...]
    value: np.ndarray[Any, Any]


class Checkpoint:
    """An open checkpoint of any format: `tensors` lists it, `read` reads one tensor. A context manager.

    `optimizer` is the class or name of the optimizer whose unnamed slots the file holds, and `optimizer_settings` what
    it was made with, where the file says so beside them. `state_order` are the names of its optimizer's state in the
    order in which a Keras file lists them; empty where it does not. `description` is what the file says of its Keras
    model, and `budget` what the file may expand to.
    """

    format = ""
    _noun = "tensor"

    def __init__(self, path: str, budget: Budget | None = None) -> None:
        self.path = path
        self.budget = Budget() if budget is None else budget
        self._sized = False
        # Whether all that there is can be read; where it is, as in every honest file, nothing is counted any more.
        self._affordable = False
        self.tensors: dict[str, TensorInfo] = {}
        self.optimizer = ""
        self.optimizer_settings: dict[str, Any] = {}
        self.state_order: tuple[str, ...] = ()
        self.description = Description()

    def read(self, name: str) -> np.ndarray[Any, Any]:
        """The tensor `name`, in a fresh array of its shape, its checksum checked where the format has one.

        Types that NumPy lacks come as structured arrays of one field (see `checkpoints.dtypes`), strings as objects
        (bytes). Raises CheckpointError if there is no such tensor, its bytes are damaged, or the budget is exceeded.
        """
        info = self._info(name)
        if not self._affordable:
            self.reserve([name])
        return self._read(info)

    def pieces(self, name: str) -> list[Piece]:
        """The pieces of the tensor `name` that the file has: all there is, where `read` refuses one that lacks some."""
        info = self._info(name)
        if not self._affordable:
            self.reserve([name])
        return self._pieces(info)

    def stored(self, name: str) -> Stored | None:
        """The bytes of the tensor `name`, to be copied; None where only `read` can tell what they are."""
        info = self._info(name)
        if not self._affordable:
            self.reserve([name])
        return self._stored(info)

    def _pieces(self, info: TensorInfo) -> list[Piece]:
        return [Piece(tuple((0, extent) for extent in info.shape), self._read(info))]

    def reserve(self, names: Iterable[str]) -> None:
        """Takes what the values of `names` need from the budget, each once; CheckpointError if that exceeds it."""
        if not self._sized:
            self._sized = True
            self._count_files()
            total = sum([info.nbytes if info.dtype != "string" else _cost(info) for info in self.tensors.values()])
            self._affordable = total <= self.budget.values_left()
        if not self._affordable:
            for name in names:
                place = f"{self.path}: {self._noun} {named(name)}"
                self.budget.take_values(name, _cost(self.tensors[name]), place)

    def _info(self, name: str) -> TensorInfo:
        info = self.tensors.get(name)
        if info is None:
            import difflib

            # Only names that can be compared in no time.
            short = [other for other in self.tensors if len(other) <= LONGEST_NAME][:_MOST_COMPARED]
            near = difflib.get_close_matches(name, short, 3) if len(name) <= LONGEST_NAME else []
            hint = "; nearest: {}".format(", ".join(map(named, near))) if near else ""
            raise CheckpointError(f"{self.path}: no tensor named {named(name)!r}{hint}")
        return info

    def _count_files(self) -> None:
        """Adds to the budget the files that hold values, where they are not open yet."""

    def _stored(self, info: TensorInfo) -> Stored | None:
        return None

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        raise NotImplementedError

    def roles(self) -> dict[str, Role]:
        """What each tensor is: a variable, a slot of one, a counter, ... (see `checkpoints.roles`)."""
        from .objects import shared_names
        from .roles import infer_roles

        return infer_roles(self.tensors, shared_names(self), self.optimizer)

    def listed_variables(self) -> dict[str, Place]:
        """Where Keras lists each variable, by the tensor's name, where the file says so (see `layer_order`)."""
        return {}

    def close(self) -> None:
        """Closes the files that are open; the checkpoint can be listed but not read after that."""

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _cost(info: TensorInfo) -> int:
    """The bytes of memory that the value of a tensor takes."""
    return info.nbytes + (STRING * element_count(info.shape) if info.dtype == "string" else 0)


def element_count(shape: tuple[int, ...]) -> int:
    """The number of elements of `shape`, in Python's unbounded integers."""
    count = 1
    for extent in shape:
        count *= extent
    return count


def allocate(shape: tuple[int, ...], dtype: np.dtype[Any], place: str) -> np.ndarray[Any, Any]:
    """An uninitialised array; CheckpointError where NumPy cannot make one of that shape."""
    import numpy as np

    try:
        return np.empty(shape, dtype)
    except (ValueError, MemoryError, OverflowError) as error:
        raise CheckpointError(f"{place}: shape {list(shape)}: {error}") from None
