"""The heatmaps in a real Chromium: by keyboard, by pointer, by address, and what an opened cell shows."""

from __future__ import annotations

import re

import pytest

from tests.page import sample

NATIVE = "#heats .heat:first-child"


def focused(tab):
    """(row, column) of the cell that has the focus."""
    return tab.evaluate("[document.activeElement.dataset.row, document.activeElement.dataset.column].map(Number)")


def first_of(report, state):
    return next(cell for cell in report.cells if cell.state.id == state)


def test_a_grid_is_one_tab_stop_and_the_arrows_move_in_it(show):
    tab = show(sample.report())
    assert tab.locator(f"{NATIVE} td[tabindex='0']").count() == 1
    tab.locator(f"{NATIVE} td[tabindex='0']").focus()
    assert focused(tab) == [0, 0]
    for key, place in (
        ("ArrowRight", [0, 1]),
        ("ArrowDown", [1, 1]),
        ("End", [1, 4]),
        ("ArrowRight", [1, 4]),
        ("Control+Home", [0, 0]),
        ("Control+End", [3, 4]),
        ("ArrowUp", [2, 4]),
        ("Home", [2, 0]),
    ):
        tab.keyboard.press(key)
        assert focused(tab) == place, key
    assert tab.locator(f"{NATIVE} td[tabindex='0']").count() == 1
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.closest('.heat') !== document.querySelector('.heat')")


def test_every_control_is_reached_by_tab_and_seen_to_have_the_focus(show):
    tab = show(sample.report())
    seen = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        found = tab.evaluate(
            "(e => [e.id || e.className || e.tagName, getComputedStyle(e).outlineStyle])(document.activeElement)"
        )
        assert found[1] != "none" or found[0] == "BODY", found  # past the last one, back at the page
        seen.add(found[0])
    assert {"theme", "chip", "f-kind", "f-producer", "f-entry", "card", "f-all"} <= seen


def test_enter_opens_a_cell_and_escape_goes_back_to_it(show):
    tab = show(sample.report())
    tab.locator(f"{NATIVE} td[tabindex='0']").focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#panel[open]")
    assert tab.evaluate("document.activeElement.closest('#panel') !== null")
    assert "#cell=" in tab.url or "&cell=" in tab.url
    for _ in range(12):
        tab.keyboard.press("Tab")  # the focus stays in the panel, or on the browser's own controls
        assert tab.evaluate("!document.activeElement.closest('main')")
    tab.keyboard.press("Escape")
    tab.wait_for_url(lambda url: "cell=" not in url)  # the panel tells of its closing a moment later
    tab.wait_for_selector("#panel:not([open])", state="attached")
    assert focused(tab) == [0, 1]


def test_a_cell_says_to_a_screen_reader_what_it_is(show):
    tab = show(sample.report())
    grid = tab.get_by_role("grid", name=re.compile("native: written by the row, read by the column"))
    assert grid.get_by_role("columnheader", name="2.21").count() == 1
    assert grid.get_by_role("gridcell", name=re.compile(r"written by 2\.18, read by 2\.21, native, .*: passed")).count()


def test_an_opened_cell_shows_all_that_is_known_of_it(show):
    made = sample.report(sample.RELEASES, sample.KINDS)
    cell = first_of(made, "known")
    tab = show(made, hash=f"#cell={cell.name}")
    text = tab.locator("#panel").inner_text()
    context = made.contexts[cell.context]
    cause = sample.CAUSES[0]
    for shown in (cell.reason, cell.log, cell.artifact, cell.sha256, cell.cell, cell.started, context.image_id):
        assert shown in text
    for shown in (cause.cause, cause.instead, cause.id, context.versions["numpy"], context.host["system"]):
        assert shown in text
    assert tab.locator("#panel a[href='https://example.org/issues/1']").count() == 1
    assert tab.locator("#command").inner_text() == cell.command
    passed = next(cell for cell in made.cells if cell.figures)
    tab.evaluate("name => { location.hash = 'cell=' + name; }", passed.name)
    tab.locator("#command", has_text=passed.name).wait_for()
    terms = dict(zip(tab.locator("#panel dt").all_inner_texts(), tab.locator("#panel dd").all_inner_texts()))
    assert {name: terms[name] for name in passed.figures} == {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in passed.figures.items()
    }


def test_a_link_of_the_ledger_that_is_none_is_text(show):
    made = sample.report(sample.RELEASES, sample.KINDS)
    tab = show(made, hash=f"#cell={first_of(made, 'known-silent').name}")
    assert "javascript:alert(1)" in tab.locator("#panel").inner_text()
    assert tab.locator("a[href^='javascript']").count() == 0


def test_the_command_is_copied(show):
    made = sample.report()
    cell = first_of(made, "passed")
    tab = show(made, hash=f"#cell={cell.name}", permissions=["clipboard-read", "clipboard-write"])
    tab.locator("#copy").click()
    tab.get_by_role("button", name="Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == cell.command


def test_an_address_leads_to_a_cell_and_back_closes_it(show):
    made = sample.report()
    cell = next(cell for cell in made.cells if cell.kind == sample.KINDS[2][0] and cell.role == "consume")
    tab = show(made)
    tab.evaluate("name => { location.hash = 'cell=' + name; }", cell.name)
    tab.wait_for_selector("#panel[open]")
    assert tab.locator("#heat-title").inner_text() == sample.KINDS[2][1]
    tab.go_back()
    tab.wait_for_selector("#panel:not([open])", state="attached")


def test_an_address_of_a_cell_that_is_not_there_is_told(show):
    tab = show(sample.report(), hash="#cell=cpu-tf9.9/load_any::loads[nothing]")
    assert tab.get_by_role("alert").inner_text() == "This report has no cell cpu-tf9.9/load_any::loads[nothing]."


def test_pointing_at_a_cell_tells_what_it_found(show):
    made = sample.report(sample.RELEASES, sample.KINDS[:1])
    tab = show(made)
    cell = first_of(made, "known-silent")
    box = tab.locator("#heats td.s-known-silent").first
    box.hover()
    assert cell.reason in tab.locator("#hint").inner_text()
    assert tab.locator(".grid th.on").count() == 2


@pytest.mark.parametrize("way", [0, 1], ids=sample.WAYS)
def test_the_grid_shows_each_cell_in_its_place(show, way):
    made = sample.report()
    tab = show(made, hash=f"#kind={sample.KINDS[1][0]}")
    rows = tab.evaluate(
        "way => [...document.querySelectorAll('.heat')[way].querySelectorAll('tbody tr')]"
        ".map(row => [...row.querySelectorAll('td[data-column]')].map(box => box.textContent))",
        way,
    )
    expected = {
        (cell.producer, cell.environment, cell.way): cell.state.sign
        for cell in made.cells
        if cell.kind == sample.KINDS[1][0]
    }
    for row, producer in zip(rows, made.producers):
        assert row[1:] == [expected[producer, consumer, sample.WAYS[way]] for consumer in made.consumers]


def test_two_cells_in_one_place_are_both_there(show):
    made = sample.report(kinds=sample.KINDS[:1])
    twice = sample.again_in_the_same_place(made)
    tab = show(twice)
    assert tab.locator("#heats [aria-label*='the worst of 2 cells']").count() == 1


def test_a_way_in_which_nobody_reads_a_format_is_said_to_be_not_planned(show):
    kind = sample.KINDS[0][0]
    tab = show(sample.one_way(sample.report(), kind), hash=f"#kind={kind}")
    assert tab.locator(".heat").count() == 1
    assert "not planned" in tab.locator(f".card[data-kind='{kind}']").inner_text()
