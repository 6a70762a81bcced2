"""The Jobs page in a browser: it shows, follows, filters and cancels."""

import re

from playwright.sync_api import Page, expect

from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.jobs.states import Verb
from tests.browser import building
from tests.browser.conftest import OpenPage, refresh
from tests.browser.serving import ServedApi


def row(page: Page, job_id: str):
    return page.locator(f"tbody[data-key={job_id}]")


def status_of(job_id: str) -> str:
    with transaction() as db:
        return JobStore(db).get(job_id).status


def test_a_row_says_what_the_job_is_and_how_it_stands(open_page: OpenPage) -> None:
    job_id = building.a_running_job(
        "names-bilstm", epoch=25, network={"num_layers": 2, "bidirectional": True}
    )

    line = row(open_page(), job_id)

    expect(line.get_by_role("link", name="names-bilstm")).to_have_attribute(
        "href", f"/jobs/{job_id}"
    )
    expect(line).to_contain_text("lstm ×2 bi")
    expect(line).to_contain_text("many to one")
    expect(line.locator(".pill")).to_have_text(re.compile(r"▶\S* running"))
    expect(line.get_by_role("progressbar", name="Progress of names-bilstm")).to_have_attribute(
        "value", "0.5"
    )
    expect(line).to_contain_text("50 %")
    expect(line).to_contain_text("~48 s")
    expect(line).to_contain_text("epoch 25 of 50 · val loss 0.5856 · best 0.5826 at step 1,380")
    expect(line).to_contain_text(re.compile(r"worker gpu-0, heard of \d+ s ago"))


def test_a_change_in_the_database_shows_without_a_reload(open_page: OpenPage) -> None:
    job_id = building.a_job()
    page = open_page()
    expect(row(page, job_id)).to_contain_text("#1 in queue")
    page.evaluate("window.notReloaded = true")

    building.start(job_id)
    building.train_to(job_id, 10)

    expect(row(page, job_id).locator(".pill")).to_contain_text("running")
    expect(row(page, job_id)).to_contain_text("20 %")
    assert page.evaluate("window.notReloaded")


def test_a_new_job_appears_first_and_a_deleted_one_goes(open_page: OpenPage) -> None:
    old = building.a_job("old")
    page = open_page()
    with transaction() as db:
        JobStore(db).act(old, Verb.CANCEL)
        JobStore(db).delete(old)

    new = building.a_job("new")
    refresh(page)

    expect(row(page, new).get_by_role("link", name="new")).to_have_attribute("href", f"/jobs/{new}")
    expect(row(page, new).get_by_role("checkbox", name="Select new")).to_be_enabled()
    expect(page.locator("tbody[data-key]")).to_have_count(1)


def test_filters_narrow_the_list_and_stay_in_the_address(open_page: OpenPage) -> None:
    building.a_job("alpha", dataset="digits")
    building.a_job("beta", network={"cell": "gru"}, mapping="many_to_many")
    page = open_page()
    expect(page.locator("#count")).to_have_text("2 jobs")

    page.get_by_label("mapping").select_option("many to many")
    expect(page.locator("#count")).to_have_text("1 job")
    page.get_by_label("cell").select_option("gru")
    page.get_by_label("Name contains").fill("BET")
    expect(page).to_have_url(re.compile(r"name=BET.*cell=gru.*mapping=many_to_many"))
    page.reload()

    expect(page.locator("tbody[data-key]")).to_have_count(1)
    expect(page.get_by_role("link", name="beta")).to_be_visible()
    page.get_by_label("dataset").select_option("digits")
    expect(page.get_by_text("No job matches these filters")).to_be_visible()
    expect(page.get_by_text("No jobs yet")).to_be_hidden()


def test_the_pager_leads_to_older_jobs_and_back(open_page: OpenPage) -> None:
    for number in range(60):
        building.a_job(f"job-{number:02}")
    page = open_page()
    expect(page.locator("tbody[data-key]")).to_have_count(25)
    expect(page.get_by_role("link", name="Newer")).to_be_hidden()

    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="job-34")).to_be_visible()
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="job-00")).to_be_visible()
    expect(page.get_by_role("link", name="Older")).to_be_hidden()
    page.get_by_role("link", name="Newer").click()
    expect(page.get_by_role("link", name="job-34")).to_be_visible()
    page.get_by_role("link", name="Newer").click()

    expect(page.get_by_role("link", name="job-59")).to_be_visible()


def test_without_jobs_the_page_names_one_command(open_page: OpenPage) -> None:
    page = open_page()

    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    expect(page.locator("#first")).to_have_text(
        "unroll submit --dataset surnames --cell lstm --watch"
    )


def test_markup_in_a_name_stays_text(open_page: OpenPage) -> None:
    name = "<img src=x onerror='document.title=1'><b>bold</b>"
    page = open_page()

    job_id = building.a_job(name)  # comes by script
    refresh(page)
    expect(row(page, job_id).locator(".name a")).to_have_text(name)
    page.reload()

    expect(row(page, job_id).locator(".name a")).to_have_text(name)  # comes by template
    expect(page.locator("main img, main b")).to_have_count(0)
    expect(page).to_have_title("Jobs · unroll")


def test_several_jobs_are_cancelled_after_one_question(open_page: OpenPage) -> None:
    waiting, running = building.a_job("waiting"), building.a_running_job("running-one")
    page = open_page()

    for name in ("waiting", "running-one"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("dialog", name="Cancel 2 jobs?").get_by_role(
        "button", name="Cancel it"
    ).click()

    expect(row(page, waiting).locator(".pill")).to_contain_text("cancelled")
    expect(row(page, running).locator(".pill")).to_contain_text("cancelling")
    page.get_by_role("checkbox", name="Select waiting").check()
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()
    expect(page.locator("#toast")).to_have_text("2 jobs were asked to stop.")
    assert (status_of(waiting), status_of(running)) == ("cancelled", "cancelling")


def test_a_lost_connection_is_said_and_mends_itself(open_page: OpenPage, api: ServedApi) -> None:
    job_id = building.a_job()
    page = open_page(f"/jobs/{job_id}")
    expect(page.locator("#connection")).to_have_text("live")

    api.stop()

    expect(page.get_by_role("alert")).to_contain_text("Reconnecting…")
    expect(page.locator("#banner")).to_contain_text(re.compile(r"was true \d+ s ago"))
    for verb in ("Pause", "Cancel"):
        expect(page.get_by_role("button", name=verb, exact=True)).to_be_disabled()
    expect(page.get_by_role("heading", name="names-bilstm")).to_be_visible()

    api.start()
    refresh(page)

    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#banner")).to_be_hidden()
    for verb in ("Pause", "Cancel"):
        expect(page.get_by_role("button", name=verb, exact=True)).to_be_enabled()
