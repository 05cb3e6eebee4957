"""Zip archives: Keras's `.keras` and NumPy's `.npz`.

Of a `.keras` archive the weights are read, and its configuration as data: no object is made from it, so no code in it
can run.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from . import dtypes
from .budget import Budget
from .checkpoint import MOST_DIMENSIONS, Checkpoint, Description, TensorInfo, allocate, element_count
from .errors import CheckpointError, reading
from .foreign_text import named
from .hdf5 import Hdf5
from .spans import FileSpans, byte_view, open_regular

if TYPE_CHECKING:
    import numpy as np

WEIGHTS = "model.weights.h5"
_CONFIGURATION = "config.json"
_METADATA = "metadata.json"
_PIECE = 1 << 20


def _open_zip(path: str, budget: Budget) -> zipfile.ZipFile:
    stream = open_regular(path, budget=budget)
    try:
        with reading(f"{path}: a damaged zip archive"):
            return zipfile.ZipFile(stream)
    except CheckpointError:
        stream.close()
        raise


def check_members(path: str, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> None:
    """Raises CheckpointError if `members` are not apart from each other in the archive, or cannot be unpacked."""
    stream: Any = archive.fp
    left = stream.seek(0, 2)
    names = set()
    for member in members:
        if member.flag_bits & 1:
            raise CheckpointError("{}: {} is encrypted".format(path, member.filename))
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CheckpointError("{}: {}: unknown compression {}".format(path, member.filename, member.compress_type))
        if member.filename in names:
            raise CheckpointError("{}: two members are called {}".format(path, member.filename))
        names.add(member.filename)
        left -= member.compress_size
        if left < 0:
            raise CheckpointError("{}: its members claim more bytes than the file has".format(path))


def open_keras(path: str, budget: Budget | None = None) -> Checkpoint:
    """The weights of a `.keras` archive. Raises CheckpointError if it is damaged or holds none."""
    budget = Budget() if budget is None else budget
    with _open_zip(path, budget) as archive:
        members = {member.filename: member for member in archive.infolist() if member.filename in _READ}
        if WEIGHTS not in members:
            names = archive.namelist()
            pickle = "; a pickle is in it, which is not read: to read it is to run what it says"
            held = ", ".join(names[:5]) + (pickle if any(name.endswith(".pkl") for name in names) else "")
            raise CheckpointError("{}: no {} in this archive; it holds {}".format(path, WEIGHTS, held))
        check_members(path, archive, [member for member in archive.infolist() if member.filename in _READ])
        weights = members[WEIGHTS]
        claim = f"claims to unpack {weights.compress_size} bytes into {weights.file_size}"
        budget.take_values(WEIGHTS, weights.file_size, f"{path}: {WEIGHTS} {claim}")
        stream: BinaryIO = io.BytesIO(_unpack(path, archive, weights))
        model, metadata = (_described(path, archive, members.get(name), budget) for name in (_CONFIGURATION, _METADATA))
    checkpoint = Hdf5(path, stream, budget)
    checkpoint.format = "Keras archive"
    checkpoint.optimizer, checkpoint.optimizer_settings = _compiled_optimizer(model)
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    checkpoint.description = Description(model, version if isinstance(version, str) else "")
    return checkpoint


_READ = (WEIGHTS, _CONFIGURATION, _METADATA)


def _described(path: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo | None, budget: Budget) -> Any:
    """The JSON in a member, as data; None where there is none, as it only helps."""
    if member is None:
        return None
    place = f"{path}: {member.filename}"
    try:
        # As much is unpacked as may be parsed.
        budget.check_json(member.file_size, place)
        return budget.parse_json(_unpack(path, archive, member), place)
    except CheckpointError:
        return None


def _compiled_optimizer(model: Any) -> tuple[str, dict[str, Any]]:
    """The class and the settings of the optimizer that the model was compiled with; nothing where this is not told."""
    try:
        optimizer = model["compile_config"]["optimizer"]
        if isinstance(optimizer, str):
            return optimizer, {}
        settings = optimizer.get("config")
        # A class registered by its user is called Package>Class.
        name = str(optimizer["class_name"]).rpartition(">")[2]
        return name, settings if isinstance(settings, dict) else {}
    except (KeyError, TypeError, AttributeError):
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

    def __init__(self, path: str, budget: Budget | None = None) -> None:
        super().__init__(path, budget)
        self._archive = _open_zip(path, self.budget)
        members = [member for member in self._archive.infolist() if member.filename.endswith(".npy")]
        try:
            check_members(path, self._archive, members)
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
        name, place = member.filename[: -len(".npy")], f"{self.path}: {member.filename}"
        self.budget.list_name(name, self.path)
        with reading(place), self._archive.open(member) as stream:
            header = _npy_header(stream)
        kind = dtypes.name_of(header.dtype)
        if kind in (None, "string"):
            raise CheckpointError(f"{place}: holds {header.dtype}, which is not read")
        size = element_count(header.shape) * header.dtype.itemsize
        if size + header.size != member.file_size:
            raise CheckpointError(f"{place}: its shape {list(header.shape)} does not fit")
        return TensorInfo(name, str(kind), header.shape, size)

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        member = self._archive.getinfo(info.name + ".npy")
        place = f"{self.path}: {member.filename}"
        with reading(place), self._archive.open(member) as opened:
            stream: Any = opened
            header = _npy_header(stream)
            shape = header.shape[::-1] if header.fortran else header.shape
            array = allocate(shape, header.dtype, place)
            view = byte_view(array)
            for start in range(0, len(view), _PIECE):
                if stream.readinto(view[start : start + _PIECE]) != len(view[start : start + _PIECE]):
                    raise ValueError("is not as long as it claims")
            # Its checksum is only looked at where it ends.
            if stream.read(1):
                raise ValueError("is longer than it claims")
        return (array.T if header.fortran else array).astype(array.dtype.newbyteorder("="), copy=False)


class _NpyHeader(NamedTuple):
    """What an .npy file says of its array, and the bytes it says it in."""

    dtype: np.dtype[Any]
    fortran: bool
    shape: tuple[int, ...]
    size: int


# NumPy's own limit since 1.24.
_LONGEST_HEADER = 10_000
_TEXT = r"""(?:'[^'\\]*'|"[^"\\]*")"""
_NPY_ITEM = re.compile(
    rf"""\s*['"](descr|fortran_order|shape)['"]\s*:\s*"""
    rf"""(True|False|\([0-9L,\s]*\)|{_TEXT}|\[\s*\(\s*{_TEXT}\s*,\s*{_TEXT}\s*,?\s*\)\s*,?\s*\])\s*(?:,|$)"""
)
_SIMPLE = re.compile(r"[<>=|]?(?:\?|[a-zA-Z][0-9]{0,9})")


def _npy_header(stream: Any) -> _NpyHeader:
    """The header of the .npy file that `stream` is at the beginning of; ValueError if it is none, or not a plain one.

    NumPy hands it to Python's parser, which deep nesting can crash; what is read here has a simple grammar.
    Source: `numpy/lib/format.py`.
    """
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError("no .npy file of a known version")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    raw = stream.read(length)
    text = raw.decode("utf-8" if start[6] == 3 else "latin-1").strip()
    if len(raw) != length or text[:1] != "{" or text[-1:] != "}":
        raise ValueError("its header is cut short or damaged")
    found: dict[str, str] = {}
    position, end = 1, len(text[:-1].rstrip())
    while position < end:
        item = _NPY_ITEM.match(text, position, end)
        if item is None or item.group(1) in found:
            raise ValueError(f"its header is not read: {text[:200]}")
        found[item.group(1)] = item.group(2)
        position = item.end()
    return _NpyHeader(_npy_dtype(found), found["fortran_order"] == "True", _npy_shape(found), 8 + width + length)


def _npy_shape(header: dict[str, str]) -> tuple[int, ...]:
    shape = header["shape"]
    # Python 2 wrote 3L for a long number.
    extents = [extent.strip() for extent in shape[1:-1].split(",")]
    extents = extents[:-1] if not extents[-1] else extents
    if shape[0] != "(" or not all(re.fullmatch(r"[0-9]{1,19}L?", extent) for extent in extents) or len(extents) > 64:
        raise ValueError(f"no shape: {shape[:200]}")
    return tuple(int(extent.rstrip("L")) for extent in extents)


def _npy_dtype(header: dict[str, str]) -> np.dtype[Any]:
    import numpy as np

    words = [word[1:-1] for word in re.findall(_TEXT, header["descr"])]
    if len(words) not in (1, 2) or not _SIMPLE.fullmatch(words[-1]):
        raise ValueError(f"holds {header['descr']}, which is not read")
    return np.dtype([(words[0], words[1])]) if len(words) == 2 else np.dtype(words[0])


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
    """A `.safetensors` file: a length, a JSON header, the bytes. Source: the format's own README.

    As the format's own reader does, this one refuses tensors that overlap and bytes that belong to none.
    """

    format = "safetensors"

    def __init__(self, path: str, budget: Budget | None = None) -> None:
        super().__init__(path, budget)
        self._spans = FileSpans(path, self.budget)
        self._offsets: dict[str, int] = {}
        try:
            self._list()
        except (ValueError, TypeError, KeyError) as error:
            self.close()
            raise CheckpointError("{}: header: {}".format(path, error)) from None
        except CheckpointError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._spans.close()

    def _list(self) -> None:
        size = int.from_bytes(self._spans.read(0, 8, "header length"), "little")
        if size > min(MOST_SAFE_HEADER, self._spans.size):
            raise ValueError("{} bytes long".format(size))
        header = self.budget.parse_json(self._spans.read(8, size, "header"), f"{self.path}: header")
        if not isinstance(header, dict):
            raise ValueError("no JSON object")
        tensors = []
        places = []
        for name, entry in header.items():
            if name == METADATA:
                continue
            self.budget.list_name(name, self.path)
            info, begin = _safe_tensor(name, entry)
            self._offsets[name] = 8 + size + begin
            tensors.append(info)
            places.append((begin, info.nbytes, name))
        end = 0
        for begin, length, name in sorted(places):
            if begin != end:
                raise ValueError(f"tensor {named(name)}: begins at {begin}, where the one before ends at {end}")
            end += length
        if 8 + size + end != self._spans.size:
            raise ValueError(f"its tensors take {end} bytes, not the {self._spans.size - 8 - size} behind the header")
        self.tensors = {info.name: info for info in sorted(tensors)}

    def _read(self, info: TensorInfo) -> np.ndarray[Any, Any]:
        import sys

        place = "{}: tensor {}".format(self.path, named(info.name))
        array = allocate(info.shape, dtypes.numpy_dtype(info.dtype), place)
        self._spans.fill(byte_view(array), self._offsets[info.name], "tensor {}".format(named(info.name)))
        return array.byteswap() if sys.byteorder == "big" else array


def _safe_tensor(name: str, entry: Any) -> tuple[TensorInfo, int]:
    """A tensor, and where its bytes begin behind the header; ValueError and the like if `entry` does not say so."""
    dtype = dtypes.BY_NAME[_SAFE_TYPES[entry["dtype"]]]
    shape = entry["shape"]
    begin, end = entry["data_offsets"]
    # True is a whole number in Python, and none in JSON.
    if not isinstance(shape, list) or not all(type(extent) is int and extent >= 0 for extent in [*shape, begin, end]):
        raise ValueError("tensor {}: sizes and offsets must be whole numbers".format(named(name)))
    if len(shape) > MOST_DIMENSIONS or element_count(tuple(shape)) * dtype.size != end - begin:
        raise ValueError("tensor {}: its shape does not fit its {} bytes".format(named(name), end - begin))
    return TensorInfo(name, dtype.name, tuple(shape), end - begin), begin
