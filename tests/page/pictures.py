"""The pictures of README: `nox -s page -- --pictures` takes them of reports/index.html, in both themes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.page.conftest import NAMES

ROOT = Path(__file__).resolve().parents[2]
SIZE = {"width": 1280, "height": 860}


def main():
    page = ROOT / "reports" / "index.html"
    if not page.exists():
        raise SystemExit(f"{page} is not there: run nox -s report first")
    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        for scheme in ("light", "dark"):
            tab = browser.new_page(viewport=SIZE, color_scheme=scheme)
            tab.goto(page.as_uri())
            tab.wait_for_selector("[data-ready]", state="attached")
            tab.screenshot(path=folder / f"report-{scheme}.png")
            print(f"docs/images/report-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()
