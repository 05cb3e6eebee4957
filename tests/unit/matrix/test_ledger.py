"""The ledger: strict both ways."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from matrix.environments import load_environments
from matrix.errors import BadConfiguration
from matrix.ledger import WRITE, Entry, Where, judge, load_ledger
from matrix.pairs import load_kinds
from matrix.results import Outcome, Record

CHECKOUT = Path(__file__).resolve().parents[3]
ENVIRONMENTS = load_environments(CHECKOUT / "environments.toml")
ENTRY = Entry(
    id="paths",
    where=(Where(kinds=("object-checkpoint",), producers="<2.16", consumers=">=2.16"),),
    how="silently wrong",
    reason="0 of 6",
    cause="Keras 3 names its variables by another path.",
    link="https://example.org",
    instead="Use Carryover.",
)


def record(
    outcome=Outcome.FAILED, reason="silently wrong: 0 of 6 variables restored", consumer="cpu-tf2.16", **details
):
    about = {"kind": "object-checkpoint", "way": "native", "producer": "cpu-tf2.15", "how": "silently wrong", **details}
    return Record("r", "c", consumer, "cpu", outcome, reason, 0.1, "", "", "", "", "", {}, {}, "", "", about)


def outcome(one, *entries):
    judged = judge(one, entries or (ENTRY,), ENVIRONMENTS)
    return judged.outcome, judged.entry


def test_a_failure_in_the_ledgers_way_is_known():
    assert outcome(record()) == (Outcome.KNOWN, "paths")


@pytest.mark.parametrize(
    "changed",
    [
        {"reason": "silently wrong: 5 of 6 variables restored"},
        {"how": "raises"},
        {"kind": "keras-h5"},
        {"way": "carryover"},
        {"producer": "cpu-tf2.16"},
        {"consumer": "cpu-tf2.15"},
        {"consumer": "cpu-tf2.16-legacy"},
    ],
)
def test_any_other_failure_stays_one(changed):
    assert outcome(record(**changed)) == (Outcome.FAILED, "")


def test_a_pass_that_is_listed_is_fixed_and_stops_the_run():
    assert outcome(record(Outcome.PASSED, "")) == (Outcome.FIXED, "paths")
    assert Outcome.FIXED.bad and not Outcome.KNOWN.bad
    assert outcome(record(Outcome.PASSED, "", way="carryover")) == (Outcome.PASSED, "")


def test_a_file_that_cannot_be_written_is_known_by_its_own_entry():
    where = Where(kinds=("object-checkpoint",), ways=("write",), consumers="==2.16.*")
    entry = msgspec.structs.replace(ENTRY, where=(where,), how="raises", reason="tracing")
    about = {"kind": "object-checkpoint"}
    writing = msgspec.structs.replace(record(reason="ValueError: tracing"), details=about)
    assert outcome(writing, entry) == (Outcome.KNOWN, "paths")
    assert outcome(writing) == (Outcome.FAILED, "")


def test_what_keras_2_reads_in_a_release_of_keras_3_is_not_fixed():
    assert outcome(record(Outcome.PASSED, "", consumer="cpu-tf2.16-legacy")) == (Outcome.PASSED, "")


def test_the_page_of_causes_says_what_the_ledger_says():
    page = (CHECKOUT / "docs/compatibility.md").read_text()
    for entry in load_ledger(CHECKOUT / "matrix/ledger.toml"):
        assert entry.cause in page and entry.instead in page, entry.id


def test_a_crash_is_known_only_as_a_crash():
    crashed = record(Outcome.CRASHED, "SIGSEGV ended the interpreter")
    assert outcome(crashed) == (Outcome.CRASHED, "")
    entry = msgspec.structs.replace(ENTRY, how="crashed", reason="SIGSEGV")
    assert outcome(crashed, entry) == (Outcome.KNOWN, "paths")
    assert outcome(record(Outcome.TIMED_OUT, "not done"), entry) == (Outcome.TIMED_OUT, "")


def test_the_committed_ledger_is_about_kinds_that_there_are():
    known = {kind.id: kind for kind in load_kinds(CHECKOUT / "tests/pairs/kinds.toml")}
    for entry in load_ledger(CHECKOUT / "matrix/ledger.toml"):
        for where in entry.where:
            assert set(where.kinds) <= set(known), entry.id
            assert all(set(where.ways) <= {*known[kind].ways, WRITE} for kind in where.kinds), entry.id
        assert entry.how in ("raises", "silently wrong", "crashed")
        assert entry.cause.endswith(".") and entry.link.startswith("https://") and entry.instead, entry.id


@pytest.mark.parametrize(
    "line, named", [('reason = "("', "reason"), ('producers = "about 2.3"', "about 2.3"), ('colour = "red"', "colour")]
)
def test_a_bad_entry_is_named(tmp_path, line, named):
    where = line if "producers" in line else 'producers = ""'
    text = '[[entries]]\nid = "x"\nhow = "raises"\ncause = "c"\nlink = "l"\ninstead = "i"\n'
    text += ('reason = "r"\n' if "reason" not in line else "") + (line + "\n" if where != line else "")
    text += f'[[entries.where]]\nkinds = ["a"]\n{where}\n'
    (tmp_path / "ledger.toml").write_text(text)
    with pytest.raises(BadConfiguration, match=r"ledger\.toml.*" + ("x" if named == "reason" else named)):
        load_ledger(tmp_path / "ledger.toml")
