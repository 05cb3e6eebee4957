"""How a cell is shown: its outcome, and whether it raised or was silently wrong. Worst first, each with a sign."""

from __future__ import annotations

import msgspec

from matrix.results import NO_RESULT, Outcome

SILENTLY_WRONG = "silently wrong"  # details["how"] of a cell that loaded, but not what was written
NO_RECORD = "no record"


class State(msgspec.Struct, frozen=True):
    """`id` names it in files and style sheets, `title` and `sign` are for people, `bad` fails the run."""

    id: str
    title: str
    sign: str
    bad: bool
    help: str


STATES = (
    State(
        "silent", SILENTLY_WRONG, "≠", True, "it loaded and did not raise, but restored nothing, some, or wrong numbers"
    ),
    State("failed", "failed", "✗", True, "it raised, and nothing in the ledger says so"),
    State("crashed", "crashed", "☠", True, "the interpreter died"),
    State("timed-out", "timed out", "◷", True, "it did not end in the time that a cell has"),
    State("no-record", NO_RECORD, "?", True, "it was planned, and nothing was recorded of it"),
    State("hindered", "could not run", "∅", True, "its environment could not be made, or could not run any cell"),
    State("fixed", "fixed", "!", True, "the ledger says that it fails, but it passes: the ledger must be corrected"),
    State("known-silent", "known: silently wrong", "k≠", False, "silently wrong, as the ledger says, with its cause"),
    State("known", "known", "k", False, "it raises, as the ledger says, with its cause"),
    State("unsupported", "unsupported", "–", False, "the release has no such feature"),
    State("not-run", "not run", "·", False, "it was not run, for the reason given"),
    State("passed", "passed", "✓", False, "everything that is compared agrees"),
)
BY_ID = {state.id: state for state in STATES}
RANK = {state.id: rank for rank, state in enumerate(STATES)}


def state_of(outcome: str, how: str = "") -> State:
    """The state of a cell whose outcome is `outcome` (or NO_RECORD) and whose details say `how` it failed."""
    silent = how == SILENTLY_WRONG
    if outcome == Outcome.FAILED.value:
        return BY_ID["silent" if silent else "failed"]
    if outcome == Outcome.KNOWN.value:
        return BY_ID["known-silent" if silent else "known"]
    if outcome == Outcome.NOT_RUN.value and how == NO_RESULT:
        return BY_ID["hindered"]
    return BY_ID[outcome.replace(" ", "-")]
