"""What to say to somebody who passes a path with no checkpoint at it: what it is instead, and what to pass."""

from __future__ import annotations

import os
import re

from .atomic import is_temporary
from .errors import CheckpointError
from .table import ends_as_table

# The shards of a TensorBundle; those of a V1 checkpoint, or the pattern that stands for all of them.
SHARD = re.compile(r"(.*)\.data-\d{5}-of-\d{5}", re.DOTALL)
V1_SHARD = re.compile(r"(.*)-(?:\d{5}|\?{5})-of-(\d{5})", re.DOTALL)
SAVED_MODELS = ("saved_model.pb", "saved_model.pbtxt")
_WHOLE = (".keras", ".h5", ".hdf5", ".pb", ".safetensors")
_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch that with git lfs pull"),
    (b"<!", "a web page: the download went wrong"),
    (b"<html", "a web page: the download went wrong"),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"\x80", "a Python pickle, which is not read: to read it is to run what it says"),
)


def what_else(head: bytes) -> str:
    """What a file that begins with `head` (512 bytes) is, if it is no checkpoint; empty if that is not known."""
    for start, what in _STARTS:
        if head.lower().startswith(start):
            return what
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model, which is not read"
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it first"
    if head and all(byte >= 32 or byte in b"\t\n\r" for byte in head):
        return "a text file"
    return ""


def names_in(directory: str) -> list[str]:
    """The names in `directory`, sorted, without what is being written; CheckpointError if they cannot be listed."""
    try:
        return sorted(name for name in os.listdir(directory or ".") if not is_temporary(name))
    except OSError as error:
        raise CheckpointError(f"{directory}: {error.strerror or error}") from None


def checkpoints_in(directory: str) -> list[str]:
    """Paths to pass: the checkpoints in `directory`, by prefix those of several files."""
    try:
        names = names_in(directory)
    except CheckpointError:
        return []
    found = [name[: -len(".index")] for name in names if name.endswith(".index")]
    tables = [name for name in names if not name.endswith(".index") and ends_as_table(os.path.join(directory, name))]
    found += sorted({V1_SHARD.sub(r"\1", name) for name in tables})
    found += [name for name in names if name.endswith(_WHOLE)]
    return [os.path.join(directory, name) for name in found]


def hint(directory: str, but: str = "") -> str:
    """`; pass A or B`: the checkpoints in `directory` other than `but`, or the SavedModel it belongs to; or nothing."""
    above = os.path.dirname(os.path.abspath(directory))
    found = [path for path in checkpoints_in(directory) if path != but]
    if any(os.path.isfile(os.path.join(above, name)) for name in SAVED_MODELS):
        found = [above]
    listed = " or ".join(found[:6]) + (" or ..." if len(found) > 6 else "")
    return f"; pass {listed}" if found else ""


def without_index(path: str) -> str:
    """What to say of `path`, a prefix or a directory, if data files stand there without an index; else nothing."""
    directory, base = (path, "") if os.path.isdir(path) else os.path.split(path)
    for name in names_in(directory) if os.path.isdir(directory or ".") else ():
        match = SHARD.fullmatch(name)
        if match and (not base or match.group(1) == base):
            index = os.path.join(directory, match.group(1) + ".index")
            return f"{os.path.join(directory, name)} is here, but not its index {index}, without which it says nothing"
    return ""


def nothing_at(path: str) -> str:
    """What to say of a path with nothing there: the checkpoints in its directory, nearest first."""
    import difflib

    directory, base = os.path.split(path)
    if not os.path.isdir(directory or "."):
        return f"{path}: no such directory: {directory}"
    lonely = without_index(path) if base else ""
    if lonely:
        return f"{path}: {lonely}"
    here = checkpoints_in(directory) or [os.path.join(directory, name) for name in names_in(directory)]
    near = difflib.get_close_matches(path, here, 3, 0.3)
    told = "; did you mean {}".format(" or ".join(near)) if near else ""
    return f"{path}: no checkpoint here (no such file, and no {base}.index){told}"
