"""The login in a browser, where keys are configured."""

import pytest
from playwright.sync_api import Page, expect

from shared.db.engine import transaction
from shared.db.keys import KeyStore
from shared.db.viewer import Viewer, viewing
from shared.scopes import Scope
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
    expect(page.get_by_role("banner")).not_to_contain_text("read only")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert KEY not in cookie["value"]


def test_a_logged_in_person_can_cancel_and_download(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    building.add_curves(job_id, 2)
    page = open_page(f"/jobs/{job_id}", is_live=False)
    log_in(page, KEY)
    page.locator("html[data-ready]").wait_for()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download every point as CSV").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel it").click()

    expect(page.locator("h1 + .pill")).to_contain_text("cancelling")
    assert download.value.path().read_text().startswith("name,step")


def test_a_key_that_may_only_read_is_told_so_and_has_nothing_to_press(open_page: OpenPage) -> None:
    with transaction() as db:
        key, secret = KeyStore(db).create("reader", [Scope.READ])
    reader = Viewer(key.id, sees_all=False)
    with viewing(reader):
        job_id = building.a_running_job()
    page = open_page(f"/jobs/{job_id}", is_live=False)
    log_in(page, secret)
    page.locator("html[data-ready]").wait_for()

    expect(page.get_by_role("banner")).to_contain_text("read only")
    expect(page.get_by_role("button", name="Copy id")).to_be_visible()
    expect(page.locator("[data-verb], #cancel, dialog")).to_have_count(0)

    page.get_by_role("link", name="Jobs", exact=True).click()
    page.locator("html[data-ready]").wait_for()
    with viewing(reader):
        building.a_job("newcomer")
    refresh(page)
    expect(page.get_by_role("link", name="newcomer")).to_be_visible()
    expect(page.get_by_role("banner")).to_contain_text("read only")
    page.get_by_role("checkbox", name="Select newcomer").check()
    expect(page.get_by_text("1 selected")).to_be_visible()
    expect(page.locator("#clone, #cancel, dialog, a[href='/jobs/new']")).to_have_count(0)


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
