"""The report in each format: whole, within its limits, and safe whatever a record says."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from matrix.ledger import Judged
from matrix.report.changes import changes
from matrix.report.junit import junit
from matrix.report.markdown import LIMIT, markdown
from matrix.report.page import page
from matrix.report.states import STATES
from matrix.report.table import print_report
from matrix.results import Outcome
from tests.page import sample

HOSTILE = "</script><script>alert(1)</script> <img src=x onerror=alert(2)> | `x` **b** ]]> & \x00\x1b[31m {{SCRIPT}}"
BROKEN = HOSTILE + "\ud800"  # half a character
CASE = {"name", "classname", "time"}
SUITE = {"name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"}


@pytest.fixture(scope="module")
def large():
    return sample.large()


def failing(reason):
    """A report in which every cell that reads has failed with `reason`."""

    def change(judged):
        for one in judged:
            record = msgspec.structs.replace(one.record, outcome=Outcome.FAILED, reason=reason, details={})
            yield Judged(record, Outcome.FAILED)

    return lambda judged: list(change(judged))


def test_markdown_of_20000_failures_stays_below_the_limit_and_says_what_is_left_out():
    made = sample.report(sample.RELEASES, sample.KINDS, change=failing("ValueError: " + "long | reason " * 60))
    made = msgspec.structs.replace(made, against="yesterday", changes=changes([], made.cells))
    text = markdown(made)
    assert 800_000 < len(text.encode()) <= LIMIT < 2**20
    assert re.search(r"\*\*[\d,]+ more changes are left out here", text)
    (left,) = re.findall(r"\*\*([\d,]+) more bad cells are left out here: reports/report.json has them all", text)
    shown = text.count("| ✗ failed |")
    assert shown + int(left.replace(",", "")) == len(made.bad())


def test_markdown_has_what_is_bad_before_the_tables_and_the_command_to_run(large):
    text = markdown(large)
    assert len(text.encode()) <= LIMIT
    assert text.index("## What is bad") < text.index("## Formats and ways") < text.index("<details>")
    assert "nox -s repro -- '" in text


@pytest.mark.parametrize("reason", [HOSTILE, "a\nb"], ids=["hostile", "two lines"])
def test_markdown_takes_nothing_of_a_reason_for_its_own(reason):
    made = sample.report(sample.RELEASES[-2:], sample.KINDS[:1], change=failing(reason))
    text = markdown(made)
    assert "<script" not in text and "<img" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ✗ failed")]
    assert len(rows) == len(made.bad())
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}


def test_junit_counts_what_it_has_and_calls_nothing_passed_that_is_not(large):
    root = ET.fromstring(junit(large))
    cases = root.findall("testsuite/testcase")
    assert len(cases) == len(large.cells)
    assert sum(not len(case) for case in cases) == large.counts()["passed"]
    assert len(root.findall(".//failure")) + len(root.findall(".//error")) == len(large.bad())
    for suite in root:
        counted = {"tests": "testcase", "failures": "*/failure", "errors": "*/error", "skipped": "*/skipped"}
        for attribute, path in counted.items():
            assert int(suite.get(attribute)) == len(suite.findall(path)), attribute


def test_junit_keeps_to_what_ants_and_jenkins_schemas_allow(large):
    root = ET.fromstring(junit(large))
    assert root.tag == "testsuites" and not root.attrib
    for index, suite in enumerate(root):
        assert suite.tag == "testsuite" and set(suite.attrib) == SUITE and suite.get("id") == str(index)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
        tags = [child.tag for child in suite]
        cases = len(suite.findall("testcase"))
        assert tags == ["properties", *["testcase"] * cases, "system-out", "system-err"]
        for case in suite.findall("testcase"):
            assert set(case.attrib) == CASE and re.fullmatch(r"\d+\.\d{3}", case.get("time"))
            assert len(case) <= 1
            for child in case:
                assert set(child.attrib) == ({"message"} if child.tag == "skipped" else {"message", "type"})


def test_junit_is_xml_whatever_a_reason_holds():
    made = sample.report(sample.RELEASES[-2:], sample.KINDS[:1], change=failing(BROKEN))
    messages = {case.get("message") for case in ET.fromstring(junit(made)).iter("failure")}
    assert len(messages) == 1 and "<script>alert(1)</script>" in messages.pop()


def island(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def test_the_page_holds_every_cell_once_as_data(large):
    html = page(large)
    data = island(html)
    columns = data["columns"]

    def value(name, index):
        return columns[name]["values"][columns[name]["at"][index] if "at" in columns[name] else 0]

    assert data["count"] == len(large.cells) >= 20_000
    for index, cell in list(enumerate(large.cells))[::97]:
        for name in ("environment", "cell", "producer", "way", "reason", "entry", "log"):
            assert value(name, index) == getattr(cell, name)
        assert value("state", index) == cell.state.id
        assert dict(value("figures", index)) == cell.figures
    assert len(html.encode()) < 3_000_000


def test_the_page_holds_no_markup_of_a_reason():
    reason = HOSTILE
    html = page(sample.report(sample.RELEASES[-2:], sample.KINDS[:1], change=failing(reason)))
    assert html.count("<script") == 2 and html.count("</script>") == 2 and "<img" not in html
    assert reason in island(html)["columns"]["reason"]["values"]


def test_the_page_may_fetch_nothing_and_asks_for_nothing():
    html = page(sample.report())
    assert "default-src 'none'" in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)|@import|url\((?!data:)|fetch\(|XMLHttpRequest', html)


def test_every_state_has_its_colours_in_both_themes():
    html = page(sample.report())
    for state in STATES:
        rule = re.search(rf"\.s-{state.id} {{(.*?)}}", html, re.S)[1]
        assert rule.count("light-dark(") == 2, state.id


def printed(report):
    out = Console(width=160, record=True, file=open("/dev/null", "w"))
    print_report(report, out)
    return out.export_text()


def test_the_terminal_counts_names_what_is_bad_and_how_to_run_it_again():
    made = sample.report(sample.RELEASES, sample.KINDS)
    text = printed(made)
    for cell in made.bad()[:20]:
        assert cell.name in text and cell.command in text
    assert f"and {len(made.bad()) - 20:,} more" in text
    assert f"{len(made.bad()):,} of {len(made.cells):,} cells are bad" in text


def test_the_terminal_takes_no_markup_from_a_reason():
    made = sample.report(sample.RELEASES[-2:], sample.KINDS[:1], change=failing("[bold]x[/nothing]"))
    assert "[bold]x[/nothing]" in printed(made)
