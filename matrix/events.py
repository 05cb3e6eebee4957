"""The events that tests/recorder.py writes inside an environment, as the host reads them."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from matrix.plain import NotPlain, opened
from matrix.results import Outcome

_PIECE = 1 << 26  # bytes at once: a cell may make the file as long as it likes


class Event(msgspec.Struct, frozen=True):
    """One line. Which fields mean something depends on `event`."""

    event: str
    cell: str = ""
    cells: list[str] = []
    paths: list[str] = []
    inputs: dict[str, list[str]] = {}
    where: str = ""
    reason: str = ""
    outcome: Outcome = Outcome.FAILED
    seconds: float = 0.0
    details: dict[str, bool | int | float | str] = {}
    versions: dict[str, str] = {}


class NotEvents(Exception):
    """What stands there was not written by the recorder."""


def read(path: Path, place: int) -> tuple[list[Event], int]:
    """The events in the whole lines of `path` from byte `place`, and the place after them.

    Raises NotEvents where a cell has put something else there.
    """
    try:
        with opened(path) as (descriptor, is_folder):
            if is_folder:
                raise NotPlain("is a folder")
            if os.fstat(descriptor).st_size < place:
                raise NotPlain("has become shorter")
            text = os.pread(descriptor, _PIECE, place)
    except FileNotFoundError:
        return [], place
    except NotPlain as error:
        raise NotEvents(f"{path.name}, where its results go, {error}: a cell has done that") from None
    whole = text[: text.rfind(b"\n") + 1]
    if not whole and len(text) == _PIECE:
        raise NotEvents(f"{path.name}, where its results go, has a line without an end: a cell has written that")
    try:
        return [msgspec.json.decode(line, type=Event) for line in whole.splitlines()], place + len(whole)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotEvents(f"{path.name} has a line that is no event ({error}): a cell has written that") from None
