"""A headless Chromium on a page of made records; skipped where either is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.leaderboard.made import page, records

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

__all__ = ["browser", "page", "records", "tab"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def tab(browser: Any, page: Path) -> Iterator[Any]:
    """An open first page; a message on the console or an error fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    one = context.new_page()
    said: list[str] = []
    one.on("console", lambda message: said.append(message.text))
    one.on("pageerror", lambda error: said.append(str(error)))
    one.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
    one.goto(f"file://{page}/index.html")
    one.wait_for_selector("#filters:not([hidden])")
    yield one
    context.close()
    assert said == []
