"""Zip archives: Keras's `.keras` and NumPy's `.npz`.

Of a `.keras` archive the weights are read, and of its configuration only which optimizer the model was compiled with;
no object is made from it, so no code in it can run.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

from . import dtypes
from .checkpoint import Checkpoint, TensorInfo, element_count
from .errors import CheckpointError, reading
from .hdf5 import Hdf5
from .spans import FileSpans, byte_view, open_regular

if TYPE_CHECKING:
    import numpy as np

WEIGHTS = "model.weights.h5"
_CONFIGURATION = "config.json"
_MOST_CONFIGURATION = 16 << 20
# Weights hardly compress; a member that claims to is a bomb once it is also large.
_MOST_RATIO = 100
_MOST_UNPACKED = 64 << 20


def _open_zip(path: str) -> zipfile.ZipFile:
    stream = open_regular(path)
    try:
        with reading(f"{path}: a damaged zip archive"):
            return zipfile.ZipFile(stream)
    except CheckpointError:
        stream.close()
        raise


def check_member(path: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raises CheckpointError if unpacking `member` would take far more than the archive holds, or cannot be done."""
    if member.flag_bits & 1:
        raise CheckpointError("{}: {} is encrypted".format(path, member.filename))
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CheckpointError("{}: {}: unknown compression {}".format(path, member.filename, member.compress_type))
    stream: Any = archive.fp
    stream.seek(0, 2)
    size = stream.tell()
    if member.compress_size > size or (
        member.file_size > _MOST_UNPACKED and member.file_size > _MOST_RATIO * member.compress_size
    ):
        raise CheckpointError(
            "{}: {} claims to unpack {} bytes into {}".format(
                path, member.filename, member.compress_size, member.file_size
            )
        )


def open_keras(path: str) -> Checkpoint:
    """The weights of a `.keras` archive. Raises CheckpointError if it is damaged or holds none."""
    with _open_zip(path) as archive:
        try:
            member = archive.getinfo(WEIGHTS)
        except KeyError:
            names = ", ".join(archive.namelist()[:5])
            raise CheckpointError("{}: no {} in this archive; it holds {}".format(path, WEIGHTS, names)) from None
        check_member(path, archive, member)
        stream: BinaryIO = io.BytesIO(_unpack(path, archive, member))
        compiled = _compiled_optimizer(path, archive)
    checkpoint = Hdf5(path, stream)
    checkpoint.format = "Keras archive"
    checkpoint.optimizer, checkpoint.optimizer_settings = compiled
    return checkpoint


def _compiled_optimizer(path: str, archive: zipfile.ZipFile) -> tuple[str, dict[str, Any]]:
    """The class and the settings of the optimizer that the model was compiled with; nothing where this is not told."""
    import json

    try:
        member = archive.getinfo(_CONFIGURATION)
        if member.file_size > _MOST_CONFIGURATION:
            return "", {}
        check_member(path, archive, member)
        optimizer = json.loads(_unpack(path, archive, member).decode("utf-8"))["compile_config"]["optimizer"]
        if isinstance(optimizer, str):
            return optimizer, {}
        settings = optimizer.get("config")
        # A class registered by its user is called Package>Class.
        name = str(optimizer["class_name"]).rpartition(">")[2]
        return name, settings if isinstance(settings, dict) else {}
    except (CheckpointError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        # The configuration only helps: without it, the optimizer has to be named.
        return "", {}


def _unpack(path: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, its CRC-32 checked, never more than it claims."""
    with reading(f"{path}: {member.filename}"), archive.open(member) as stream:
        data = stream.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise CheckpointError("{}: {} is not as long as it claims".format(path, member.filename))
    return data


class Npz(Checkpoint):
    """Arrays that numpy.savez wrote. Objects are refused: to read them is to run what they say."""

    format = "NumPy archive"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._archive = _open_zip(path)
        members = [member for member in self._archive.infolist() if member.filename.endswith(".npy")]
        try:
            tensors = [self._describe(member) for member in members]
        except CheckpointError:
            self.close()
            raise
        self.tensors = {info.name: info for info in sorted(tensors)}

    def close(self) -> None:
        """Closes the archive."""
        stream: Any = self._archive.fp
        self._archive.close()
        if stream is not None:
            stream.close()

    def _describe(self, member: zipfile.ZipInfo) -> TensorInfo:
        check_member(self.path, self._archive, member)
        name = member.filename[: -len(".npy")]
        with reading(f"{self.path}: {member.filename}"), self._archive.open(member) as stream:
            shape, _, dtype = _npy_header(stream)
        kind = dtypes.name_of(dtype.newbyteorder("=")) if dtype.kind not in "OSU" else None
        if kind is None:
            raise CheckpointError("{}: {}: holds {}, which is not read".format(self.path, member.filename, dtype))
        size = element_count(shape) * dtype.itemsize
        if size > member.file_size:
            raise CheckpointError("{}: {}: its shape {} does not fit".format(self.path, member.filename, list(shape)))
        return TensorInfo(name, kind, shape, size)

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        import numpy as np

        member = self._archive.getinfo(info.name + ".npy")
        data = io.BytesIO(_unpack(self.path, self._archive, member))
        with reading(f"{self.path}: {member.filename}"):
            array: np.ndarray[Any, Any] = np.lib.format.read_array(data, allow_pickle=False)
            return array.astype(array.dtype.newbyteorder("="), copy=False)


def _npy_header(stream: Any) -> Any:
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    if version == (1, 0):
        return npy.read_array_header_1_0(stream)
    if version == (2, 0):
        return npy.read_array_header_2_0(stream)
    raise ValueError("npy version {}".format(version))


_SAFE_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "C64": "complex64",
}
METADATA = "__metadata__"
SAFE_NAMES = {name: code for code, name in _SAFE_TYPES.items()}
MOST_SAFE_HEADER = 100_000_000


class SafeTensors(Checkpoint):
    """A `.safetensors` file: a length, a JSON header, the bytes. Source: the format's own README."""

    format = "safetensors"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._spans = FileSpans(path)
        self._offsets: dict[str, int] = {}
        try:
            self._list()
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self.close()
            raise CheckpointError("{}: header: {}".format(path, error)) from None
        except CheckpointError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._spans.close()

    def _list(self) -> None:
        import json

        size = int.from_bytes(self._spans.read(0, 8, "header length"), "little")
        if size > min(MOST_SAFE_HEADER, self._spans.size):
            raise ValueError("{} bytes long".format(size))
        header = json.loads(self._spans.read(8, size, "header").decode("utf-8"))
        tensors = []
        for name, entry in header.items():
            if name == METADATA:
                continue
            dtype = dtypes.BY_NAME[_SAFE_TYPES[entry["dtype"]]]
            shape = tuple(entry["shape"])
            begin, end = entry["data_offsets"]
            if not all(isinstance(extent, int) and extent >= 0 for extent in shape + (begin, end)):
                raise ValueError("tensor {}: sizes and offsets must be whole numbers".format(name))
            if element_count(shape) * dtype.size != end - begin:
                raise ValueError("tensor {}: its shape does not fit its {} bytes".format(name, end - begin))
            self._spans.check(8 + size + begin, end - begin, "tensor {}".format(name))
            self._offsets[name] = 8 + size + begin
            tensors.append(TensorInfo(name, dtype.name, shape, end - begin))
        self.tensors = {info.name: info for info in sorted(tensors)}

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        import sys

        from .checkpoint import allocate

        place = "{}: tensor {}".format(self.path, info.name)
        array = allocate(info.shape, dtypes.numpy_dtype(info.dtype), place)
        self._spans.fill(byte_view(array), self._offsets[info.name], "tensor {}".format(info.name))
        return array.byteswap() if sys.byteorder == "big" else array
