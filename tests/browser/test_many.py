"""Pages under weight: thousands of jobs, a million points, as many tabs as a person opens."""

import pytest
from playwright.sync_api import expect

from tests.browser import building
from tests.browser.conftest import OpenPage, is_drawn_within
from tests.browser.serving import ServedApi
from tests.integration.seeding import execute

SOON_MS = 3000  # on a machine that other tests keep busy

MANY_JOBS = """
    INSERT INTO jobs (id, name, status, spec, metadata, cell, dataset_id, device, priority, estimate,
                      max_attempts, progress, latest, model_name)
    SELECT 'job_00' || lpad(n::text, 24, '0'), 'job ' || n, 'cancelled', spec, metadata, cell,
           dataset_id, device, priority, estimate, max_attempts, progress, latest, model_name
    FROM jobs, generate_series(1, 5000) AS n WHERE id = :job_id
"""
MANY_POINTS = """
    INSERT INTO metrics (job_id, name, step, epoch, value, time)
    SELECT :job_id, 'train/loss', n, n / 1000.0, 1 + 1.0 / (1 + n), now()
    FROM generate_series(0, 999999) AS n
"""
BLOCKS = """
    INSERT INTO metric_blocks (job_id, name, block, num, min_value, min_step, max_value, max_step)
    SELECT job_id, name, step >> 7, count(*), min(value), max(step), max(value), min(step)
    FROM metrics WHERE job_id = :job_id GROUP BY job_id, name, step >> 7
"""


@pytest.mark.timeout(200)
def test_five_thousand_jobs_and_a_million_points_are_shown_soon(open_page: OpenPage) -> None:
    building.a_real_dataset("letters")
    job_id = building.a_running_job("the-long-one", dataset="letters")
    execute(MANY_JOBS, job_id=job_id)
    execute(MANY_POINTS, job_id=job_id)
    execute(BLOCKS, job_id=job_id)
    execute("ANALYZE jobs, metrics, metric_blocks")

    jobs = open_page()
    expect(jobs.locator("#count")).to_have_text("5,001 jobs")
    expect(jobs.locator("tbody[data-key]")).to_have_count(25)
    job = open_page(f"/jobs/{job_id}")
    expect(job.locator("canvas").first).to_be_visible()
    compare = open_page(f"/compare?ids={job_id},job_00{'1'.zfill(24)}&metric=train/loss")
    expect(compare.locator("canvas")).to_be_visible()
    new = open_page(f"/jobs/new?from={job_id}")

    for page in (jobs, job, compare):
        page.bring_to_front()
        assert is_drawn_within(page, SOON_MS), page.url
    expect(new.get_by_role("heading", name="New job")).to_be_visible()


def test_eight_tabs_stay_live_at_once(open_page: OpenPage, api: ServedApi) -> None:
    job_id = building.a_running_job(epoch=10)
    building.add_curves(job_id, 10)
    first = open_page(f"/jobs/{job_id}")
    paths = ["/", "/workers", f"/compare?ids={job_id}", *[f"/jobs/{job_id}"] * 4]
    tabs = [first]
    for path in paths:
        tab = first.context.new_page()
        tab.goto(api.url + path)
        tabs.append(tab)
    for tab in tabs:
        tab.locator("html[data-ready]").wait_for()

    building.train_to(job_id, 40)
    for tab in [tab for tab in tabs if f"/jobs/{job_id}" in tab.url]:
        tab.bring_to_front()
        expect(tab.get_by_text("epoch 40 of 50, step 2,400 of 3,000")).to_be_visible()

    assert len(tabs) == 8
