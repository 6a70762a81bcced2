"""How the pages look and weigh, for everybody: themes, phones, axe, policy, budgets."""

from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, expect

from shared.db.engine import transaction
from shared.db.workers import WorkerStore
from shared.jobs.states import JobStatus
from tests.browser import building
from tests.browser.conftest import OpenPage, is_drawn_within
from tests.browser.experimenting import TWO, an_experiment, train
from tests.browser.serving import ServedApi
from tests.integration.inference.publishing import publish
from tests.integration.seeding import execute
from tests.servers import wait_for

STATIC = Path("services/dashboard/static")
JS_BYTES, LOAD_BYTES, REQUESTS, DRAWN_MS = 60_000, 150_000, 12, 1500
TABS = ("", "/log", "/checkpoints", "/spec", "/events")
RULES = {"light": None, "dark": {"runOnly": ["color-contrast"]}}  # a theme changes colours alone
QUIET = ("/jobs/none", "/docs", "/compare")  # without a script that waits for data
SAMPLE = {"exclude": [["article:nth-of-type(n+9)"]]}  # the API page repeats itself 50 times
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture
def paths(database_url: str) -> list[str]:
    """Addresses of every kind of page, with something on each."""
    failed, running = building.a_running_job("failed-one"), building.a_running_job()
    building.fail(failed, "The loss became NaN at step 812 (epoch 17).")
    building.add_curves(running)
    building.add_checkpoint(running, 28, is_best=True)
    building.a_job("a-long-name-" * 12)
    states = {status: building.a_job_in(status) for status in JobStatus}
    jobs = [failed, states[JobStatus.PAUSING], states[JobStatus.PAUSED]]
    pages = [f"/jobs/{running}{tab}" for tab in TABS]
    more = [f"/compare?ids={running},{failed},gone", "/compare", *other_pages(running)]
    return [
        "/",
        "/?name=nothing",
        *pages,
        *more,
        *(f"/jobs/{id_}" for id_ in jobs),
        "/jobs/none",
        "/docs",
    ]


def other_pages(job_id: str) -> list[str]:
    """Addresses of datasets, models and workers, with something long on each."""
    long = "a-long-name-" * 10
    experiment_id = an_experiment(long, TWO)
    train(TWO, seeds=2)
    dataset = building.a_real_dataset(long)
    cloned = building.a_job("to-be-cloned", dataset=long)
    wide = [{"input": [[n * 1.5] * 12] * 40, "target": f"class {n % 3}"} for n in range(30)]
    numbers = building.a_real_dataset("numbers", wide)
    publish("letters" * 8, "text class")
    publish("values", "values")
    with transaction() as db:
        WorkerStore(db).beat("a-worker-with-a-long-name" * 3, "NVIDIA H100", job_id, 8)
        WorkerStore(db).beat("lost", "cpu", None)
    execute("UPDATE workers SET heartbeat_at = now() - interval '1 hour' WHERE name = 'lost'")
    datasets = [f"/datasets/{id_}" for id_ in (dataset, numbers)]
    models = [f"/models/{'letters' * 8}", "/models/values", f"/models/{'letters' * 8}/inspect"]
    forms = [f"/jobs/new?dataset={dataset}", f"/jobs/new?from={cloned}"]
    one = f"/experiments/{experiment_id}"
    experiments = ["/experiments", one, f"{one}/curves"]
    return ["/workers", *experiments, "/datasets", *datasets, "/models", *models, *forms]


def test_every_page_carries_the_policy(paths: list[str], api: ServedApi) -> None:
    for path in paths:
        policy = httpx.get(api.url + path).headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; object-src 'none'; base-uri 'none';")


def background(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_theme_is_the_systems_until_a_person_chooses(open_page: OpenPage) -> None:
    page = open_page(color_scheme="dark")
    assert background(page) == "rgb(15, 20, 27)"

    page.get_by_label("Theme").select_option("Light")
    assert background(page) == "rgb(246, 247, 249)"
    page.reload()

    assert background(page) == "rgb(246, 247, 249)"
    expect(page.get_by_label("Theme")).to_have_value("light")


def test_curves_change_colour_with_the_theme(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    building.add_curves(job_id)
    page = open_page(f"/jobs/{job_id}")
    picture = "document.querySelector('canvas').toDataURL()"
    light = page.evaluate(picture)

    page.get_by_label("Theme").select_option("Dark")

    assert wait_for(lambda: page.evaluate(picture) != light)


def visit(page: Page, url: str) -> None:
    page.goto(url)
    if url.endswith(QUIET):
        return
    page.locator("html[data-ready]").wait_for()
    if "/jobs/new" in url:
        page.locator("html[data-preview]").wait_for()
    if url.endswith("/inspect"):
        page.locator("#trace [role=alert]").wait_for()  # without inference it says so


def test_no_page_is_wider_than_a_phone(
    open_page: OpenPage, paths: list[str], api: ServedApi
) -> None:
    page = open_page(**PHONE)

    for path in paths:
        visit(page, api.url + path)
        assert page.evaluate(WIDTH) == 390, path


@pytest.mark.parametrize("theme", RULES)
def test_axe_finds_nothing(
    open_page: OpenPage, paths: list[str], api: ServedApi, theme: str
) -> None:
    page = open_page(color_scheme=theme, bypass_csp=True)  # axe itself is an inline script

    for path in paths:
        visit(page, api.url + path)
        found = Axe().run(page, context=SAMPLE, options=RULES[theme])
        assert found.violations_count == 0, f"{path}\n{found.generate_report()}"


def test_no_page_breaks_its_own_policy(
    open_page: OpenPage, paths: list[str], api: ServedApi
) -> None:
    page = open_page()
    broken: list[str] = []
    page.on("console", lambda said: broken.append(said.text) if "Policy" in said.text else None)
    for path in paths:
        visit(page, api.url + path)
    page.evaluate("document.body.setAttribute('style', 'color: red')")

    assert len(broken) == 1, broken  # what this test itself broke last, to show that it would see


def test_own_scripts_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in STATIC.glob("*.js")}

    assert sizes
    assert sum(sizes.values()) <= JS_BYTES
    assert all(len(path.read_text().splitlines()) < 200 for path in STATIC.glob("*.js"))


def answers_of(browser: Browser, url: str) -> list[int]:
    """Bytes of each answer that a browser that was never here gets until the page is quiet."""
    answers: list[Response] = []

    def keep(answer: Response) -> None:
        answers.append(answer)

    page = browser.new_page()
    page.on("response", keep)
    page.goto(url, wait_until="networkidle")
    sizes = [answer.request.sizes() for answer in answers]
    page.close()
    return [size["responseBodySize"] + size["responseHeadersSize"] for size in sizes]


def test_a_first_load_is_light(browser: Browser, paths: list[str], api: ServedApi) -> None:
    inspect = next(path for path in paths if path.endswith("/inspect"))
    compare = next(path for path in paths if path.startswith("/compare?"))
    new = next(path for path in paths if path.startswith("/jobs/new"))
    arms = next(path for path in paths if path.endswith("/curves"))
    for path in ("/", paths[2], "/docs", inspect, compare, new, arms, "/datasets"):
        answers = answers_of(browser, api.url + path)

        assert 3 <= len(answers) <= REQUESTS, path
        assert sum(answers) <= LOAD_BYTES, path


def test_a_page_is_drawn_soon(open_page: OpenPage) -> None:
    job_id = building.a_running_job()
    building.add_curves(job_id)
    page = open_page(f"/jobs/{job_id}")

    assert is_drawn_within(page, DRAWN_MS)
