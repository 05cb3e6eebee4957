"""Reads a bundle that anybody may have written: nothing is believed, and nothing is read beyond what is allowed.

The tar is read header by header. A header that says anything but a regular file of the name and size that come next in
bundle.json, as those for long names and other extensions do, ends it: `tarfile` would read what those announce.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from matrix.bundle import FILES, HEAD, HEAD_BYTES, VERSION, File, Head, check, environment_digest, lock_digest
from matrix.errors import BadBundle, DiskFull
from matrix.project import Project
from matrix.run_folder import own_folder
from matrix.untrusted import decode_json

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 16


class _Version(msgspec.Struct, frozen=True):
    version: int
    commit: str = ""


@contextmanager
def unpacked(home: Project, path: Path) -> Iterator[tuple[Head, Path]]:
    """What the bundle at `path` says of itself, and a folder with its files, for the length of the block.

    Raises BadBundle, with what is wrong with it, and DiskFull before a disk is full. The files are not read before
    the head has been found to fit the checkout `home`.
    """
    with own_folder(home.state / "bundles", "bundle-") as folder:
        try:
            with _opened(path) as file:
                stream = _Inflated(file)
                head = _head(stream, home, path)
                _unpack(stream, head, folder, path)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise BadBundle(f"{path} is damaged, or no bundle ({error}): get it again") from None
        yield head, folder / FILES


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, which must be one: a pipe that nobody writes to would be waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadBundle(f"there is no bundle {path}") from None
    except OSError as error:
        raise BadBundle(f"{path} cannot be read ({error.strerror}): get it again") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadBundle(f"{path} is no file, and so no bundle")
    with open(descriptor, "rb") as file:
        yield file


class _Inflated:
    """The contents of a gzip file of one member, as far as they are asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=31)

    def read(self, size: int) -> bytes:
        """The next `size` bytes. Raises EOFError where there are fewer, and zlib.error."""
        content = b""
        while len(content) < size:
            data = self._inflate.unconsumed_tail or self._file.read(_PIECE)
            piece = self._inflate.decompress(data, size - len(content))
            if not piece and (not data or self._inflate.eof):
                raise EOFError("it ends too early")
            content += piece
        return content


def _header(stream: _Inflated) -> tarfile.TarInfo | None:
    """The next header of the tar as it stands there, None at the end."""
    block = stream.read(_BLOCK)
    return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape") if block.strip(b"\0") else None


def _head(stream: _Inflated, home: Project, path: Path) -> Head:
    header = _header(stream)
    regular = header is not None and (header.name, header.type) == (HEAD, tarfile.REGTYPE)
    if header is None or not regular or not 0 <= header.size <= HEAD_BYTES:
        raise BadBundle(f"{path} is no bundle: it does not begin with a {HEAD} of at most {HEAD_BYTES >> 20} MiB")
    text = stream.read(header.size)
    _skip_padding(stream, header.size)
    try:
        made_with = decode_json(text, _Version)
        if made_with.version != VERSION:
            raise BadBundle(
                f"{path} is of version {made_with.version}, this checkout reads {VERSION}: "
                "replay it in the checkout that it was made with"
            )
        head = decode_json(text, Head)
    except msgspec.DecodeError as error:
        raise BadBundle(f"{path} is damaged: {HEAD}: {error}") from None
    check(head, str(path), home.limits.bundle_bytes)
    _require_same(head, home, path)
    return head


def _require_same(head: Head, home: Project, path: Path) -> None:
    """Raise BadBundle unless the environment and its lock are this checkout's, which images are built of."""
    name = head.record.environment
    environment = home.environments.get(name)
    if environment and environment_digest(environment) == head.environment:
        if lock_digest(home, environment) == head.lock:
            return
        other = f"another lock of {name} than this checkout has"
    else:
        other = f"another {name} than environments.toml has here" if environment else f"{name!r}, which is not here"
    remedy = f"`git checkout {head.commit}`" if head.commit else "replay it in the checkout that it was made in"
    more = ", with the changes that it had besides" if head.commit and head.changed else ""
    raise BadBundle(f"{path} was made with {other}: {remedy}{more}")


def _unpack(stream: _Inflated, head: Head, folder: Path, path: Path) -> None:
    total = sum(file.size for file in head.files.values())
    if total > shutil.disk_usage(folder).free:
        raise DiskFull(f"{path} needs {total / 2**20:.0f} MiB to be unpacked below {folder.parent}: free some")
    for name, file in head.files.items():
        header = _header(stream)
        if header is None or (header.name, header.size, header.type) != (name, file.size, tarfile.REGTYPE):
            instead = f"{header.name[:100]!a}, which is not what it lists" if header else "its end"
            raise BadBundle(f"{path} is damaged, or forged: where {name} should come, there is {instead}")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if _copy(stream, file, folder / name) != file.sha256:
            raise BadBundle(f"{path} is damaged: {name} has another SHA-256 than it lists: get it again")
    header = _header(stream)
    if header:
        raise BadBundle(f"{path} is damaged, or forged: it has {header.name[:100]!a}, which it does not list")
    (folder / FILES).mkdir(exist_ok=True)


def _copy(stream: _Inflated, file: File, destination: Path) -> str:
    digest = hashlib.sha256()
    with destination.open("xb") as copy:
        for start in range(0, file.size, _PIECE):
            data = stream.read(min(_PIECE, file.size - start))
            digest.update(data)
            copy.write(data)
    _skip_padding(stream, file.size)
    return digest.hexdigest()


def _skip_padding(stream: _Inflated, size: int) -> None:
    stream.read(-size % _BLOCK)
