"""What a report says of a plan and its records: nothing that was planned can vanish, and what is bad comes first."""

from __future__ import annotations

import msgspec
import pytest

from matrix.ledger import Judged
from matrix.report.changes import changes
from matrix.report.model import make_report
from matrix.report.states import RANK, STATES, state_of
from matrix.results import TRIES, Outcome
from tests.page import sample

MADE = "2026-11-22T15:00:00+00:00"


def one_cell(outcome, reason="", entry=None, **details):
    planned = sample.plan(("2.4", "2.15"), sample.KINDS[:1]).cells[-1]
    plan = msgspec.structs.replace(sample.plan(), cells=[planned])
    record = sample.record(planned.environment, planned.cell, outcome, reason, **details)
    return make_report(plan, [Judged(record, outcome, entry.id if entry else "")], [], MADE, sample.CAUSES)


def test_a_planned_cell_without_a_record_is_bad_and_named():
    made = sample.report(change=lambda judged: judged[:-1])
    planned = sample.plan().cells[-1]
    (lost,) = [cell for cell in made.bad() if cell.outcome == "no record"]
    assert (lost.environment, lost.cell) == (planned.environment, planned.cell)
    assert len(made.cells) == len(sample.report().cells)


def test_records_that_are_not_planned_are_left_out_and_counted():
    plan = sample.plan()
    judged = [Judged(sample.record(one.environment, one.cell), Outcome.PASSED) for one in plan.cells]
    smaller = msgspec.structs.replace(plan, cells=plan.cells[:-2])
    made = make_report(smaller, judged, [], MADE)
    assert len(made.cells) == len(plan.cells) - 2
    assert "2 records" in made.notes[0]


def test_the_last_record_of_a_cell_counts():
    cell = "tests/environment/test_training.py::test_learns"
    records = [sample.record("cpu-tf2.4", cell, outcome) for outcome in (Outcome.FAILED, Outcome.PASSED)]
    made = make_report(None, [], [Judged(record, record.outcome) for record in records], MADE)
    assert [cell.outcome for cell in made.cells] == ["passed"]


@pytest.mark.parametrize(
    ("how", "shown"), [("silently wrong", "silent"), ("raises", "failed"), ("", "failed")], ids=["wrong", "raises", "-"]
)
def test_silently_wrong_is_told_apart_from_raises(how, shown):
    made = one_cell(Outcome.FAILED, "why", how=how)
    assert made.counts() == {shown: 1}


def test_what_is_known_says_whether_it_was_silently_wrong_and_is_not_bad():
    made = one_cell(Outcome.KNOWN, "why", sample.CAUSES[0], how="silently wrong")
    assert made.counts() == {"known-silent": 1}
    assert made.bad() == []
    assert [cause.cause for cause in made.causes] == [sample.CAUSES[0].cause]


def test_no_two_states_share_a_sign_and_every_outcome_has_one():
    assert len({state.sign for state in STATES}) == len(STATES)
    assert {state_of(outcome.value).bad for outcome in Outcome if outcome.bad} == {True}
    assert not any(state_of(outcome.value).bad for outcome in Outcome if not outcome.bad)


def test_bad_cells_come_worst_first():
    ranks = [RANK[cell.state.id] for cell in sample.report(sample.RELEASES).bad()]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 2


def test_the_command_of_a_cell_is_one_word_for_the_shell():
    planned = sample.plan(("2.4", "2.15"), sample.KINDS[:1]).cells[-1]
    made = one_cell(Outcome.FAILED)
    assert made.cells[0].command == f"nox -s repro -- 'cpu-tf2.15/load_any::loads[{planned.kind}-cpu-tf2.15-carryover]'"


def remade(cell, outcome, reason=""):
    return msgspec.structs.replace(cell, outcome=outcome, reason=reason, how="")


def test_new_failures_come_first_among_the_changes():
    before = [remade(cell, "passed") for cell in sample.report(kinds=sample.KINDS[:1]).cells]
    before[3] = remade(before[3], "failed", "ValueError: one")
    before[4] = remade(before[4], "failed", "ValueError: one")
    after = list(before)
    after[3] = remade(before[3], "passed")
    after[4] = remade(before[4], "failed", "ValueError: two")
    after[7] = remade(before[7], "crashed")
    after[8] = remade(before[8], "no record")
    after[9] = remade(before[9], "known", "as listed")
    found = changes(before, after[:-1])
    assert [(change.what, change.name) for change in found] == [
        ("new failure", after[7].name),
        ("new failure", after[8].name),
        ("fails otherwise", after[4].name),
        ("mended", after[3].name),
        ("other outcome", after[9].name),
        ("gone", before[-1].name),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [("<Layer at 0x7f01>", "<Layer at 0x7f99>"), ("running on fad670e28ecd", "running on 0123456789ab")],
    ids=["address", "container"],
)
def test_what_differs_in_every_run_is_no_change(before, after):
    (cell,) = one_cell(Outcome.FAILED, before).cells
    assert changes([cell], [remade(cell, "failed", after)]) == []


@pytest.mark.parametrize(
    ("place", "words"),
    [(0, ""), (-1, " consumer=cpu-tf2.15 way=carryover")],
    ids=["writes", "reads"],
)
def test_the_command_of_a_cell_without_a_record_runs_that_cell_and_no_other(place, words):
    plan = sample.plan(("2.4", "2.15"), sample.KINDS[:1])
    planned = plan.cells[place]
    (cell,) = make_report(msgspec.structs.replace(plan, cells=[planned]), [], [], MADE).cells
    producer = planned.producer or planned.environment
    assert cell.command == f"nox -s matrix -- --only producer={producer} kind={planned.kind}{words}"


def test_figures_are_what_was_measured_and_not_what_the_cell_is_about():
    (cell,) = one_cell(Outcome.PASSED, kind="a", way="c", how="d", text="e", ulps=7).cells
    assert cell.figures == {"ulps": 7}


def test_a_note_names_what_passed_at_a_second_try_and_nothing_else():
    assert one_cell(Outcome.PASSED).notes == []
    made = sample.report(change=lambda judged: [*map(tried, judged[:25]), *judged[25:]])
    (note,) = made.notes
    names = [cell.name for cell in made.cells[:20]]
    assert note == f"passed only when their job was run again: {', '.join(names)} and 5 more"


def tried(judged):
    record = judged.record
    return msgspec.structs.replace(judged, record=msgspec.structs.replace(record, details={**record.details, TRIES: 2}))
