"""A real Chromium on the real API; every page must end without a script error."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.serving import ServedApi
from tests.conftest import forget_settings
from tests.servers import wait_for

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
]
NO_SWEEPS_S = "3600"  # a test says itself when a job is lost
PATIENCE_MS = 60_000  # on a machine with much else to do
OpenPage = Callable[..., Page]
expect.set_options(timeout=PATIENCE_MS)


def find_browser() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"none of {', '.join(NAMES)} is on the PATH; `make browser` installs one"
    return found


def refresh(page: Page) -> None:
    """Make the page ask now, for tests that are not about its asking by itself."""
    page.evaluate("dispatchEvent(new Event('online'))")


def is_drawn_within(page: Page, limit_ms: int) -> bool:
    """Whether the page was drawn so soon, or is when loaded once more: tests share their machine."""

    def is_soon() -> bool:
        drawn_ms = page.evaluate("performance.getEntriesByName('drawn')[0].startTime")
        if drawn_ms > limit_ms:
            page.reload()
            page.locator("html[data-ready]").wait_for()
        return bool(drawn_ms <= limit_ms)

    return wait_for(is_soon, 120)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for each file: while it is there an event loop runs, which tests of other files cannot have."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def api(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedApi]:
    monkeypatch.setenv("UNROLL_SWEEP_EVERY_S", NO_SWEEPS_S)
    forget_settings()
    with ServedApi() as served:
        yield served


@pytest.fixture
def open_page(browser: Browser, api: ServedApi) -> Iterator[OpenPage]:
    """`open_page(path, **context options)`: a page of its own browser context, once it is live."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_(path: str = "/", *, is_live: bool = True, **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(api.url + path)
        if is_live:
            page.locator("html[data-ready]").wait_for()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert faults == []
