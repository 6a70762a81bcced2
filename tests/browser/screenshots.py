"""Pictures of the pages for the documents: `python -m tests.browser.screenshots [FOLDER]`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from shared.db.engine import transaction
from shared.db.seed import ensure_builtin
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


def compare() -> str:
    """The address of three jobs side by side."""
    ids = []
    for place, cell in enumerate(("lstm", "gru", "elman")):
        job_id = building.a_running_job(f"surnames-{cell}", network={"cell": cell})
        worse = 1 + place / 8
        points = [(epoch * 60, building.val_loss(epoch) * worse) for epoch in range(1, EPOCH + 1)]
        building.add_points(job_id, "val/loss", points)
        ids.append(job_id)
    return f"/compare?ids={','.join(ids)}"


def pages() -> dict[str, tuple[str, str]]:
    """Of each picture, the address and what has to be there before it is taken."""
    with transaction() as db:
        ensure_builtin(db, "surnames")
        dates = ensure_builtin(db, "dates").id
    running, ready = fill(), "html[data-ready]"
    return {
        "dashboard": (f"/jobs/{running}?s=0.6", ready),
        "new-job": ("/jobs/new?from=example:names", "html[data-preview=drawn]"),
        "dataset": (f"/datasets/{dates}", ready),
        "compare": (compare(), ready),
    }


def shoot(browser: Browser, url: str, path: Path, mark: str, theme: str = "light") -> None:
    page = browser.new_page(viewport=VIEW, color_scheme=theme)
    page.goto(url)
    page.locator(mark).wait_for()
    page.screenshot(path=path)
    page.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with served() as api, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        for name, (address, mark) in pages().items():
            shoot(browser, api.url + address, folder / f"{name}.png", mark)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
