"""Charts in a browser: what is drawn, what is left out, what a person can do with them."""

import math
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import building
from tests.browser.conftest import OpenPage, refresh
from tests.servers import wait_for

COUNT_PIXELS = """(canvas, [r, g, b]) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    count += data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255;
  return count;
}"""
SERIES_1 = [0x2E, 0x26, 0x9B]


def chart(page: Page, name: str = "loss") -> Locator:
    return page.get_by_role("img", name=re.compile(f"^Line chart of {name} by"))


def pixels(page: Page, name: str = "loss") -> int:
    return chart(page, name).locator("canvas").evaluate(COUNT_PIXELS, SERIES_1)


def a_job_with_curves(epoch: int = 31) -> str:
    job_id = building.a_running_job(epoch=epoch)
    building.add_curves(job_id, epoch)
    return job_id


def test_curves_are_drawn(open_page: OpenPage) -> None:
    page = open_page(f"/jobs/{a_job_with_curves()}")

    expect(chart(page)).to_have_attribute(
        "aria-label",
        re.compile(
            r"loss by step\. train/loss: last 0\.\d+, lowest 0\.\d+; val/loss: last 0\.5272"
        ),
    )
    assert pixels(page) > 300
    assert pixels(page, "accuracy") > 50


def test_new_points_reach_the_chart_without_a_reload(open_page: OpenPage) -> None:
    job_id = a_job_with_curves()
    page = open_page(f"/jobs/{job_id}")
    expect(chart(page)).to_have_attribute("aria-label", re.compile("val/loss: last 0.5272"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    building.add_points(job_id, "val/loss", [(32 * 60, 0.125)])

    label = re.compile(r"train/loss: last 0\.\d+.*val/loss: last 0\.125, lowest 0\.125")
    expect(chart(page)).to_have_attribute("aria-label", label)
    assert any("after=val%2Floss%3A1860" in url for url in asked)


def test_a_chart_joins_when_its_metric_first_comes_in(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    building.add_points(job_id, "train/loss", [(10, 1.0), (20, 0.9)])
    page = open_page(f"/jobs/{job_id}")
    expect(page.locator("figure")).to_have_count(1)

    building.add_points(job_id, "val/accuracy", [(60, 0.5)])
    refresh(page)

    expect(chart(page, "accuracy")).to_be_visible()


def test_a_new_attempt_draws_its_curves_anew(open_page: OpenPage) -> None:
    job_id = a_job_with_curves(epoch=5)
    page = open_page(f"/jobs/{job_id}")
    chart(page).wait_for()

    building.lose_and_retake(job_id, step=120)
    building.add_points(job_id, "val/loss", [(180, 7.5)])
    refresh(page)

    expect(chart(page)).to_have_attribute("aria-label", re.compile("val/loss: last 7.5"))
    page.get_by_text("Show as table").first.click()
    expect(page.locator("figure table tbody tr").first).to_contain_text("180")


def test_a_log_scale_leaves_gaps_and_says_so(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    values = [(10, 1.0), (20, 0.1), (30, 0.0), (40, -1.0), (50, 0.1), (60, 1.0)]
    building.add_points(job_id, "train/loss", values)

    page = open_page(f"/jobs/{job_id}?y=log")

    note = "train/loss: 2 values ≤ 0 left out of the log scale, the first at step 30."
    expect(page.get_by_text(note)).to_be_visible()
    runs = "import('/static/paint.js').then((m) => m.runs([1, .1, 0, -1, .1, 1], (v) => v > 0))"
    assert page.evaluate(runs) == [[0, 1], [4, 5]]
    page.get_by_label("log y").uncheck()
    expect(page.get_by_text(note)).to_be_hidden()


def test_values_that_are_no_numbers_are_gaps_with_a_note(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    values = [(800, 0.5), (812, math.nan), (813, math.inf), (814, 0.5)]
    building.add_points(job_id, "train/loss", values)

    page = open_page(f"/jobs/{job_id}")

    note = "train/loss: 2 non-finite values, the first at step 812."
    expect(page.get_by_text(note)).to_be_visible()


def test_smoothing_keeps_a_constant_and_a_gap(open_page: OpenPage) -> None:
    page = open_page()

    smoothed = page.evaluate(
        "import('/static/scale.js').then((m) => m.smoothed([1, 1, null, 1, 1], 0.9))"
    )

    assert smoothed == pytest.approx([1, 1, None, 1, 1])


def test_the_log_scale_has_ticks_in_every_decade(open_page: OpenPage) -> None:
    page = open_page()

    ticks = page.evaluate("import('/static/scale.js').then((m) => m.logTicks(0.01, 1))")

    assert ticks == pytest.approx([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1])


def test_the_state_of_the_charts_lives_in_the_address(open_page: OpenPage) -> None:
    job_id = a_job_with_curves()
    page = open_page(f"/jobs/{job_id}")
    chart(page).wait_for()

    page.get_by_label("x axis").select_option("epoch")
    page.get_by_label("log y").check()
    page.get_by_label("smooth").fill("0.6")
    page.get_by_role("button", name="accuracy", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?x=epoch&y=log&s=0.6&charts=loss$"))
    page.reload()

    expect(page.get_by_role("img", name=re.compile("Line chart of loss by epoch"))).to_be_visible()
    expect(page.get_by_label("log y")).to_be_checked()
    expect(page.locator("#smooth-value")).to_have_text("0.6")
    expect(chart(page, "accuracy")).to_have_count(0)


def test_keys_move_the_cursor_and_say_the_values(open_page: OpenPage) -> None:
    page = open_page(f"/jobs/{a_job_with_curves()}")
    chart(page).focus()

    page.keyboard.press("End")

    expect(page.locator(".tip").first).to_contain_text("step 1,860")
    expect(page.locator("figure [role=status]").first).to_contain_text("val/loss 0.5272")
    page.keyboard.press("Escape")
    expect(page.locator(".tip").first).to_be_hidden()


def test_a_drag_zooms_and_a_double_click_resets(open_page: OpenPage) -> None:
    page = open_page(f"/jobs/{a_job_with_curves()}")
    box = chart(page).bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    chart(page).focus()

    page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=4)
    page.mouse.up()
    page.keyboard.press("Home")
    zoomed = page.locator(".tip strong").first.inner_text()
    chart(page).dblclick()
    page.keyboard.press("Home")

    assert 700 < int(zoomed.removeprefix("step ").replace(",", "")) < 1000
    expect(page.locator(".tip strong").first).to_have_text(re.compile(r"^step \d\d$"))


def test_a_legend_entry_hides_its_curve(open_page: OpenPage) -> None:
    page = open_page(f"/jobs/{a_job_with_curves()}")
    before = pixels(page)

    page.get_by_role("button", name="train/loss").click()

    expect(page.get_by_role("button", name="train/loss")).to_have_attribute("aria-pressed", "false")
    assert wait_for(lambda: 0 < pixels(page) < before / 2)


def test_every_chart_has_a_table_and_the_points_a_download(open_page: OpenPage) -> None:
    page = open_page(f"/jobs/{a_job_with_curves(epoch=3)}")

    page.get_by_text("Show as table").first.click()

    table = page.get_by_role("region", name="loss as a table")
    expect(table.get_by_role("row").nth(1)).to_contain_text("180")
    expect(table.get_by_role("columnheader")).to_have_text(["step", "train/loss", "val/loss"])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download every point as CSV").click()
    head, *lines = download.value.path().read_text().splitlines()
    assert head == "name,step,epoch,value,time"
    assert len(lines) == 2 * 18 + 3 * 3


def test_at_most_four_charts_are_shown(open_page: OpenPage) -> None:
    job_id = a_job_with_curves()
    building.add_points(job_id, "train/lr", [(10, 0.001), (20, 0.001)])
    page = open_page(f"/jobs/{job_id}?charts=loss,accuracy,f1_macro")

    page.get_by_role("button", name="grad_norm").click()

    expect(page.locator("figure")).to_have_count(4)
    expect(page.get_by_role("button", name="lr", exact=True)).to_be_disabled()
