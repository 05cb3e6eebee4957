"""Keras files in HDF5: whole models (`.h5`), weights alone, and the `.weights.h5` inside a `.keras` archive.

The one module that uses h5py, and only when such a file is opened. Nothing but datasets is read: no configuration, so
no code in it can run. Links that leave the file, and datasets whose bytes stand elsewhere, are refused.

Names are the paths in the file without what only repeats: `model_weights/fc1/fc1/kernel:0` is `fc1/kernel`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from . import dtypes
from .checkpoint import Checkpoint, TensorInfo, allocate, element_count
from .errors import CheckpointError, reading
from .spans import open_regular

if TYPE_CHECKING:
    import numpy as np

# Older HDF5 libraries crash on damaged files, and the interpreter with them; this one and newer were fuzzed without.
_SAFE_LIBRARY = (1, 12, 0)
_PROBING = "CHECKPOINTS_PROBING"
_PROBE = """
import sys
from checkpoints import CheckpointError, open_checkpoint
try:
    with open_checkpoint(sys.argv[1]) as checkpoint:
        for name in checkpoint.tensors:
            try:
                checkpoint.read(name)
            except CheckpointError:
                pass
except CheckpointError:
    pass
"""
_MOST_SECONDS = 300
SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DEEPEST = 64
# What zlib can do at best; anything beyond it is no compressed tensor.
_MOST_COMPRESSION = 1032
_MOST_UNPACKED = 64 << 20


def plain_name(path: str) -> str:
    """The name of the dataset at `path`, without the root of whole models, the `:0`, and a layer's name given twice."""
    parts = path.strip("/").split("/")
    if parts[0] == "model_weights" and len(parts) > 1:
        parts = parts[1:]
    if len(parts) > 2 and parts[0] == parts[1] and parts[0] != "layers":
        parts = parts[1:]
    if parts[-1].endswith(":0"):
        parts[-1] = parts[-1][: -len(":0")]
    return "/".join(parts)


class Hdf5(Checkpoint):
    """The datasets of an HDF5 file. `stream` is read instead of the file at `path` if it is given."""

    format = "Keras HDF5"

    def __init__(self, path: str, stream: BinaryIO | None = None) -> None:
        super().__init__(path)
        try:
            import h5py  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            raise CheckpointError("{}: HDF5 files need the package h5py (pip install h5py)".format(path)) from None
        self._h5py = h5py
        if tuple(h5py.version.hdf5_version_tuple) < _SAFE_LIBRARY and _PROBING not in os.environ:
            _probe(path, h5py.version.hdf5_version)
        self._stream = stream or open_regular(path)
        self._paths: dict[str, str] = {}
        try:
            with reading(f"{path}: not a readable HDF5 file"):
                self._stream.seek(0, 2)
                self._size = self._stream.tell()
                self._file = h5py.File(self._stream, "r")
                self._list()
        except CheckpointError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        opened = getattr(self, "_file", None)
        if opened is not None:
            try:
                opened.close()
            except Exception:
                pass
        self._stream.close()

    def group_name(self, path: str) -> str:
        """The name that Keras 3 gave what it keeps in the group at `path`; nothing where there is none."""
        try:
            name = self._file[path].attrs.get("name", "")
        except Exception:
            return ""
        return name if isinstance(name, str) else ""

    def _list(self) -> None:
        found: list[tuple[str, TensorInfo]] = []
        self._walk(self._file, "", found, set(), 0)
        names = [plain_name(path) for path, _ in found]
        taken = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
        tensors = []
        for (path, info), name in zip(found, names):
            name = path.strip("/") if name in taken else name
            self._paths[name] = path
            tensors.append(info._replace(name=name))
        self.tensors = {info.name: info for info in sorted(tensors)}

    def _walk(self, group: Any, path: str, found: list[tuple[str, TensorInfo]], above: set[Any], depth: int) -> None:
        place = "{}: group {}".format(self.path, path or "/")
        identity = self._h5py.h5o.get_info(group.id).addr
        if identity in above or depth > _DEEPEST:
            raise CheckpointError("{}: contains itself, or is nested too deep".format(place))
        for key in group:
            inner = "{}/{}".format(path, key)
            link = group.get(key, getlink=True)
            if not isinstance(link, self._h5py.HardLink):
                raise CheckpointError("{}: {} is a link to elsewhere, which is not followed".format(place, key))
            item = group[key]
            if isinstance(item, self._h5py.Group):
                self._walk(item, inner, found, above | {identity}, depth + 1)
            elif isinstance(item, self._h5py.Dataset):
                info = self._describe(item, inner)
                if info is not None:
                    found.append((inner, info))

    def _describe(self, dataset: Any, path: str) -> TensorInfo | None:
        if dataset.shape is None:
            return None
        dtype = self._dtype_of(dataset)
        if dtype is None:
            raise CheckpointError("{}: dataset {}: holds {}, which is not read".format(self.path, path, dataset.dtype))
        shape = tuple(int(extent) for extent in dataset.shape)
        return TensorInfo(path, dtype, shape, element_count(shape) * dataset.dtype.itemsize)

    def _dtype_of(self, dataset: Any) -> str | None:
        """TensorFlow's name for the type of a dataset; None if it has none."""
        if self._is_text(dataset):
            return "string"
        held = dataset.dtype
        if held.kind == "V" and held.names is None:
            # HDF5 has no bfloat16: Keras 3 stores its bytes, and the name of the type beside them.
            named = dataset.attrs.get("dtype")
            named = named.decode("utf-8", "replace") if isinstance(named, bytes) else named
            known = dtypes.BY_NAME.get(named) if isinstance(named, str) else None
            return named if known and known.wrapped and known.size == held.itemsize else None
        return None if held.kind == "O" else dtypes.name_of(held.newbyteorder("="))

    def _is_text(self, dataset: Any) -> bool:
        return self._h5py.check_dtype(vlen=dataset.dtype) in (str, bytes) or dataset.dtype.kind == "S"

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        place = "{}: dataset {}".format(self.path, self._paths[info.name])
        with reading(place):
            dataset = self._file[self._paths[info.name]]
            self._check_storage(dataset, info, place)
            if info.dtype == "string":
                return self._read_text(dataset, info.shape, place)
            array = allocate(info.shape, dtypes.numpy_dtype(info.dtype), place)
            if array.size:
                dataset.read_direct(array.view(dataset.dtype) if array.dtype.names else array)
            return array

    def _read_text(self, dataset: Any, shape: tuple[int, ...], place: str) -> np.ndarray[Any, Any]:
        import numpy as np

        array = allocate(shape, np.dtype(object), place)
        flat = np.array(dataset[()], dtype=object).reshape(-1)
        for number, item in enumerate(flat):
            array.reshape(-1)[number] = item.encode("utf-8") if isinstance(item, str) else bytes(item)
        return array

    def _check_storage(self, dataset: Any, info: TensorInfo, place: str) -> None:
        """Refuses datasets that would take more memory than the file accounts for, or bytes from another file."""
        if dataset.external or getattr(dataset, "is_virtual", False):
            raise CheckpointError("{}: its bytes stand in another file, which is not opened".format(place))
        stored = min(dataset.id.get_storage_size(), self._size)
        limit = stored
        if dataset.chunks is not None:
            limit = max(_MOST_UNPACKED, stored) if dataset.compression else stored
            limit = min(limit, stored * _MOST_COMPRESSION)
        if info.nbytes > limit:
            raise CheckpointError(
                "{}: shape {} of {} takes {} bytes, of which the file stores {}".format(
                    place, list(info.shape), info.dtype, info.nbytes, stored
                )
            )


def _probe(path: str, library: str) -> None:
    """Reads the whole file in a process of its own first, so that if the library crashes, only that process does."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = dict(os.environ, PYTHONPATH=search, **{_PROBING: "1"})
    try:
        status = subprocess.call(
            [sys.executable, "-c", _PROBE, path],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_MOST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise CheckpointError(f"{path}: reading it does not end (HDF5 {library}): damaged") from None
    if status < 0:
        raise CheckpointError(f"{path}: crashes the HDF5 library {library}: damaged (a newer h5py may say where)")
