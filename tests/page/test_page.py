"""The rest of the page in a real Chromium: filters, themes, a phone's width, hostile words, 20,000 cells, changes."""

from __future__ import annotations

import msgspec
import pytest

from matrix.ledger import Judged
from matrix.report.changes import changes
from matrix.report.model import Missing, Rate, Steps, make_report
from matrix.report.states import STATES
from matrix.results import Outcome
from tests.page import sample

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> &amp; '\" {{DATA}}"
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def full():
    return sample.report(sample.RELEASES, sample.KINDS)


def listed(tab):
    """How many cells the list says that it has."""
    return int(tab.locator("#cells-count").inner_text().split()[0].replace(",", ""))


def count(report, test):
    return sum(map(bool, map(test, report.cells)))


def test_filters_narrow_the_list_and_the_grid(show, full):
    tab = show(full, hash=f"#kind={sample.KINDS[4][0]}&all=1")
    assert listed(tab) == len(full.cells)
    tab.locator(".chip[data-state='silent']").click()
    assert listed(tab) == full.counts()["silent"]
    lit = tab.evaluate(
        "[...new Set([...document.querySelectorAll('#heats td[data-cell]:not(.dim)')].map(b => b.textContent))]"
    )
    assert lit in ([], ["≠"])
    tab.locator(".chip[data-state='failed']").click()
    assert listed(tab) == full.counts()["silent"] + full.counts()["failed"]
    tab.locator("#f-way").select_option("native")
    assert listed(tab) == count(full, lambda cell: cell.state.id in ("silent", "failed") and cell.way == "native")
    tab.get_by_role("button", name="Clear").click()
    assert tab.evaluate("document.querySelectorAll('.dim').length") == 0


def test_a_release_means_itself_not_all_that_begin_like_it(show, full):
    tab = show(full, hash="#all=1")
    tab.get_by_label("Written by", exact=True).fill("2.1")
    assert listed(tab) == count(full, lambda cell: cell.producer == "cpu-tf2.1")
    tab.get_by_label("Read by", exact=True).fill("2.20, 2.21")
    chosen = ("cpu-tf2.20", "cpu-tf2.21")
    assert listed(tab) == count(
        full, lambda cell: cell.producer == "cpu-tf2.1" and cell.role == "consume" and cell.environment in chosen
    )


def test_a_known_cause_is_counted_and_leads_to_its_cells(show, full):
    tab = show(full)
    cause = tab.locator(".cause").first
    expected = max(sum(cell.entry == one.id for cell in full.cells) for one in sample.CAUSES)
    assert cause.locator(".many").inner_text().split()[0].replace(",", "") == str(expected)
    cause.get_by_role("button").click()
    assert listed(tab) == expected
    assert "entry=" in tab.url


def test_a_reason_is_searched(show, full):
    tab = show(full, hash="#all=1")
    tab.get_by_label("Reason", exact=True).fill("unknown layer")
    assert listed(tab) == count(full, lambda cell: "Unknown layer" in cell.reason)


def test_the_address_keeps_the_filters(show, full):
    tab = show(full, hash="#all=1")
    tab.locator(".chip[data-state='known']").click()
    shown = listed(tab)
    tab.reload()
    tab.wait_for_selector("[data-ready]", state="attached")
    assert listed(tab) == shown
    assert tab.locator(".chip[data-state='known']").get_attribute("aria-pressed") == "true"


def ground(tab):
    """How light the page's ground is, 0 to 255."""
    text = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, text[4:-1].split(","))) / 3


def test_dark_follows_the_system_and_the_button_overrides_it_for_good(show):
    made = sample.report()
    assert ground(show(made)) > 200
    tab = show(made, color_scheme="dark")
    assert ground(tab) < 60
    tab.locator("#theme").click()  # system -> light
    assert ground(tab) > 200
    tab.reload()
    tab.wait_for_selector("[data-ready]", state="attached")
    assert ground(tab) > 200


CONTRAST = """ids => ids.map(id => {
  const probe = document.createElement('span'); probe.className = `sign s-${id}`; document.body.append(probe);
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const light = colour => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05; };
  const style = getComputedStyle(probe); const pair = [light(style.color), light(style.backgroundColor)];
  return Math.max(...pair) / Math.min(...pair); })"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_sign_can_be_read_on_its_colour(show, scheme):
    tab = show(sample.report(), color_scheme=scheme)
    ids = [state.id for state in STATES]
    ratios = dict(zip(ids, tab.evaluate(CONTRAST, ids)))
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}


def test_a_phone_scrolls_down_only_and_the_grid_in_its_own_box(show, full):
    tab = show(full, **PHONE)
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not tab.evaluate(wide)
    box = "document.querySelector('.heat .scroll')"
    assert tab.evaluate(f"{box}.scrollWidth > {box}.clientWidth")
    tab.evaluate(f"{box}.scrollLeft = 200")
    assert tab.evaluate(f"{box}.querySelector('tbody th').getBoundingClientRect().left >= 0")  # rows keep their names
    tab.locator("#heats td.s-known-silent").first.tap()
    tab.wait_for_selector("#panel[open]")
    assert not tab.evaluate(wide)
    assert not tab.evaluate("document.getElementById('panel').scrollWidth > innerWidth")


def test_hostile_words_are_shown_as_they_are(show):
    def change(judged):
        for one in judged:
            record = msgspec.structs.replace(one.record, reason=HOSTILE, log=HOSTILE, versions={HOSTILE: HOSTILE})
            yield Judged(record, Outcome.KNOWN, HOSTILE)

    causes = [sample.entry(HOSTILE, HOSTILE, HOSTILE, HOSTILE)]
    made = sample.report(("2.20", "2.21"), sample.KINDS[:1], change=lambda judged: list(change(judged)), causes=causes)
    tab = show(made, hash=f"#cell={made.cells[-5].name}")
    assert tab.locator("#panel").inner_text().count(HOSTILE) >= 5
    assert tab.locator("img").count() == 0 and tab.locator("script").count() == 2


def test_20000_cells_are_one_small_file_and_only_one_format_is_elements(show, tmp_path):
    made = sample.large()
    assert len(made.cells) >= 20_000
    tab = show(made)
    assert (tmp_path / "index.html").stat().st_size < 3_000_000
    assert tab.evaluate("document.querySelectorAll('*').length") < 5000
    tab.locator(".card").nth(9).click()
    assert tab.locator("#heat-title").inner_text() == made.kinds[9].title
    assert tab.evaluate("document.querySelectorAll('*').length") < 5000
    assert tab.locator("#heats td[data-cell]").count() == 2 * (25 * 25 + 25)


def test_what_changed_stands_first_with_new_failures_on_top(show):
    before = sample.report()
    after = sample.report(change=lambda judged: judged[:-3])
    made = msgspec.structs.replace(after, against="yesterday", changes=changes(before.cells, after.cells))
    tab = show(made)
    assert "3 × new failure" in tab.locator("#changes-sum").inner_text()
    first = tab.locator("#changes-rows a").first
    assert "no record" in first.inner_text()
    first.click()
    assert tab.locator("#command").inner_text() == made.bad()[0].command


def test_a_report_of_environments_alone_has_its_table(show):
    full = sample.report()
    records = [cell for cell in full.cells if cell.role == "check"]
    judged = [Judged(sample.record(cell.environment, cell.cell), Outcome.PASSED) for cell in records]
    tab = show(make_report(None, [], judged, full.made))
    assert tab.get_by_role("grid").count() == 1
    assert tab.locator("#environments td[data-cell]").count() == len(judged)
    assert not tab.locator("#matrix").is_visible()
    tab.locator("#environments td[data-cell]").first.click()
    assert "nox -s repro" in tab.locator("#command").inner_text()


def test_steps_per_second_stand_by_mode_and_release_and_what_is_unsupported_says_why(show):
    def rate(release, mode, median):
        return Rate(release, mode, 128, {"median": median, "min": 1, "max": 9999}, {"median": median / 800})

    steps = Steps(
        reference={"release": "1.15", "mode": "static_graph"},
        rows=[rate("1.15", "static_graph", 800.0), rate("2.21", "eager", 200.0)],
        unsupported=[Missing("2.21", "static_graph", "tf.layers is gone")],
        host={"processor": "one of some kind"},
        threads=1,
        rounds=7,
    )
    tab = show(msgspec.structs.replace(sample.report(), steps=steps))
    boxes = tab.locator("#steps tbody td")
    assert [text.split()[0] for text in boxes.all_inner_texts()] == ["800", "–", "–", "200"]
    assert boxes.nth(1).get_attribute("title") == "tf.layers is gone"
    assert "0.25" in boxes.nth(3).inner_text()
    assert "static graph of 1.15" in tab.locator("#steps-lead").inner_text()
