"""The audit report in a real browser: everybody can use it, it asks nobody, and it prints whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from exchange.audit.report.html import render_html
from exchange.audit.verdict import Verdict
from tests.unit.exchange.test_report_html import HOSTILE, poisoned, troubled
from tests.verdicts import good

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

# A browser of root's has no sandbox of its own; the pages are ours, and it may connect to nothing.
SWITCHES = (
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    *(("--no-sandbox",) if os.geteuid() == 0 else ()),
)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield started
        started.close()


def opened(browser: Browser, folder: Path, verdict: Verdict, language: str = "en", **context: object) -> Page:
    """Return a tab that shows the report on a verdict."""
    file = folder / "report.html"
    file.write_bytes(render_html(verdict, language))
    page = browser.new_context(**context).new_page()  # type: ignore[arg-type]
    page.goto(file.as_uri())
    return page


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")


@pytest.mark.parametrize(("language", "scheme"), [("fr", "light"), ("es", "dark")])
def test_nobody_is_shut_out(browser: Browser, tmp_path: Path, language: str, scheme: str) -> None:
    """axe finds nothing against WCAG 2.2 AA, light or dark, with everything unfolded."""
    page = opened(browser, tmp_path, troubled(2), language, color_scheme=scheme)
    unfold(page)
    found = Axe().run(page, options=RULES)
    assert found.violations_count == 0, found.generate_report()


def test_a_phone_shows_the_page_without_scrolling_sideways(browser: Browser, tmp_path: Path) -> None:
    """Everything reflows at 320 pixels; only wide tables scroll, each by itself (WCAG 1.4.10)."""
    for width in (320, 360, 768):
        page = opened(browser, tmp_path, troubled(2), "pt", viewport={"width": width, "height": 800})
        unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert Axe().run(page, options=RULES).violations_count == 0


def test_the_browser_asks_nobody_and_complains_of_nothing(browser: Browser, tmp_path: Path) -> None:
    """The one request is for the file itself, and its own policy blocks nothing that it needs."""
    page = browser.new_context().new_page()
    requests: list[Request] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request))
    page.on("console", lambda message: complaints.append(message.text))
    file = tmp_path / "report.html"
    file.write_bytes(render_html(good(), "en"))
    page.goto(file.as_uri())
    assert [request.url for request in requests] == [file.as_uri()]
    assert complaints == []
    assert page.evaluate("getComputedStyle(document.querySelector('.verdict')).borderRadius") == "14px"


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_a_bundle_runs(browser: Browser, tmp_path: Path, text: str) -> None:
    """Names that are scripts stay names: no dialog, no request, no element of theirs."""
    page = browser.new_context().new_page()
    happened: list[str] = []
    page.on("dialog", lambda dialog: happened.append(dialog.message))
    file = tmp_path / "report.html"
    file.write_bytes(render_html(poisoned(text), "en"))
    page.on("request", lambda request: happened.append(request.url))
    page.goto(file.as_uri())
    unfold(page)
    assert happened == [file.as_uri()]
    assert page.locator("script, img, iframe, [autofocus]").count() == 0


def test_the_keyboard_reaches_the_report_at_once(browser: Browser, tmp_path: Path) -> None:
    """The first stop is a visible way past the contents, and every stop shows where it is."""
    page = opened(browser, tmp_path, good(5))
    page.keyboard.press("Tab")
    first = page.evaluate(
        "({text: document.activeElement.textContent, x: document.activeElement.getBoundingClientRect().x})"
    )
    assert first["text"] == "Skip to the report"
    assert first["x"] >= 0
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_a_figure_leads_to_its_leaf(browser: Browser, tmp_path: Path) -> None:
    """From the number of silent deliveries, two steps lead to the row of a leaf and its file."""
    page = opened(browser, tmp_path, good(5))
    page.locator(".figures a").nth(2).click()
    row = page.locator("tr:target")
    expect(row).to_contain_text("Silent")
    row.locator("a").first.click()
    expect(row).to_contain_text("ack/statements/000")


def test_paper_shows_what_the_screen_folds_away(browser: Browser, tmp_path: Path) -> None:
    """A printed report has all its evidence, dark ink on white, and no contents to click."""
    page = opened(browser, tmp_path, good(5), color_scheme="dark")
    page.emulate_media(media="print")
    page.wait_for_function(
        "[...document.querySelectorAll('details .inside, details table')].every(one => one.checkVisibility("
        "{contentVisibilityAuto: true, visibilityProperty: true}) && one.getBoundingClientRect().height > 0)"
    )
    assert page.locator("nav").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
