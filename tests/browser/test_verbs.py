"""Pause, resume and retry in a browser: which buttons a state has, and what pressing them does."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from shared.jobs.states import JobStatus
from tests.browser import building
from tests.browser.conftest import OpenPage, refresh
from tests.browser.serving import ServedApi

BUTTONS: dict[JobStatus, set[str]] = {
    JobStatus.QUEUED: {"Pause", "Cancel"},
    JobStatus.RUNNING: {"Pause", "Cancel"},
    JobStatus.CANCELLING: set(),
    JobStatus.PAUSING: {"Cancel"},
    JobStatus.PAUSED: {"Resume", "Cancel"},
    JobStatus.SUCCEEDED: set(),
    JobStatus.FAILED: {"Retry"},
    JobStatus.CANCELLED: {"Retry"},
}
VERBS = ("Pause", "Resume", "Retry", "Cancel")
STATE = re.compile(r"/ui/jobs/\w+\?")


def button(page: Page, verb: str):
    return page.get_by_role("button", name=re.compile(rf"^{verb}( from .+)?$"))


def usable(page: Page) -> set[str]:
    """The verbs that can be pressed."""
    return {
        verb
        for verb in VERBS
        if button(page, verb).is_visible() and button(page, verb).is_enabled()
    }


def pill(page: Page):
    return page.locator("h1 + .pill")


def test_each_state_has_the_buttons_that_fit_it(open_page: OpenPage, api: ServedApi) -> None:
    jobs = {building.a_job_in(status): status for status in JobStatus}
    page = open_page()

    for job_id, status in jobs.items():
        page.goto(f"{api.url}/jobs/{job_id}")
        as_served = usable(page)
        page.locator("html[data-ready]").wait_for()

        expect(pill(page)).to_contain_text(status)
        assert (as_served, usable(page)) == (BUTTONS[status], BUTTONS[status]), status


def test_a_running_job_is_paused_and_resumed(open_page: OpenPage) -> None:
    job_id = building.a_running_job(epoch=10)
    page = open_page(f"/jobs/{job_id}")

    button(page, "Pause").click()
    expect(page.locator("#toast")).to_have_text("The job was asked to pause.")
    expect(pill(page)).to_contain_text("pausing")
    expect(button(page, "Pause")).to_be_hidden()
    expect(button(page, "Resume")).to_be_hidden()

    building.stop(job_id, JobStatus.PAUSED)
    refresh(page)
    expect(pill(page)).to_contain_text("paused")
    expect(page.get_by_text("exactly where it stopped.")).to_be_visible()
    expect(page.get_by_text("epoch 10 of 50")).to_be_visible()

    button(page, "Resume").click()
    expect(page.locator("#toast")).to_have_text("The job was put back in the queue.")
    expect(pill(page)).to_contain_text("queued")
    expect(page.get_by_text("Attempt 2 follows. Resumed by the user.")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("#1 in queue")
    expect(page.locator(".facts")).not_to_contain_text("time left")
    expect(button(page, "Resume")).to_be_hidden()
    expect(button(page, "Pause")).to_be_enabled()


def test_a_waiting_job_is_paused_at_once_on_any_tab(open_page: OpenPage) -> None:
    page = open_page(f"/jobs/{building.a_job()}/log")

    button(page, "Pause").click()

    expect(pill(page)).to_contain_text("paused")
    expect(page.get_by_text("exactly where it stopped. Paused by the user.")).to_be_visible()
    expect(page.locator("#log-lines li").last).to_contain_text("paused by the user")


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_job_that_ended_badly_is_tried_again(open_page: OpenPage, status: JobStatus) -> None:
    job_id = building.a_job_in(status)
    if status is JobStatus.FAILED:
        building.add_checkpoint(job_id, epoch=3)
    where = "epoch 3" if status is JobStatus.FAILED else "the start"
    page = open_page(f"/jobs/{job_id}")
    card = page.get_by_role("region", name="Why it failed")
    expect(card).to_be_visible(visible=status is JobStatus.FAILED)

    expect(button(page, "Retry")).to_have_text(f"Retry from {where}")
    button(page, "Retry").click()

    expect(page.locator("#toast")).to_have_text("The job was put back in the queue.")
    expect(pill(page)).to_contain_text("queued")
    expect(card).to_be_hidden()
    expect(button(page, "Retry")).to_be_hidden()
    expect(button(page, "Cancel")).to_be_enabled()
    building.start(job_id)
    refresh(page)
    expect(pill(page)).to_contain_text("running")


def test_only_what_cannot_be_taken_back_asks_first(open_page: OpenPage) -> None:
    page = open_page(f"/jobs/{building.a_job_in(JobStatus.PAUSED)}")
    question = page.get_by_role("dialog")

    for verb, status in (("Resume", "queued"), ("Pause", "paused")):
        button(page, verb).click()
        expect(question).to_be_hidden()
        expect(pill(page)).to_contain_text(status)
    button(page, "Cancel").click()
    expect(question).to_be_visible()
    page.keyboard.press("Escape")

    expect(question).to_be_hidden()
    expect(pill(page)).to_contain_text("paused")


def test_a_button_that_came_too_late_says_why(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    page = open_page(f"/jobs/{job_id}")

    def nothing_new(route: Route) -> None:
        route.fulfill(status=304)

    page.route(STATE, nothing_new)
    building.finish(job_id)
    button(page, "Pause").click()
    expect(page.locator("#toast")).to_contain_text(
        "is succeeded; only a job that is queued or running can be paused."
    )
    page.unroute(STATE, nothing_new)
    refresh(page)

    expect(pill(page)).to_contain_text("succeeded")
    expect(button(page, "Pause")).to_be_hidden()


def test_the_keyboard_presses_them_and_keeps_its_place(open_page: OpenPage) -> None:
    job_id = building.a_job()
    page = open_page(f"/jobs/{job_id}")

    button(page, "Pause").focus()
    page.keyboard.press("Enter")
    expect(button(page, "Resume")).to_be_focused()
    page.keyboard.press("Space")
    expect(button(page, "Pause")).to_be_focused()
    building.start(job_id)
    refresh(page)
    page.keyboard.press("Enter")

    expect(pill(page)).to_contain_text("pausing")
    expect(page.get_by_role("heading", name="names-bilstm")).to_be_focused()
