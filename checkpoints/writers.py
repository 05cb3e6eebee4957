"""Writing tensors to files of several formats, one tensor in memory at a time, all or nothing."""

from __future__ import annotations

import json
import os
import re
import zipfile
from math import inf
from typing import Any, Callable, Iterable, Sequence

from . import dtypes
from .archives import METADATA, SAFE_NAMES, Npz, SafeTensors
from .atomic import Replacement
from .budget import Budget
from .checkpoint import Checkpoint, TensorInfo, element_count
from .copies import Copies
from .errors import ArgumentError, CheckpointError
from .foreign_text import named, shorten
from .roles import is_bookkeeping
from .saver import check_described, check_listing, encode_tensor, write_saver
from .source import UNREADABLE, Source

_LARGE = 64 << 20
_MOST_NAME = 65535
_SHOWN = 60
FORMATS = {".npz": "npz", ".safetensors": "safetensors"}
_OTHERS = (".h5", ".hdf5", ".keras", ".pb", ".meta", ".tflite", ".onnx", ".pt", ".pth", ".bin", ".zip", ".json")


def kind_of(path: str) -> str:
    """The format that `path` asks for: npz or safetensors by its suffix, else saver, for a prefix of any name.

    Raises ArgumentError where no prefix can be meant: a directory, or a suffix of a format that is not written.
    """
    kind = FORMATS.get(os.path.splitext(path)[1], "saver")
    if kind == "saver" and path.endswith(_OTHERS):
        there_are = ", ".join([*FORMATS, ".weights.h5 and .keras (with a model)"])
        raise ArgumentError(f"{path}: this format is not written; there are {there_are}, or the prefix of a Saver")
    if kind == "saver" and os.path.isdir(path):
        raise ArgumentError(f"{path}: is a directory; give a name in it, such as {os.path.join(path, 'model.ckpt')}")
    return kind


def left_out(path: str, infos: Iterable[TensorInfo]) -> dict[str, str]:
    """What a copy in the format of `path` goes without, by name, and why: object graphs and the like, variants."""
    text = kind_of(path) == "saver"
    left = {}
    for info in infos:
        if info.dtype in UNREADABLE:
            left[info.name] = f"{info.dtype}, which is not decoded"
        elif info.dtype == "string" and not text and is_bookkeeping(info.name):
            left[info.name] = "bookkeeping, in text"
        elif info.missing and not text:
            left[info.name] = "a part of a slot of a partitioned variable"
    return left


def write(path: str, source: Source, overwrite: bool = False) -> str:
    """Writes `source` to `path`: `.npz`, `.safetensors`, else a TF 1 Saver checkpoint with that prefix.

    Returns the name of the format. Raises CheckpointError, before anything is written, if the format lacks a type.
    """
    kind = kind_of(path)
    if kind == "saver":
        write_saver(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path), source, overwrite)
    elif kind == "npz":
        write_npz(path, source, overwrite)
    else:
        write_safetensors(path, source, overwrite)
    return kind


def write_npz(path: str, source: Source, overwrite: bool = False) -> None:
    """Writes a `.npz` that `numpy.load` opens without pickles; types NumPy lacks keep their name as a field."""
    import numpy as np

    _refuse(path, [info for info in source.infos.values() if info.dtype == "string"], "npz without pickles")
    _refuse_names(path, source.infos, "npz", _not_in_zip)
    with Replacement([path], overwrite, _reads_back(Npz, source)) as (stream,):
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name in source:
                with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as member:
                    array = np.asarray(source[name])
                    check_described(path, source.infos[name], dtypes.name_of(array.dtype), array.shape)
                    np.lib.format.write_array(member, array, allow_pickle=False)


def write_safetensors(path: str, source: Source, overwrite: bool = False) -> None:
    """Writes a `.safetensors`. Source of the format: its own README (length, JSON header, bytes)."""
    _refuse(path, [info for info in source.infos.values() if info.dtype not in SAFE_NAMES], "safetensors")
    _refuse_names(path, source.infos, "safetensors", _not_in_safetensors)
    header: dict[str, Any] = {}
    offset = 0
    for name, info in source.infos.items():
        size = dtypes.BY_NAME[info.dtype].size * element_count(info.shape)
        header[name] = {
            "dtype": SAFE_NAMES[info.dtype],
            "shape": list(info.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, ensure_ascii=False).encode("utf-8")
    # The bytes of the tensors begin at a page, so that they can be mapped, and are written as whole pages; those of
    # large files where kernels begin larger pieces than pages, which takes a tenth less time.
    text += b" " * (-(8 + len(text)) % (4096 if offset < _LARGE else 65536))
    with Replacement([path], overwrite, _reads_back(SafeTensors, source)) as (stream,):
        stream.write(len(text).to_bytes(8, "little") + text)
        with Copies(stream) as copies:
            for name in source:
                stored = source.stored(name)
                if stored is None:
                    number, shape, data, _ = encode_tensor(
                        source[name], f"{path}: tensor {named(name)}", checksum=False
                    )
                    check_described(path, source.infos[name], dtypes.BY_NUMBER[number].name, shape)
                    stream.write(data)
                else:
                    stored.copy(copies)


def _reads_back(reader: Callable[[str, Budget], Checkpoint], source: Source) -> Callable[[Sequence[str]], None]:
    """A check that `reader` lists in a file of one path what `source` says of its tensors."""

    def check(paths: Sequence[str]) -> None:
        with reader(paths[0], Budget(inf)) as written:
            check_listing(written, source.infos)

    return check


def _refuse(path: str, infos: list[TensorInfo], what: str) -> None:
    if infos:
        named = ", ".join(f"{info.name} ({info.dtype})" for info in infos[:5]) + (", ..." if len(infos) > 5 else "")
        raise CheckpointError(f"{path}: {what} cannot hold {named}; the prefix of a Saver can")


def _refuse_names(path: str, names: Iterable[str], what: str, why_not: Callable[[str], str]) -> None:
    for name in names:
        why = why_not(name)
        if why:
            shown = repr(shorten(name, _SHOWN))
            raise CheckpointError(f"{path}: {what} cannot hold a tensor named {shown}: {why}")


def _not_in_zip(name: str) -> str:
    try:
        size = len(name.encode("utf-8")) + len(".npy")
    except UnicodeEncodeError:
        return "it is no valid Unicode"
    if "\0" in name:
        return "names in a zip archive end at a NUL"
    return f"{size} bytes are more than the {_MOST_NAME} of a name in a zip archive" if size > _MOST_NAME else ""


def _not_in_safetensors(name: str) -> str:
    return "the format keeps it for what describes the file" if name == METADATA else ""
