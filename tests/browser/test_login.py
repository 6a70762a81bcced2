"""The login in a browser, where keys are configured."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import building
from tests.browser.conftest import OpenPage, refresh

KEY = "a-key-of-this-test"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLL_API_KEYS", f"another-key,{KEY}")


def log_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Log in").click()


def test_a_page_asks_for_a_key_and_then_shows_itself(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    page = open_page(f"/jobs/{job_id}/log?a=1", is_live=False)
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()

    log_in(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("This key is unknown.")
    log_in(page, KEY)

    expect(page.get_by_role("heading", name="names-bilstm")).to_be_visible()
    assert page.url.endswith(f"/jobs/{job_id}/log?a=1")
    page.locator("html[data-ready]").wait_for()
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert KEY not in cookie["value"]


def test_a_logged_in_person_can_cancel_and_download(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    building.add_curves(job_id, 2)
    page = open_page(f"/jobs/{job_id}", is_live=False)
    log_in(page, KEY)

    with page.expect_download() as download:
        page.get_by_role("link", name="Download every point as CSV").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel it").click()

    expect(page.locator("h1 + .pill")).to_contain_text("cancelling")
    assert download.value.path().read_text().startswith("name,step")


def test_logging_out_ends_the_view(open_page: OpenPage) -> None:
    page = open_page("/", is_live=False)
    log_in(page, KEY)
    page.locator("html[data-ready]").wait_for()
    other = page.context.new_page()
    other.goto(page.url)

    other.get_by_role("button", name="Log out").click()

    expect(other.get_by_role("heading", name="Log in")).to_be_visible()
    refresh(page)
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
