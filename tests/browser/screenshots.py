"""Pictures of the pages for the documents: `python -m tests.browser.screenshots [FOLDER]`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser import building
from tests.browser.conftest import FLAGS, NO_SWEEPS_S, find_browser
from tests.browser.serving import ServedApi
from tests.servers import empty_valkey_database, fresh_database, make_template, throw_away_servers

FOLDER = Path("docs/images")
VIEW = {"width": 1280, "height": 800}
EPOCH = 31


@contextmanager
def served() -> Iterator[ServedApi]:
    """The API on an empty database of its own."""
    with throw_away_servers() as servers:
        make_template(servers)
        with fresh_database(servers) as database, empty_valkey_database(servers) as redis:
            os.environ["UNROLL_DATABASE_URL"] = database
            os.environ["UNROLL_REDIS_URL"] = redis
            os.environ["UNROLL_SWEEP_EVERY_S"] = NO_SWEEPS_S
            os.environ["UNROLL_LOG_LEVEL"] = "WARNING"
            with ServedApi() as api:
                yield api


def fill() -> str:
    """A list with a job in every state; the id of the one that runs."""
    done = building.a_running_job("char-language-model", epoch=50, dataset="pydocs")
    building.finish(done)
    failed = building.a_running_job("adding-problem", epoch=17, network={"cell": "elman"})
    building.fail(failed, "The loss became NaN at step 812 (epoch 17).")
    running = building.a_running_job(
        "surnames-bilstm", epoch=EPOCH, network={"num_layers": 2, "bidirectional": True}
    )
    building.add_curves(running, EPOCH)
    for epoch in (29, EPOCH):
        building.add_checkpoint(running, epoch, is_best=epoch == 29)
    building.a_job("copy-gru", network={"cell": "gru"}, dataset="copy")
    return running


def shoot(browser: Browser, url: str, path: Path, theme: str = "light") -> None:
    page = browser.new_page(viewport=VIEW, color_scheme=theme)
    page.goto(url)
    page.locator("html[data-ready]").wait_for()
    page.screenshot(path=path)
    page.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with served() as api, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        running = fill()
        shoot(browser, f"{api.url}/jobs/{running}?s=0.6", folder / "dashboard.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
