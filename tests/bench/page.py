"""What the report's page costs in Chromium: `nox -s "bench(page)"`.

A page of 20,000 cells beside one of 1,100, loaded in turn in one run: until it has drawn, and for a filter, another
format and an opened cell, layout included. Figures are medians and ratios; nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from matrix.report.page import page
from tests.page import sample
from tests.page.conftest import NAMES

TIMES = """() => {
  const time = (act) => {
    const begun = performance.now();
    act();
    document.body.offsetHeight;
    return performance.now() - begun;
  };
  const painted = performance.getEntriesByName("first-contentful-paint")[0];
  return {
    "first paint": painted.startTime,
    "loaded and drawn": performance.getEntriesByType("navigation")[0].loadEventEnd,
    "filter by reason": time(() => choose({ reason: "functional", all: "1" })),
    "filter by outcome": time(() => choose({ reason: "", outcome: "silent,failed" })),
    "another format": time(() => choose({ ...blank, kind: report.kinds[2].id })),
    "open a cell": time(() => openCell(500)),
  };
}"""


def once(browser, path):
    """{what: milliseconds} of one visit."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    tab = context.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_selector("[data-ready]", state="attached")
    while not tab.evaluate("performance.getEntriesByName('first-contentful-paint').length"):
        tab.wait_for_timeout(50)
    times = tab.evaluate(TIMES)
    context.close()
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    reports = {"small": sample.report(sample.RELEASES[-13:]), "large": sample.large()}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        paths = {name: Path(folder) / f"{name}.html" for name in reports}
        for name, report in reports.items():
            paths[name].write_text(page(report))
            print(f"{name}: {len(report.cells):,} cells, {paths[name].stat().st_size / 1e6:.2f} MB")
        path = next(filter(None, map(shutil.which, NAMES)))
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        seen = {name: [] for name in paths}
        for _ in range(rounds):
            for name, path in paths.items():
                seen[name].append(once(browser, path))
        browser.close()
    for what in seen["large"][0]:
        small, large = (statistics.median(times[what] for times in seen[name]) for name in ("small", "large"))
        ratio = statistics.median(b[what] / a[what] for a, b in zip(seen["small"], seen["large"]))
        print(f"{what:18} {large:7.0f} ms, {ratio:5.1f} times that of the small one ({small:.0f} ms)")


if __name__ == "__main__":
    main()
