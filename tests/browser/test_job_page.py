"""The page of one job in a browser: progress, cards, tabs and the verbs."""

import re

from playwright.sync_api import expect

from shared.db.engine import transaction
from shared.db.jobs import JobStore
from tests.browser import building
from tests.browser.conftest import OpenPage, refresh


def test_progress_follows_the_job_to_its_end(open_page: OpenPage) -> None:
    job_id = building.a_running_job(epoch=10)
    page = open_page(f"/jobs/{job_id}")
    expect(page.get_by_text("epoch 10 of 50, step 600 of 3,000")).to_be_visible()
    expect(page.get_by_text("1.9 s per epoch")).to_be_visible()
    expect(page.get_by_text("time left ~1 min")).to_be_visible()
    expect(page).to_have_title("20 % names-bilstm · unroll")

    building.train_to(job_id, 50)
    building.finish(job_id)

    expect(page.locator("h1 + .pill")).to_contain_text("succeeded")
    expect(page.get_by_text(re.compile(r"took (< 1|\d+) s"))).to_be_visible()
    expect(page.get_by_text("published as names-bilstm, version 1")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_disabled()


def test_a_failed_job_says_why_and_what_to_do(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    page = open_page(f"/jobs/{job_id}")
    expect(page.get_by_role("region", name="Why it failed")).to_be_hidden()

    building.fail(job_id, "The loss became NaN at step 812 (epoch 17).")
    refresh(page)

    card = page.get_by_role("region", name="Why it failed")
    expect(card).to_contain_text("The loss became NaN at step 812 (epoch 17).")
    expect(card).to_contain_text("What to do: Clone it with a lower learning rate")
    expect(card).to_contain_text("loss_not_finite")
    slower = card.get_by_role("link", name="Clone with a tenth of the learning rate")
    expect(slower).to_have_attribute("href", f"/jobs/new?from={job_id}&slower=10")


def test_a_silent_worker_is_said_to_be_lost(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    building.silence_worker(job_id, for_s=65)

    page = open_page(f"/jobs/{job_id}")

    card = page.get_by_role("region", name="Lost worker")
    expect(card).to_contain_text(re.compile(r"came 1 min ago; the limit is 30 s"))
    expect(card).to_contain_text("It will go back to the queue; this was attempt 1 of 3.")
    expect(page.locator("h1 + .pill")).to_contain_text("lost")
    expect(page.get_by_text("time left —")).to_be_visible()


def test_an_unknown_job_is_a_page_that_leads_back(open_page: OpenPage) -> None:
    page = open_page("/jobs/job_999", is_live=False)

    expect(page.get_by_text("There is no job 'job_999'. It may have been deleted.")).to_be_visible()
    page.get_by_role("link", name=re.compile(".+ Jobs$")).click()
    expect(page).to_have_title("Jobs · unroll")


def test_cancelling_asks_first(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    page = open_page(f"/jobs/{job_id}")

    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Keep it").click()
    with transaction() as db:
        kept = JobStore(db).get(job_id).status
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel it").click()

    expect(page.locator("h1 + .pill")).to_contain_text("cancelling")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_disabled()
    assert kept == "running"


def test_log_lines_are_appended(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    page = open_page(f"/jobs/{job_id}/log")
    before = page.locator("#log-lines li").count()

    building.add_log(job_id, "<i>gradient</i> clipped")
    refresh(page)

    expect(page.locator("#log-lines li")).to_have_count(before + 1)
    expect(page.locator("#log-lines li").last).to_contain_text("log <i>gradient</i> clipped")
    expect(page.locator("#log-lines li").first).to_contain_text("queued")


def test_checkpoints_appear_with_their_download(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    page = open_page(f"/jobs/{job_id}/checkpoints")
    expect(page.get_by_text("None yet")).to_be_visible()

    building.add_checkpoint(job_id, 28, is_best=True)
    refresh(page)

    line = page.locator("#checkpoints tbody tr")
    expect(line).to_contain_text("1,680")
    expect(line).to_contain_text("best, last")
    with page.expect_download() as download:
        line.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".safetensors")
    assert download.value.path().read_bytes() == b"safetensors" * 1000


def test_the_spec_and_the_attempts_have_their_tabs(open_page: OpenPage) -> None:
    job_id = building.a_running_job(network={"num_layers": 3})
    page = open_page(f"/jobs/{job_id}")

    page.get_by_role("link", name="Spec").click()
    expect(page.locator("#short")).to_contain_text('"num_layers": 3')
    expect(page.locator("#short")).not_to_contain_text("dropout")
    expect(page.locator("#spec")).to_contain_text('"dropout": 0.0')
    page.get_by_role("link", name="Events").click()

    expect(page.locator("#attempts tbody tr")).to_contain_text("gpu-0")
    expect(page.locator("#log-lines li").last).to_contain_text("running · attempt 1 on gpu-0")


def test_the_same_job_can_be_copied_as_code(open_page: OpenPage) -> None:
    job_id = building.a_job(network={"bidirectional": True})
    page = open_page(f"/jobs/{job_id}", permissions=["clipboard-read", "clipboard-write"])

    page.get_by_role("button", name="Copy", exact=True).first.click()

    expect(page.locator("#toast")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("unroll submit \\\n  --dataset surnames \\\n  --cell lstm \\\n")
    assert "--set network.bidirectional=true" in copied
    page.get_by_text("curl", exact=True).click()
    expect(page.locator("#snippet-curl")).to_contain_text("/v1/jobs")


def test_the_network_is_drawn_unrolled(open_page: OpenPage) -> None:
    job_id = building.a_job(network={"num_layers": 2, "bidirectional": True})

    drawing = open_page(f"/jobs/{job_id}").locator("svg.network")

    expect(drawing).to_have_attribute(
        "aria-label", "2 lstm layers of 64 units each, both directions (concat); many to one"
    )
    expect(drawing.locator("rect.cell")).to_have_count(6)
    expect(drawing.locator("line.back")).to_have_count(2 * 3 + 1)
