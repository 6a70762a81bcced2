"""What the buttons of a page post: each verb where it fits, and nobody else's."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared.db.engine import transaction
from shared.db.keys import KeyStore
from shared.db.viewer import Viewer, viewing
from shared.jobs.states import IN_FORCE, MOVES, JobStatus, Verb
from shared.queue import num_messages
from shared.scopes import USUAL_SCOPES, Scope
from tests.browser import building
from tests.integration.dashboard.conftest import OUR_PAGE
from tests.integration.seeding import job_row, settings

FLAGS = {verb: f"can_{verb}" for verb in Verb}
FOREIGN: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site", "X-Unroll-Page": "1"},
    {"Sec-Fetch-Site": "same-site", "X-Unroll-Page": "1"},
    {"Sec-Fetch-Site": "none", "X-Unroll-Page": "1"},
    {"Origin": "http://elsewhere.test", "X-Unroll-Page": "1"},
    {"Sec-Fetch-Site": "same-origin"},
    {"X-Unroll-Page": "1"},
]
"""Headers of requests that no page of ours made a browser send."""
MOVED = [(verb, now, then) for verb, moves in MOVES.items() for now, then in moves.items()]


def post(client: TestClient, job_id: str, verb: str, headers: dict[str, str] = OUR_PAGE) -> Any:
    return client.post(f"/ui/jobs/{job_id}/{verb}", headers=headers)


@pytest.mark.parametrize(("verb", "now", "then"), MOVED)
def test_a_verb_takes_a_job_on_and_the_answer_shows_the_buttons_that_follow(
    client: TestClient, verb: Verb, now: JobStatus, then: JobStatus
) -> None:
    job_id = building.a_job_in(now)

    answer = post(client, job_id, verb)

    shown = answer.json()
    assert (answer.status_code, shown["status"], job_row(job_id).status) == (200, then, then)
    assert {each for each in Verb if shown[FLAGS[each]]} == {v for v in Verb if then in MOVES[v]}


@pytest.mark.parametrize("now", JobStatus)
def test_a_verb_that_does_not_fit_changes_nothing(client: TestClient, now: JobStatus) -> None:
    job_id = building.a_job_in(now)
    unfit = [verb for verb in Verb if now not in MOVES[verb]]

    for verb in unfit:
        answer = post(client, job_id, verb)
        said = answer.json()
        if now in IN_FORCE[verb]:
            assert (answer.status_code, said["status"]) == (200, now)
        else:
            assert (answer.status_code, said["error"]["code"]) == (409, "illegal_transition")
            assert f"Job {job_id} is {now}; only a job that is" in said["error"]["message"]
        assert job_row(job_id).status == now


@pytest.mark.parametrize(
    ("verb", "now"), [("resume", JobStatus.PAUSED), ("retry", JobStatus.FAILED)]
)
def test_what_comes_back_to_the_queue_wakes_a_worker_once(
    client: TestClient, redis_url: str, verb: str, now: JobStatus
) -> None:
    job_id = building.a_job_in(now)

    answers = [post(client, job_id, verb).status_code for _ in range(2)]

    assert (answers, num_messages()) == ([200, 200], 1)


def test_a_full_queue_is_said_in_the_words_that_a_toast_shows(client: TestClient) -> None:
    job_id = building.a_job_in(JobStatus.PAUSED)
    building.a_job()

    with settings(max_queued_jobs="1"):
        answer = post(client, job_id, "resume")

    assert answer.status_code == 429
    assert "one key may have 1 waiting job" in answer.json()["error"]["message"]
    assert job_row(job_id).status == "paused"


def test_there_is_no_other_verb_and_no_verb_without_a_job(client: TestClient) -> None:
    job_id = building.a_job()

    assert post(client, job_id, "delete").status_code == 422
    assert post(client, "job_999", "pause").status_code == 404
    assert job_row(job_id).status == "queued"


@pytest.mark.parametrize("verb", Verb)
def test_another_site_cannot_act(client: TestClient, verb: Verb) -> None:
    now = next(iter(MOVES[verb]))
    job_id = building.a_job_in(now)

    answers = [post(client, job_id, verb, headers).status_code for headers in FOREIGN]

    assert (answers, job_row(job_id).status) == ([403] * len(FOREIGN), now)


@pytest.fixture
def logged_in(guarded: TestClient) -> Callable[..., str]:
    """`logged_in(*scopes)`: the id of a new key, with which the client's browser has logged in."""

    def log_in(*scopes: Scope) -> str:
        with transaction() as db:
            row, secret = KeyStore(db).create("someone", scopes)
        guarded.post("/login", data={"key": secret}, headers=OUR_PAGE)
        return row.id

    return log_in


def a_job_of(key_id: str, now: JobStatus) -> str:
    with viewing(Viewer(key_id, sees_all=False)):
        return building.a_job_in(now)


@pytest.mark.parametrize("verb", Verb)
def test_a_key_that_may_only_look_cannot_act_on_its_own_job(
    guarded: TestClient, logged_in: Callable[..., str], verb: Verb
) -> None:
    now = next(iter(MOVES[verb]))
    job_id = a_job_of(logged_in(Scope.READ, Scope.INFER), now)

    looked, answer = guarded.get(f"/ui/jobs/{job_id}"), post(guarded, job_id, verb)

    assert (looked.status_code, answer.status_code) == (200, 403)
    assert "lacks the scope 'submit'" in answer.json()["error"]["message"]
    assert job_row(job_id).status == now


@pytest.mark.parametrize("verb", Verb)
def test_a_usual_key_acts_on_its_own_job_and_finds_no_other(
    guarded: TestClient, logged_in: Callable[..., str], verb: Verb
) -> None:
    now, then = next(iter(MOVES[verb].items()))
    with transaction() as db:
        stranger = KeyStore(db).create("stranger", USUAL_SCOPES)[0].id
    mine, theirs = a_job_of(logged_in(*USUAL_SCOPES), now), a_job_of(stranger, now)

    answers = [post(guarded, job_id, verb).status_code for job_id in (mine, theirs)]

    assert answers == [200, 404]
    assert (job_row(mine).status, job_row(theirs).status) == (then, now)


@pytest.mark.parametrize("verb", Verb)
def test_without_a_login_nobody_acts(guarded: TestClient, verb: Verb) -> None:
    now = next(iter(MOVES[verb]))
    job_id = building.a_job_in(now)

    assert post(guarded, job_id, verb).status_code == 401
    assert job_row(job_id).status == now
