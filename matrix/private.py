"""A folder for what nobody else may read, passwords for a build: this user's alone, and below no checkout.

A container of cells sees the whole checkout, so that what a build which was killed outright has left must not be there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matrix.tools import exclusive, undisturbed, user_cache

_PREFIX = "carryover-build-"


def _top() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(runtime if runtime and os.access(runtime, os.W_OK) else tempfile.gettempdir())


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder that its owner alone can read, until the end of the block; those of the dead go with it."""
    folder = descriptor = None
    try:
        with undisturbed(), exclusive(user_cache() / "private.lock"):
            _sweep()
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_top()))
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # as long as this process lives
        yield folder
    finally:
        with undisturbed():
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
            if descriptor is not None:
                os.close(descriptor)


def sweep(state: Path) -> None:
    """Remove what builds that were killed have left, also where earlier versions left it: below `state`."""
    with exclusive(user_cache() / "private.lock"):
        _sweep()
    for left in state.glob("build-*"):
        shutil.rmtree(left, ignore_errors=True)
    with exclusive(state / "bases.lock", wait=False) as free:
        for left in state.glob("base-*") if free else ():
            shutil.rmtree(left, ignore_errors=True)


def _sweep() -> None:
    for left in _top().glob(f"{_PREFIX}*"):
        try:
            descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # another user's, or gone
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            pass  # its build is under way
        finally:
            os.close(descriptor)
