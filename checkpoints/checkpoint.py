"""What every format of checkpoint looks like to its reader: tensors by name, read when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from .errors import CheckpointError

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np

    from .copies import Copies
    from .roles import Role


class TensorInfo(NamedTuple):
    """One tensor of a file, as its index describes it.

    `dtype` is TensorFlow's name for the element type; `nbytes` counts the bytes of the elements in the file (for
    strings: with their lengths and checksum); `shard` is the number of the data file, of the first slice if `slices`,
    the number of separately stored pieces, is not 0.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    shard: int = 0
    slices: int = 0


class Stored(NamedTuple):
    """A tensor's bytes as its file has them: little-endian, in row-major order, uncompressed.

    `copy` hands them to a `checkpoints.copies.Copies`, which never holds a large tensor whole and raises
    CheckpointError if they do not have the checksum `crc` (masked).
    """

    copy: Callable[[Copies], None]
    crc: int


class Checkpoint:
    """An open checkpoint of any format: `tensors` lists it, `read` reads one tensor. A context manager.

    `optimizer` is the class or name of the optimizer whose unnamed slots the file holds, and `optimizer_settings` what
    it was made with, where the file says so beside them.
    """

    format = ""

    def __init__(self, path: str) -> None:
        self.path = path
        self.tensors: dict[str, TensorInfo] = {}
        self.optimizer = ""
        self.optimizer_settings: dict[str, Any] = {}

    def read(self, name: str) -> np.ndarray[Any, Any]:
        """The tensor `name`, in a fresh array of its shape, its checksum checked where the format has one.

        Types that NumPy lacks come as structured arrays of one field (see `checkpoints.dtypes`), strings as objects
        (bytes). Raises CheckpointError if there is no such tensor or its bytes are damaged.
        """
        info = self.tensors.get(name)
        if info is None:
            import difflib

            near = difflib.get_close_matches(name, self.tensors, 3)
            hint = "; nearest: {}".format(", ".join(near)) if near else ""
            raise CheckpointError(f"{self.path}: no tensor named {name!r}{hint}")
        return self._read(info)

    def stored(self, name: str) -> Stored | None:
        """The bytes of the tensor `name`, to be copied; None where only `read` can tell what they are."""
        return None

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        raise NotImplementedError

    def roles(self) -> dict[str, Role]:
        """What each tensor is: a variable, a slot of one, a counter, ... (see `checkpoints.roles`)."""
        from .objects import object_names
        from .roles import infer_roles

        return infer_roles(self.tensors, object_names(self))

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
