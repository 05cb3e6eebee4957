"""What can go wrong: the file is bad, it does not map onto the model, or what was asked for cannot be meant."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, Sequence

from .foreign_text import printable, sentence


class CheckpointError(Exception):
    """A file cannot be read or written as asked; the message names the file, the place in it, and what is wrong.

    The message is one printable line, whatever the names in it hold.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(sentence(message))


class ArgumentError(CheckpointError):
    """What was asked for cannot be meant, such as a model that cannot be built; no file is to blame."""


class MappingError(CheckpointError):
    """Checkpoint and model do not fit together.

    `problems` holds every problem that was found, one string each, so that one run shows all there is to settle, and
    `suggestions` the rules (see `checkpoints.plan`) that settle them together.
    """

    def __init__(self, problems: Sequence[str], context: str = "", suggestions: Sequence[Any] = ()) -> None:
        # A problem may have lines for rules to paste; whatever else would act on a terminal is escaped.
        self.problems: list[str] = ["\n".join(map(printable, problem.split("\n"))) for problem in problems]
        super().__init__(context)
        self.context = sentence(context)
        self.suggestions: list[Any] = list(suggestions)
        self.args = (self.problems, self.context, self.suggestions)

    def __str__(self) -> str:
        count = len(self.problems)
        head = "{} problem{}".format(count, "" if count == 1 else "s")
        if self.context:
            head = f"{self.context}: {head}"
        return "\n".join([head + ":"] + ["  - " + problem.replace("\n", "\n    ") for problem in self.problems])


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turns whatever the body raises into a CheckpointError about `place`.

    For other people's parsers (h5py, zipfile, NumPy's headers), which raise almost anything on damaged input.
    """
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{place}: {line}") from None
