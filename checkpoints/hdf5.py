"""Keras files in HDF5: whole models (`.h5`), weights alone, and the `.weights.h5` inside a `.keras` archive.

The one module that uses h5py, and only when such a file is opened. Of configurations nothing is built, so no code in
them can run. Links that leave the file, and datasets whose bytes stand elsewhere, are refused.

Names are the paths in the file without what only repeats: `model_weights/fc1/fc1/kernel:0` is `fc1/kernel`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO, Iterator

from . import dtypes
from .budget import STRING, Budget
from .checkpoint import Checkpoint, Description, TensorInfo, allocate, element_count
from .errors import CheckpointError, reading
from .foreign_text import named
from .layer_order import Place
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
    with open_checkpoint(sys.argv[1], float(sys.argv[2])) as checkpoint:
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
# What stands in so many places is in no tree of layers: its paths could be more than anybody can count.
_MOST_PLACES = 100
# What zlib can do at best; anything beyond it is no compressed tensor.
_MOST_COMPRESSION = 1032
# HDF5's own filters and h5py's: deflate, shuffle, fletcher32, szip, nbit, scaleoffset, lzf. For any other the library
# would look for a plugin to run.
_FILTERS = frozenset((1, 2, 3, 4, 5, 6, 32000))
# What the configuration of a model says of a layer that is not trained.
_FROZEN = re.compile(r'"trainable"\s*:\s*false')
# Strings are read in pieces that take no more than this if each were as long as the file.
_STRINGS_AT_ONCE = 64 << 20
# What HDF5 keeps of unpacked chunks, so that one is not unpacked again for each piece that is read of it.
_CACHE = 64 << 20


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

    def __init__(self, path: str, stream: BinaryIO | None = None, budget: Budget | None = None) -> None:
        super().__init__(path, budget)
        try:
            import h5py  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            raise CheckpointError("{}: HDF5 files need the package h5py (pip install h5py)".format(path)) from None
        self._h5py = h5py
        if tuple(h5py.version.hdf5_version_tuple) < _SAFE_LIBRARY and _PROBING not in os.environ:
            _probe(path, h5py.version.hdf5_version, self.budget.factor)
        self._stream = stream or open_regular(path, budget=self.budget)
        self._paths: dict[str, str] = {}
        self._longest: int | None = None
        try:
            with reading(f"{path}: not a readable HDF5 file"):
                self._stream.seek(0, 2)
                self._size = self._stream.tell()
                self._file = h5py.File(self._stream, "r", rdcc_nbytes=_CACHE)
                self._list()
                self.description = self._describe_model()
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
            return self._text_attribute(self._file[path], "name")
        except Exception:
            return ""

    def _names(self, group: Any, name: str) -> list[str]:
        """The names in an attribute, which is cut into `name0`, `name1`, ... where it would not fit into one."""
        parts = [name] if name in group.attrs else []
        while name not in group.attrs and f"{name}{len(parts)}" in group.attrs:
            parts.append(f"{name}{len(parts)}")
        found: list[str] = []
        for part in parts:
            attribute = group.attrs.get_id(part)
            longest = attribute.dtype.itemsize if attribute.dtype.kind == "S" else self._longest_text()
            if element_count(attribute.shape) * longest > self.budget.listing_left():
                raise CheckpointError(f"{self.path}: more names than the file can have")
            found += [item.decode("utf-8") if isinstance(item, bytes) else str(item) for item in group.attrs[part]]
        self.budget.list_tensors(len(found), sum(map(len, found)), self.path)
        return found

    def _longest_text(self) -> int:
        """What no string of the file is longer than: HDF5 keeps all of them in heaps, each in one piece.

        A list of strings may refer to the same long one very many times.
        Source: "Global Heap" in the HDF5 File Format Specification.
        """
        if self._longest is None:
            self._longest = 0
            tail = b""
            self._stream.seek(0)
            while True:
                data = tail + self._stream.read(1 << 20)
                for match in re.finditer(rb"GCOL\x01...(.{8})", data, re.DOTALL):
                    size = int.from_bytes(match.group(1), "little")
                    self._longest = max(self._longest, size if size <= self._size else 0)
                if len(data) <= len(tail):
                    break
                tail = data[-15:]
        return self._longest

    def _text_attribute(self, item: Any, name: str) -> str:
        """An attribute that is one string; nothing for one that is not there, or is anything else.

        A list of strings may refer to the same long one very many times, and would be read whole.
        """
        if name not in item.attrs:
            return ""
        attribute = item.attrs.get_id(name)
        if attribute.shape != ():
            return ""
        value = item.attrs[name]
        value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        return value if isinstance(value, str) else ""

    def listed_variables(self) -> dict[str, Place]:
        """Where Keras lists each variable: the place of its layer in the model, and its own in that layer's list.

        Source: `save_weights_to_hdf5_group`, `load_attributes_from_hdf5_group` in Keras's `hdf5_format.py`.
        """
        names = {path: name for name, path in self._paths.items()}
        listed: dict[str, Place] = {}
        try:
            root = "/model_weights" if "model_weights" in self._file else ""
            layers = self._names(self._file[root or "/"], "layer_names")
            weights = [self._names(self._file[f"{root}/{layer}"], "weight_names") for layer in layers]
            connected = bool(root) or all(map(_is_connected, layers, weights))
            # A layer lists its trainable weights before others, whatever they belong to.
            in_order = bool(root) and not _FROZEN.search(self._text_attribute(self._file, "model_config"))
            for place, (layer, listing) in enumerate(zip(layers, weights)):
                for number, weight in enumerate(listing):
                    path = f"{root}/{layer}/{weight}"
                    if path in names:
                        here = Place("", (), len(listed)).inside(place, connected)
                        listed[names[path]] = here.inside(number, connected) if in_order else here
        except Exception:
            # The order only helps: what is damaged is reported when it is read.
            return {}
        return listed

    def _describe_model(self) -> Description:
        """What whole models say of themselves in attributes, and weights alone of the Keras that wrote them."""
        said, model = {}, None
        try:
            for key in ("keras_version", "backend", "model_config"):
                said[key] = self._text_attribute(self._file, key)
            if said["model_config"]:
                model = self.budget.parse_json(said["model_config"].encode("utf-8"), self.path)
        except Exception:
            # Attributes only help: a damaged one says nothing.
            pass
        return Description(model, said.get("keras_version", ""), said.get("backend", ""))

    def _read_state(self) -> None:
        """The optimizer that a whole model describes, and the order in which its state is listed."""
        names = {path: name for name, path in self._paths.items()}
        if "optimizer_weights" not in self._file:
            return
        try:
            listed = self._names(self._file["optimizer_weights"], "weight_names")
        except Exception:
            # The order only helps: what it would have told is asked for.
            listed = []
        paths = [f"/optimizer_weights/{weight}" for weight in listed]
        self.state_order = tuple(names[path] for path in paths if path in names)
        self._describe_optimizer()

    def _describe_optimizer(self) -> None:
        try:
            text = self._text_attribute(self._file, "training_config").encode("utf-8")
            described = self.budget.parse_json(text, f"{self.path}: training_config")["optimizer_config"]
            self.optimizer = str(described["class_name"]).rpartition(">")[2]
            self.optimizer_settings = dict(described["config"])
        except Exception:
            # Weights alone, or a configuration that this is not made for: then the names must do.
            return

    def _list(self) -> None:
        found: list[tuple[str, TensorInfo]] = []
        root = self._h5py.h5o.get_info(self._file["/"].id).addr
        self._walk(self._file, "", found, [root], Counter())
        names = [plain_name(path) for path, _ in found]
        counts = Counter(names)
        tensors = []
        for (path, info), name in zip(found, names):
            name = path.strip("/") if counts[name] > 1 else name
            self._paths[name] = path
            tensors.append(info._replace(name=name))
        self.tensors = {info.name: info for info in sorted(tensors)}
        self._read_state()

    def _walk(
        self, group: Any, path: str, found: list[tuple[str, TensorInfo]], above: list[int], places: Counter[int]
    ) -> None:
        place = "{}: group {}".format(self.path, named(path or "/"))
        for key in group:
            inner = "{}/{}".format(path, key)
            self.budget.list_name(inner, place)
            link = group.get(key, getlink=True)
            if not isinstance(link, self._h5py.HardLink):
                raise CheckpointError(f"{place}: {named(key)} is a link to elsewhere, which is not followed")
            item = group[key]
            address = self._h5py.h5o.get_info(item.id).addr
            places[address] += 1
            if address in above or len(above) > _DEEPEST or places[address] > _MOST_PLACES:
                raise CheckpointError(
                    f"{place}: {named(key)} contains itself, is nested too deep, or stands in too many places"
                )
            if isinstance(item, self._h5py.Group):
                self._walk(item, inner, found, [*above, address], places)
            elif isinstance(item, self._h5py.Dataset):
                info = self._describe(item, inner)
                if info is not None:
                    found.append((inner, info))

    def _describe(self, dataset: Any, path: str) -> TensorInfo | None:
        if dataset.shape is None:
            return None
        dtype = self._dtype_of(dataset)
        if dtype is None:
            held = str(dataset.dtype)
            raise CheckpointError(f"{self.path}: dataset {named(path)}: holds {named(held)}, which is not read")
        shape = tuple(int(extent) for extent in dataset.shape)
        return TensorInfo(path, dtype, shape, element_count(shape) * dataset.dtype.itemsize)

    def _dtype_of(self, dataset: Any) -> str | None:
        """TensorFlow's name for the type of a dataset; None if it has none."""
        if self._is_text(dataset):
            return "string"
        held = dataset.dtype
        if held.kind == "V" and held.names is None:
            # HDF5 has no bfloat16: Keras 3 stores its bytes, and the name of the type beside them.
            known = dtypes.BY_NAME.get(self._text_attribute(dataset, "dtype"))
            return known.name if known and known.wrapped and known.size == held.itemsize else None
        return None if held.kind == "O" else dtypes.name_of(held)

    def _is_text(self, dataset: Any) -> bool:
        return self._h5py.check_dtype(vlen=dataset.dtype) in (str, bytes) or dataset.dtype.kind == "S"

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        place = "{}: dataset {}".format(self.path, named(self._paths[info.name]))
        with reading(place):
            dataset = self._file[self._paths[info.name]]
            self._check_storage(dataset, info, place)
            if info.dtype == "string":
                return self._read_text(dataset, info, place)
            array = allocate(info.shape, dtypes.numpy_dtype(info.dtype), place)
            if array.size:
                dataset.read_direct(array.view(dataset.dtype) if array.dtype.names else array)
            return array

    def _read_text(self, dataset: Any, info: TensorInfo, place: str) -> np.ndarray[Any, Any]:
        """Strings, a few at a time: every one of them may be the same long one, which the file stores once."""
        import numpy as np

        array = allocate(info.shape, np.dtype(object), place)
        flat = array.reshape(-1)
        longest = dataset.dtype.itemsize if dataset.dtype.kind == "S" else self._size
        done = size = 0
        for index in _pieces(info.shape, max(_STRINGS_AT_ONCE // max(longest, 1), 1)):
            for item in np.array(dataset[index], dtype=object).reshape(-1):
                flat[done] = item.encode("utf-8") if isinstance(item, str) else bytes(item)
                size += len(flat[done]) + STRING
                done += 1
            self.budget.take_values(info.name, size, place)
        return array

    def _check_storage(self, dataset: Any, info: TensorInfo, place: str) -> None:
        """Refuses what would take more memory than the file accounts for, bytes from another file, code to read it."""
        if dataset.external or getattr(dataset, "is_virtual", False):
            raise CheckpointError("{}: its bytes stand in another file, which is not opened".format(place))
        created = dataset.id.get_create_plist()
        filters = {created.get_filter(number)[0] for number in range(created.get_nfilters())}
        if not filters <= _FILTERS:
            raise CheckpointError(f"{place}: needs a filter plugin of HDF5, which is not loaded")
        stored = min(dataset.id.get_storage_size(), self._size)
        limit = stored * _MOST_COMPRESSION if filters else stored
        if info.nbytes > limit:
            raise CheckpointError(
                "{}: shape {} of {} takes {} bytes, of which the file stores {}".format(
                    place, list(info.shape), info.dtype, info.nbytes, stored
                )
            )
        if filters and dataset.chunks is not None:
            # A chunk is unpacked whole, and may be larger than what there is in it.
            chunk = element_count(dataset.chunks) * dataset.dtype.itemsize
            self.budget.take_values(info.name, info.nbytes + chunk, place)
            if info.dtype == "string" and chunk > _CACHE:
                raise CheckpointError(f"{place}: strings in compressed chunks of {chunk} bytes, which is too large")


def _pieces(shape: tuple[int, ...], most: int) -> Iterator[tuple[Any, ...]]:
    """Indices of parts that make up an array of `shape` in row-major order, each of at most `most` elements."""
    if not shape:
        yield ()
        return
    import numpy as np

    axis = 0
    while axis < len(shape) - 1 and element_count(shape[axis + 1 :]) > most:
        axis += 1
    step = max(most // max(element_count(shape[axis + 1 :]), 1), 1)
    for outer in np.ndindex(*shape[:axis]):
        for begin in range(0, shape[axis], step):
            yield (*outer, slice(begin, begin + step))


def _is_connected(layer: str, weights: list[str]) -> bool:
    """Whether these weights are those of a layer of a connected model, which are made before the model is.

    Those of a class of the user's own are made when it is called, in its scope (`net/dense/kernel:0`), and the order of
    its layers is that of its attributes.
    """
    return not any("/" not in weight or weight.split("/")[1] == layer != weight.split("/")[0] for weight in weights)


def _probe(path: str, library: str, factor: float) -> None:
    """Reads the whole file in a process of its own first, so that if the library crashes, only that process does."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    search = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = dict(os.environ, PYTHONPATH=search, **{_PROBING: "1"})
    try:
        status = subprocess.call(
            [sys.executable, "-c", _PROBE, path, str(factor)],
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
