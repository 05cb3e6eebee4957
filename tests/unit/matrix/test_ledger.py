"""The ledger: strict both ways."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from matrix.environments import load_environments
from matrix.errors import BadConfiguration
from matrix.ledger import WRITE, Entry, Where, judge, load_ledger
from matrix.oldest import oldest
from matrix.pairs import load_kinds, reading_cells, select, writing_cells
from matrix.project import Project
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


GOOD = """
[[entries]]
id = "x"
where = [{ kinds = ["a"], producers = ">=2.3" }]
how = "raises"
reason = "r"
cause = "c"
link = "l"
instead = "i"
"""


def ledger(tmp_path, text):
    (tmp_path / "ledger.toml").write_text(text)
    return load_ledger(tmp_path / "ledger.toml")


def cells_of(where):
    """The cells that a run of the whole matrix plans of `where`."""
    producers = {**oldest(Project(CHECKOUT)), **ENVIRONMENTS}
    rows = {name: row for name, row in ENVIRONMENTS.items() if row.device == "cpu" and row.tensorflow}
    kinds = load_kinds(CHECKOUT / "tests/pairs/kinds.toml")
    everything = select([], {**oldest(Project(CHECKOUT)), **rows}, rows, kinds)
    wrote = {kind.written: everything.producers for kind in kinds}
    cells = writing_cells(everything, rows, kinds) + reading_cells(everything, kinds, wrote)
    for cell in cells:
        way, producer = cell.way or WRITE, producers[cell.producer or cell.environment]
        if where.has(cell.kind, way, producer, rows[cell.environment]):
            yield cell.kind, way


def test_the_committed_ledger_is_about_cells_that_there_are():
    """A release that is mistyped makes its entry say nothing, and what it was about fails as if nobody knew."""
    for entry in load_ledger(CHECKOUT / "matrix/ledger.toml"):
        for where in entry.where:
            assert set(cells_of(where)) == {(kind, way) for kind in where.kinds for way in where.ways}, entry.id


def test_what_a_cell_is_recorded_with_is_known():
    """The page has a reason of each entry, as it was recorded."""
    page = (CHECKOUT / "docs/compatibility.md").read_text()
    for entry in load_ledger(CHECKOUT / "matrix/ledger.toml"):
        (shown,) = re.findall(
            rf"^### {re.escape(entry.id)}: .*?^- What it looks like: `+ ?(.*?) ?`+$", page, re.M | re.S
        )
        assert entry.explains(record(reason=shown, how=entry.how)) or len(shown) == 160, (entry.id, shown)


@pytest.mark.parametrize(
    "reason",
    [
        "ModuleNotFoundError: No module named 'tests.pairs.compare'",
        "KeyError: 'batch_shape'",
        "TypeError: build() got an unexpected keyword argument 'batch_shape'",
        "ValueError: Shape mismatch",
        "AssertionError: 3 objects could not be loaded",
        "RuntimeError: Unknown layer: Functional",
        "AttributeError: 'Model' object has no attribute 'add_slot'",
        "silently wrong: 0 of 12 variables restored",
        "silently wrong: outputs off by 19 ulp of the largest, bound 18",
        "silently wrong: training goes on otherwise: weights off by nan after 3 steps, bound 5e-06",
        "silently wrong: training goes on otherwise: weights off by 9.0e+30 after 3 steps, bound 5e-06",
        "silently wrong: training goes on otherwise: weights off by 6.0e-06 after 3 steps, bound 5e-06",
    ],
)
def test_a_failure_that_only_shares_words_with_a_known_one_is_not_known(reason):
    for entry in load_ledger(CHECKOUT / "matrix/ledger.toml"):
        assert not entry.explains(record(reason=reason, how=entry.how)), entry.id


def tables_of_the_page():
    """(kind, way, producer, consumer, sign) of every cell that docs/compatibility.md has, releases as it names them."""
    page = (CHECKOUT / "docs/compatibility.md").read_text()
    for kind, way, table in re.findall(r"^`(\S+)`, (\w+): written by.*\n\n```\n((?:.*\n)+?)```", page, re.M):
        lines = table.splitlines()
        rows = [line.split() for line in lines if re.match(r" *\d+\.\d+ \S( \S)*$", line) and len(line.split()) > 20]
        head = [line.ljust(200)[5:] for line in lines[: len(lines) - len(rows)]]
        consumers = ["".join(column).strip() for column in zip(*head)][::2]
        for producer, *signs in rows:
            yield from ((kind, way, producer, consumer, sign) for consumer, sign in zip(consumers, signs))


def test_the_ledger_and_the_page_know_of_the_same_cells():
    entries = load_ledger(CHECKOUT / "matrix/ledger.toml")
    rows = {
        row.release: row
        for row in [*oldest(Project(CHECKOUT)).values(), *ENVIRONMENTS.values()]
        if row.device == "cpu" and "legacy" not in row.tags
    }
    cells = list(tables_of_the_page())
    assert len(cells) > 9000
    for kind, way, producer, consumer, sign in cells:
        hows = {entry.how for entry in entries if entry.is_about(kind, way, rows[producer], rows[consumer])}
        expected = {"≠": {"silently wrong"}, "k": {"raises"}}.get(sign)
        assert bool(hows) == bool(expected), (kind, way, producer, consumer, sign)
        assert not expected or expected <= hows, (kind, way, producer, consumer, sign)


@pytest.mark.parametrize(
    "right, wrong, named",
    [
        ('reason = "r"', 'reason = "("', "'x'"),
        ('reason = "r"', 'reason = ""', "'x'.*any failure"),
        ('reason = "r"', 'reason = "^no such|.*"', "'x'.*any failure"),
        ('producers = ">=2.3"', 'producers = "about 2.3"', "'x'.*about 2.3"),
        ('kinds = ["a"]', "kinds = []", "kinds"),
        ('kinds = ["a"]', 'kinds = ["a"], ways = []', "ways"),
        ('kinds = ["a"]', 'kinds = ["a"], ways = ["natve"]', "natve"),
        ('[{ kinds = ["a"], producers = ">=2.3" }]', "[]", "where"),
        ('how = "raises"', 'how = "rises"', "rises"),
        ('id = "x"', 'id = "x"\ncolour = "red"', "colour"),
    ],
)
def test_a_bad_entry_is_named(tmp_path, right, wrong, named):
    assert len(ledger(tmp_path, GOOD)) == 1 and right in GOOD
    with pytest.raises(BadConfiguration, match=rf"ledger\.toml.*{named}"):
        ledger(tmp_path, GOOD.replace(right, wrong))


def test_two_entries_of_one_name_are_refused(tmp_path):
    with pytest.raises(BadConfiguration, match="several entries are called x"):
        ledger(tmp_path, GOOD + GOOD.replace('id = "x"', 'id = "y"') + GOOD)


@pytest.mark.parametrize("changed", [{"producer": "cpu-tf9.9"}, {"consumer": "cpu-tf9.9"}])
@pytest.mark.parametrize("found", [Outcome.FAILED, Outcome.PASSED, Outcome.CRASHED])
def test_a_record_of_an_environment_that_is_gone_stays_as_it_is(found, changed):
    assert outcome(record(found, **changed)) == (found, "")
