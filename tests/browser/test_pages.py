"""Datasets, new job, workers, compare and models in a browser: what a person can do there."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from services.dashboard import inspect
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.jobs import JobFilter, JobStore
from shared.db.seed import ensure_builtin
from shared.db.workers import WorkerStore
from tests.browser import building
from tests.browser.conftest import OpenPage, refresh
from tests.browser.experimenting import TWO, an_experiment, train
from tests.browser.serving import ServedApi
from tests.browser.tracing import traced
from tests.conftest import forget_settings
from tests.integration.inference.publishing import publish
from tests.integration.seeding import execute

MARKUP = "<img src=x onerror='document.title=1'><b>"
GIB = 2**30
USAGE = {"memory_used": 3 * GIB // 2, "memory_total": 24 * GIB, "gpu_busy": 0.71}
USAGE |= {"gpu_memory_used": 30 * GIB, "gpu_memory_total": 160 * GIB}
CSV = "name,place\n" + "".join(f"{'ab'[n % 2] * (n % 5 + 2)},{'xy'[n % 2]}\n" for n in range(60))


@contextmanager
def inference(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedApi]:
    """The inference service, which the API is told of; in this process it must not compile on."""
    monkeypatch.setattr("services.inference.app.warm_up", lambda _: None)
    with ServedApi("services.inference.app") as served:
        monkeypatch.setenv("UNROLL_INFERENCE_URL", served.url)
        forget_settings()
        yield served


def choose_file(page: Page, text: str, name: str = "people.csv") -> None:
    file = {"name": name, "mimeType": "text/csv", "buffer": text.encode()}
    page.get_by_label("File", exact=True).set_input_files(file)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def wait_for_preview(page: Page) -> None:
    page.locator("html[data-preview=drawn]").wait_for()


def test_a_csv_becomes_a_dataset_a_job_and_the_page_of_that_job(open_page: OpenPage) -> None:
    page = open_page("/datasets")
    choose_file(page, CSV)
    expect(page.locator("#header")).to_have_text("name, place")
    expect(page.get_by_label("Name", exact=True)).to_have_value("people")
    expect(page.get_by_label("Input columns")).to_have_value("name")
    expect(page.get_by_label("Target column")).to_have_value("place")
    expect(page.get_by_label("Window")).to_be_hidden()

    press(page, "Upload")
    expect(page.get_by_role("heading", name="people")).to_be_visible()
    expect(page.get_by_role("region", name="Class balance")).to_contain_text("30")
    expect(page.get_by_role("region", name="First items of train")).to_contain_text("ab"[0])
    page.get_by_role("link", name="New job with it").click()
    wait_for_preview(page)
    expect(page.get_by_label("Dataset", exact=True)).to_have_value("people")
    page.get_by_label("Hidden units").fill("8")
    page.get_by_role("radio", name="gru", exact=True).check()
    expect(page.locator("#snippet-cli")).to_contain_text("--cell gru")
    expect(page.locator("#snippet-cli")).to_contain_text("network.hidden_size=8")
    press(page, "Submit 1 job")

    expect(page.get_by_role("heading", name="people-gru")).to_be_visible()
    with transaction() as db:
        (job,) = JobStore(db).page(JobFilter(), None, 5).rows
    assert (job.spec["network"]["hidden_size"], job.spec["mapping"]) == (8, "many_to_one")


def test_faults_of_a_file_are_told_by_line_and_field_and_nothing_is_stored(
    open_page: OpenPage,
) -> None:
    page = open_page("/datasets")
    choose_file(page, f"name,place\nAnn,here\nBob,\n{MARKUP},\n")
    expect(page.get_by_label("Target column")).to_have_value("place")

    press(page, "Upload")

    expect(page.locator("#faults").get_by_role("alert")).to_contain_text(re.compile("[Ff]ault"))
    rows = page.locator("#faults tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(re.compile(r"row 2 .*place.*no value"))
    with transaction() as db:
        assert list(DatasetStore(db).names()) == []


def test_what_is_wrong_with_an_upload_stands_under_its_field(open_page: OpenPage) -> None:
    page = open_page("/datasets")
    choose_file(page, CSV)
    expect(page.get_by_label("Input columns")).to_have_value("name")
    page.get_by_label("Name", exact=True).fill("a/b")

    press(page, "Upload")

    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    expect(page.locator("#wrong-name")).to_contain_text("match pattern")
    page.get_by_label("Name", exact=True).fill("ab")
    page.get_by_label("Input columns").fill("")
    press(page, "Upload")
    expect(page.locator("#wrong-csv-input")).to_contain_text("must know its inputs")
    page.get_by_label("The input is").select_option("a series of rows")
    page.get_by_label("Window").fill("")
    press(page, "Upload")
    expect(page.get_by_label("Window")).to_be_focused()


def test_deleting_a_dataset_asks_first(open_page: OpenPage) -> None:
    id_ = building.a_real_dataset(MARKUP)
    page = open_page("/datasets")
    expect(page.get_by_role("link", name=MARKUP, exact=True)).to_be_visible()
    page.get_by_role("link", name=MARKUP, exact=True).click()
    expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
    expect(page.locator("main img, main b")).to_have_count(0)

    press(page, "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete it").click()

    expect(page).to_have_url(re.compile("/datasets$"))
    with transaction() as db:
        assert DatasetStore(db).find(id_) is None


def test_faults_of_a_job_stand_under_their_fields_and_what_was_typed_stays(
    open_page: OpenPage,
) -> None:
    with transaction() as db:
        ensure_builtin(db, "digits")
    page = open_page("/jobs/new?from=example:digits")
    wait_for_preview(page)
    expect(page.locator("#preview")).to_contain_text("14,858")

    page.get_by_label("Dropout", exact=True).fill("7")
    page.get_by_label("Epochs", exact=True).fill("0")
    press(page, "Submit 1 job")

    expect(page.get_by_label("Dropout", exact=True)).to_be_focused()
    expect(page.locator("[id='wrong-network.dropout']")).to_contain_text("less than 1")
    expect(page.locator("[id='wrong-training.epochs']")).to_contain_text("greater than or equal")
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("0")


def test_only_the_mapping_that_the_dataset_serves_can_be_chosen(open_page: OpenPage) -> None:
    with transaction() as db:
        ensure_builtin(db, "digits")
        ensure_builtin(db, "copy-5")
    page = open_page("/jobs/new?dataset=copy-5")
    wait_for_preview(page)
    mapping = page.get_by_label("Mapping")
    enabled = "[...document.querySelectorAll('#mapping option:enabled')].map((o) => o.value)"
    assert page.evaluate(enabled) == ["", "many_to_many"]

    mapping.select_option("many to many")
    page.get_by_label("Dataset", exact=True).select_option("digits")

    expect(mapping).to_have_value("")
    assert page.evaluate(enabled) == ["", "many_to_one"]


def test_a_job_is_cloned_with_all_that_was_chosen(open_page: OpenPage) -> None:
    with transaction() as db:
        ensure_builtin(db, "digits")
    job_id = building.a_job(
        "first",
        dataset="digits",
        network={"cell": {"type": "lstm", "peephole": True}, "num_layers": 3},
        training={
            "early_stopping": {"patience": 7, "metric": "val/accuracy", "mode": "max"},
            "clip_norm": None,
            "optimizer": {"type": "sgd", "momentum": 0.5},
            "schedule": {"type": "step", "every": 4, "gamma": 0.3},
        },
        checkpoint={"keep_last": 3},
        metadata={"a.b": "c"},
    )
    page = open_page()
    page.get_by_label("Select first").check()
    page.get_by_role("link", name="Clone").click()
    wait_for_preview(page)

    expect(page.get_by_label("peephole")).to_be_checked()
    expect(page.get_by_label("after epochs without gain")).to_have_value("7")
    expect(page.get_by_label("every", exact=True)).to_have_value("4")
    expect(page.get_by_label("warmup steps").filter(visible=True)).to_have_count(1)
    press(page, "Submit 1 job")

    page.locator("#job").wait_for()
    with transaction() as db:
        new, old = JobStore(db).page(JobFilter(), None, 5).rows
    assert (old.id, new.spec["network"]) == (job_id, {**old.spec["network"]})
    assert new.spec == old.spec | {"model_name": "first"}


def test_every_schedule_can_be_chosen_with_what_it_needs(open_page: OpenPage) -> None:
    with transaction() as db:
        ensure_builtin(db, "digits")
    page = open_page("/jobs/new?from=example:digits")
    wait_for_preview(page)
    page.get_by_text("Learning rate schedule").click()

    page.get_by_label("Schedule", exact=True).select_option("one cycle")
    page.get_by_label("max lr").fill("0.02")
    page.get_by_label("warmup share").fill("30")
    expect(page.locator("#wrong-one_cycle-warmup_share")).to_contain_text("less than or equal to 1")
    page.get_by_label("warmup share").fill("0.4")

    expect(page.locator("#snippet-cli")).to_contain_text("training.schedule.max_lr=0.02")
    expect(page.locator("#snippet-cli")).to_contain_text("training.schedule.warmup_share=0.4")
    expect(page.locator("#snippet-cli")).not_to_contain_text("warmup_steps")


def test_several_cells_and_seeds_make_one_experiment(open_page: OpenPage) -> None:
    building.a_real_dataset("letters")
    page = open_page("/jobs/new?dataset=letters")
    wait_for_preview(page)

    page.get_by_text("Compare several cells").click()
    page.get_by_role("checkbox", name="gru", exact=True).check()
    page.get_by_label("Seed", exact=True).fill("1..3")
    page.get_by_label("Dropout", exact=True).fill("7")
    press(page, "Submit 6 jobs")
    expect(page.get_by_label("Dropout", exact=True)).to_be_focused()
    page.get_by_label("Dropout", exact=True).fill("0.1")
    press(page, "Submit 6 jobs")

    expect(page.get_by_role("heading", name="letters by cell")).to_be_visible()
    with transaction() as db:
        jobs = JobStore(db).page(JobFilter(), None, 10).rows
    chosen = {(job.spec["network"]["cell"]["type"], job.spec["training"]["seed"]) for job in jobs}
    assert chosen == {(cell, seed) for cell in ("lstm", "gru") for seed in (1, 2, 3)}
    assert {job.spec["network"]["dropout"] for job in jobs} == {0.1}


def test_workers_and_the_queue_follow_and_a_lost_worker_can_be_forgotten(
    open_page: OpenPage,
) -> None:
    page = open_page("/workers")
    expect(page.get_by_role("heading", name="No worker is connected")).to_be_visible()

    job_id = building.a_running_job()
    building.a_job("waiting")
    with transaction() as db:
        WorkerStore(db).beat("gpu-0", "H100", job_id, 2, USAGE)
        WorkerStore(db).beat(MARKUP, "cpu", None)
    execute("UPDATE workers SET heartbeat_at = now() - interval '1 hour' WHERE device = 'cpu'")
    refresh(page)

    row = page.get_by_role("row", name=re.compile("gpu-0"))
    expect(row).to_contain_text("busy")
    expect(row).to_contain_text("H100, 2 GPUs")
    expect(row).to_contain_text(re.compile("1.5 GiB of 24 GiB.*71 %.*30 GiB of 160 GiB"))
    expect(row.get_by_role("link")).to_have_attribute("href", f"/jobs/{job_id}")
    expect(page.get_by_text("1 job waits.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("lost"))).to_contain_text(MARKUP)
    page.get_by_role("button", name=f"Forget {MARKUP}").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget it").click()
    expect(page.get_by_role("row", name=re.compile("lost"))).to_have_count(0)


def test_jobs_are_compared_by_curve_and_by_what_differs(open_page: OpenPage) -> None:
    ids = [
        building.a_running_job(f"job-{cell}", network={"cell": cell, "hidden_size": size})
        for cell, size in (("lstm", 32), ("gru", 64))
    ]
    for job_id in ids:
        building.add_curves(job_id, 5)
    building.add_log(ids[0], MARKUP)
    page = open_page()
    for name in ("job-lstm", "job-gru"):
        page.get_by_label(f"Select {name}").check()

    page.get_by_role("link", name="Compare").click()
    page.get_by_label("metric").select_option("val/accuracy")

    expect(page).to_have_url(re.compile(r"metric=val/accuracy"))
    chart = page.get_by_role("img", name="Line chart of val/accuracy")
    expect(chart).to_have_attribute("aria-label", re.compile("job-gru.*job-lstm"))
    differ = page.get_by_role("region", name=re.compile("What differs"))
    expect(differ.get_by_role("row", name=re.compile(r"^network\.hidden_size"))).to_contain_text(
        re.compile("64.*32|32.*64")
    )
    expect(differ).not_to_contain_text("batch_size")
    logs = page.get_by_role("region", name="Logs side by side", exact=True)
    expect(logs.locator(".differs mark")).to_have_text([MARKUP])
    expect(logs).to_contain_text("3 lines are equal.")
    page.get_by_label("left").select_option(index=1)
    press(page, "Show")
    expect(logs).to_contain_text("4 lines are equal.")
    expect(page.get_by_label("metric")).to_have_value("val/accuracy")


def test_an_experiment_is_followed_given_more_seeds_and_cancelled(open_page: OpenPage) -> None:
    an_experiment(MARKUP, TWO)
    page = open_page("/experiments")
    page.get_by_role("link", name=MARKUP).click()
    expect(page.get_by_text("Not finished: 0 of 6 jobs have ended.")).to_be_visible()
    expect(page.locator("main img, main b")).to_have_count(0)

    train(TWO)
    expect(page.get_by_text("gru has the best mean val/accuracy, 0.92")).to_be_visible()
    plot = page.get_by_role("group", name=re.compile("of every seed"))
    expect(plot.get_by_role("img", name=re.compile("gru: mean 0.92, .* 3 seeds"))).to_be_visible()

    page.get_by_label("Seeds", exact=True).fill("3")
    press(page, "Train every arm with them")
    expect(page.get_by_text("Every arm has seed 3 already")).to_be_visible()
    page.get_by_label("Seeds", exact=True).fill("4..5")
    press(page, "Train every arm with them")
    expect(page.get_by_text("2 arms × 5 seeds")).to_be_visible()
    press(page, "Cancel")
    page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    expect(page.get_by_role("region", name="Experiment")).to_contain_text("cancelled")

    page.get_by_role("link", name="seed 5 of gru").click()
    before = page.get_by_role("region", name=re.compile("Compared with the job before"))
    expect(before.get_by_role("row")).to_have_text(re.compile("cell.type.*lstm → gru"))
    page.get_by_role("link", name=MARKUP, exact=True).click()
    page.get_by_role("link", name="Curves").click()
    chart = page.get_by_role("img", name="Line chart of val/accuracy")
    expect(chart).to_have_attribute("aria-label", re.compile("lstm.*gru"))


def test_a_model_is_tried_and_says_why_it_refuses(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("letters", "text class", cell="elman")
    page = open_page("/models")
    page.get_by_role("link", name="letters").click()
    versions = page.get_by_role("region", name="Versions")
    press(page, "Set alias")
    expect(versions.locator(".tag")).to_have_text("production")
    press(page, "remove the alias production")
    page.get_by_role("dialog").get_by_role("button", name="Remove it").click()
    expect(versions.locator(".tag")).to_have_count(0)
    answer = page.locator("#answer")
    press(page, "Run")
    expect(answer.get_by_role("alert")).to_contain_text("Inference is out of reach")

    with inference(monkeypatch):
        page.get_by_label("Input", exact=True).fill("tobe")
        press(page, "Run")
        expect(answer.get_by_role("region", name=re.compile("Classes"))).to_contain_text(
            "%", timeout=20_000
        )
        answer.get_by_text("The same call as code").click()
        expect(page.locator("#the-same-code-cli")).to_have_text(
            "unroll predict letters tobe --text"
        )
        expect(answer).to_contain_text("for 4 steps")
        expect(answer.get_by_role("note")).to_have_count(0)
        page.get_by_label("Input", exact=True).fill("TÖ be")
        press(page, "Run")
        expect(answer.get_by_role("note")).to_contain_text("Not in the vocabulary")
        answer.get_by_text("Show vocabulary").click()
        expect(answer.get_by_text("symbols, the most frequent first")).to_be_visible()
        answer.get_by_role("button", name="Replace").click()
        expect(page.get_by_label("Input", exact=True)).to_have_value("tobe")
        expect(answer.get_by_role("note")).to_have_count(0)
        page.get_by_label("Input", exact=True).fill("")
        press(page, "Run")
        expect(answer.get_by_role("alert")).to_contain_text("an empty sequence")


def test_gates_are_shown_and_a_click_chooses_a_unit(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("letters", "text class")
    monkeypatch.setattr(inspect, "ask", traced)
    page = open_page("/models/letters/inspect")
    page.get_by_label("Input", exact=True).fill("to <b> be")
    press(page, "Run")
    expect(page.locator(".strip span")).to_have_count(9)
    expect(page.locator("canvas")).to_have_count(3)

    page.locator("canvas").first.click(position={"x": 20, "y": 170})

    expect(page.get_by_label("Unit", exact=True)).to_have_value("7")
    expect(page.get_by_role("heading", name="c of unit 7, step by step")).to_be_visible()
    with page.expect_response("**/trace"):
        page.get_by_label("Layer").select_option("network.1.backward")
    expect(page.get_by_role("heading", name="c of unit 7")).to_be_visible()
    expect(page.locator("main b")).to_have_count(0)
