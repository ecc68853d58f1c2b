"""Debian's chromium, driven by playwright."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="make browser installs it")
    with playwright.sync_playwright() as started:
        its = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield its
        its.close()


@pytest.fixture
def watched(browser):
    """Opens pages, each with what its console said of errors, and what it asked for."""
    contexts = []

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        page, wrong, asked = contexts[-1].new_page(), [], []
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        return page, wrong, asked

    yield open_page
    for context in contexts:
        context.close()
