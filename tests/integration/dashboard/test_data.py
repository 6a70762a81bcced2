"""What pages fetch: cheap when nothing changed, complete when something did, closed to strangers."""

import pytest
from fastapi.testclient import TestClient

from services.dashboard import access, polling
from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.jobs import JobStore
from tests.browser import building
from tests.conftest import forget_settings
from tests.integration.dashboard.conftest import KEY, OUR_PAGE
from tests.integration.seeding import execute, slowly_read


def test_an_unchanged_list_is_answered_304(client: TestClient) -> None:
    job_id = building.a_running_job()
    first = client.get("/ui/jobs")

    again = client.get("/ui/jobs", headers={"If-None-Match": first.headers["etag"]})
    building.train_to(job_id, 40)
    changed = client.get("/ui/jobs", headers={"If-None-Match": first.headers["etag"]})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert changed.status_code == 200
    assert changed.json()["jobs"][0]["percent"] == "80 %"


def test_curves_go_on_after_the_steps_already_seen(client: TestClient) -> None:
    job_id = building.a_running_job()
    building.add_curves(job_id, 10)
    address = f"/ui/jobs/{job_id}?part=curves&charts=loss"

    whole = client.get(address).json()["curves"]
    rest = client.get(f"{address}&after=val/loss:540&after=train/loss:600").json()["curves"]

    assert list(whole["series"]) == ["train/loss", "val/loss"]
    assert whole["series"]["val/loss"]["step"] == list(range(60, 601, 60))
    assert rest["series"]["val/loss"]["step"] == [600]
    assert rest["series"]["train/loss"]["step"] == []
    assert list(whole["groups"]) == ["loss", "accuracy", "f1_macro", "grad_norm"]


def test_a_malformed_mark_is_refused_by_name(client: TestClient) -> None:
    job_id = building.a_job()

    answer = client.get(f"/ui/jobs/{job_id}?part=curves&after=nonsense")

    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "after"


def test_a_long_curve_comes_thinned_out_with_its_spike(client: TestClient) -> None:
    job_id = building.a_running_job()
    points = [(step, 99.0 if step == 7777 else 1.0) for step in range(20_000)]
    building.add_points(job_id, "train/loss", points)

    curve = client.get(f"/ui/jobs/{job_id}?part=curves").json()["curves"]["series"]["train/loss"]

    assert 300 <= len(curve["step"]) <= 620
    assert 99.0 in curve["value"]
    assert curve["step"][-1] == 19_999


def test_events_are_asked_for_after_a_number(client: TestClient) -> None:
    job_id = building.a_running_job()
    building.add_log(job_id, "first")
    with transaction() as db:
        last = EventStore(db).last(job_id, 1)[0].number
    building.add_log(job_id, "second")

    state = client.get(f"/ui/jobs/{job_id}?part=events&after_event={last}").json()

    assert [event["text"] for event in state["events"]] == ["second"]


def test_the_log_downloads_as_text(client: TestClient) -> None:
    job_id = building.a_running_job()
    building.add_log(job_id, "gradient clipped")

    answer = client.get(f"/ui/jobs/{job_id}/log.txt")

    lines = answer.text.splitlines()
    assert lines[0].split(maxsplit=2)[2] == "status     queued"
    assert lines[-1].endswith("log        gradient clipped")


def test_a_log_of_many_pages_holds_no_transaction_while_its_reader_is_slow(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LOG_PAGE", 2)
    job_id = building.a_job()
    for number in range(4):
        building.add_log(job_id, f"line {number}")

    texts = [str(piece) for piece in slowly_read(polling.download_log(job_id).body_iterator)]

    assert [len(text.splitlines()) for text in texts] == [2, 2, 1]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "X-Unroll-Page": "1"},
        {"Sec-Fetch-Site": "same-site", "X-Unroll-Page": "1"},
        {"Origin": "http://elsewhere.test", "X-Unroll-Page": "1"},
        {"Sec-Fetch-Site": "same-origin"},
        {"X-Unroll-Page": "1"},
    ],
)
def test_another_site_cannot_cancel(client: TestClient, headers: dict[str, str]) -> None:
    job_id = building.a_job()

    answer = client.post(f"/ui/jobs/{job_id}/cancel", headers=headers)

    with transaction() as db:
        status = JobStore(db).get(job_id).status
    assert (answer.status_code, status) == (403, "queued")


def test_a_page_can_cancel_and_a_second_time_is_a_conflict(client: TestClient) -> None:
    job_id = building.a_job()

    first = client.post(f"/ui/jobs/{job_id}/cancel", headers=OUR_PAGE)
    second = client.post(f"/ui/jobs/{job_id}/cancel", headers=OUR_PAGE)

    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert (second.status_code, second.json()["error"]["code"]) == (409, "illegal_transition")


def test_without_a_login_pages_lead_to_it_and_data_are_refused(guarded: TestClient) -> None:
    job_id = building.a_job()
    closed = ["/ui/jobs", f"/ui/jobs/{job_id}", f"/ui/jobs/{job_id}/metrics.csv"]

    page = guarded.get(f"/jobs/{job_id}?x=epoch")
    answers = [guarded.get(path).status_code for path in closed]
    cancelled = guarded.post(f"/ui/jobs/{job_id}/cancel", headers=OUR_PAGE)

    assert (page.status_code, page.headers["location"]) == (
        303,
        f"/login?next=%2Fjobs%2F{job_id}%3Fx%3Depoch",
    )
    assert answers == [401, 401, 401]
    assert cancelled.status_code == 401
    assert guarded.get("/static/app.css").status_code == 200


def test_a_login_ends_in_time_and_at_the_logout_also_for_a_copied_cookie(
    guarded: TestClient,
) -> None:
    guarded.post("/login", data={"key": KEY}, headers=OUR_PAGE)
    copied = {"Cookie": f"{access.COOKIE}={guarded.cookies[access.COOKIE]}"}
    guarded.cookies.clear()
    during = guarded.get("/ui/jobs", headers=copied).status_code
    guarded.post("/logout", headers={**OUR_PAGE, **copied})
    after = guarded.get("/ui/jobs", headers=copied).status_code

    guarded.post("/login", data={"key": KEY}, headers=OUR_PAGE)
    execute("UPDATE logins SET ends_at = now()")
    ended = guarded.get("/ui/jobs").status_code

    assert (during, after, ended) == (200, 401, 401)


def test_a_cookie_that_nobody_was_given_is_no_login(guarded: TestClient) -> None:
    for token in ("", "x", "%C3%A9", "0" * 5000):
        cookie = {"Cookie": f"{access.COOKIE}={token}"}
        assert guarded.get("/ui/jobs", headers=cookie).status_code == 401


@pytest.mark.parametrize(
    "wanted", ["//evil.test", "/\\evil.test", "http://evil.test", "/a\r\nb", ""]
)
def test_a_login_never_leads_away(guarded: TestClient, wanted: str) -> None:
    answer = guarded.post("/login", data={"key": KEY, "next": wanted}, headers=OUR_PAGE)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_pages_say_in_words_what_is_wrong(client: TestClient) -> None:
    unknown = client.get("/jobs/job_999")
    bad = client.get("/?status=resting")

    assert (unknown.status_code, bad.status_code) == (404, 422)
    assert "There is no job &#39;job_999&#39;" in unknown.text
    assert "a value that is not allowed here: status" in bad.text


def test_a_database_that_is_away_is_a_page(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLL_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    forget_settings()

    answer = client.get("/")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert "The database does not answer." in answer.text


def test_pages_load_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, services.dashboard.router; print('torch' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "False"
