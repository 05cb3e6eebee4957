"""A real Chromium, and pages of reports opened in it from a file, as a user opens them."""

from __future__ import annotations

import os
import shutil

import pytest

from matrix.report.page import page as html

NAMES = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = os.environ.get("CARRYOVER_TEST_CHROMIUM") == "required"  # where a skip would hide that nothing was tested


def _missing(why):
    if REQUIRED:
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def chromium():
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        _missing("no Chromium here: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed: run through nox -s page")
    with sync_playwright() as playwright:
        root = os.geteuid() == 0  # Chromium's own sandbox does not start as root
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()


@pytest.fixture
def show(chromium, tmp_path):
    """Opens a report: show(report, hash="#cell=…", viewport=…, color_scheme=…) gives the page, once it has drawn.

    No page may ask for anything but its own file, and none may raise or log an error.
    """
    contexts, troubles = [], []

    def opened(report, hash="", file="index.html", **options):
        path = tmp_path / file
        path.write_text(html(report))
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(20_000)
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("console", lambda message: message.type == "error" and troubles.append(message.text))
        tab.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        tab.on("request", lambda request: request.url.startswith(("file:", "data:")) or troubles.append(request.url))
        tab.goto(path.as_uri() + hash)
        tab.wait_for_selector("[data-ready]", state="attached")
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []
