"""Reads a bundle that anybody may have written: nothing is believed, and nothing is read beyond what is allowed.

Each file must be the regular one of the name and size that come next in bundle.json.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from matrix import tar_reader
from matrix.bundle import FILES, HEAD, HEAD_BYTES, VERSION, Head, check, environment_digest, lock_digest
from matrix.errors import BadBundle, DiskFull
from matrix.project import Project
from matrix.run_folder import own_folder
from matrix.tar_reader import NotATar, TarReader
from matrix.untrusted import decode_json


class _Version(msgspec.Struct, frozen=True):
    version: int


@contextmanager
def unpacked(home: Project, path: Path) -> Iterator[tuple[Head, Path]]:
    """What the bundle at `path` says of itself, and a folder with its files, for the length of the block.

    Raises BadBundle, with what is wrong with it, and DiskFull before a disk is full. The files are not read before
    the head has been found to fit the checkout `home`.
    """
    with own_folder(home.state / "bundles", "bundle-") as folder:
        try:
            with tar_reader.opened(path) as tar:
                head = _head(tar, home, path)
                _unpack(tar, head, folder, path)
        except NotATar as error:
            raise BadBundle(f"{path} is damaged, or no bundle ({error}): get it again") from None
        except FileNotFoundError as error:
            if error.filename != str(path):
                raise
            raise BadBundle(f"there is no bundle {path}") from None
        yield head, folder / FILES


def _head(tar: TarReader, home: Project, path: Path) -> Head:
    header = tar.header()
    regular = header is not None and (header.name, header.type) == (HEAD, tarfile.REGTYPE)
    if header is None or not regular or not 0 <= header.size <= HEAD_BYTES:
        raise BadBundle(f"{path} is no bundle: it does not begin with a {HEAD} of at most {HEAD_BYTES >> 20} MiB")
    text = tar.content(header.size)
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


def _unpack(tar: TarReader, head: Head, folder: Path, path: Path) -> None:
    total = sum(file.size for file in head.files.values())
    if total > shutil.disk_usage(folder).free:
        raise DiskFull(f"{path} needs {total / 2**20:.0f} MiB to be unpacked below {folder.parent}: free some")
    for name, file in head.files.items():
        header = tar.header()
        if header is None or (header.name, header.size, header.type) != (name, file.size, tarfile.REGTYPE):
            instead = f"{header.name[:100]!a}, which is not what it lists" if header else "its end"
            raise BadBundle(f"{path} is damaged, or forged: where {name} should come, there is {instead}")
        if tar.copy(file.size, folder / name) != file.sha256:
            raise BadBundle(f"{path} is damaged: {name} has another SHA-256 than it lists: get it again")
    header = tar.header()
    if header:
        raise BadBundle(f"{path} is damaged, or forged: it has {header.name[:100]!a}, which it does not list")
    (folder / FILES).mkdir(exist_ok=True)
