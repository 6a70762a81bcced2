"""How requests are repeated, refused and given up."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from services.client.client import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TimedOut,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    UnrollClient,
)
from services.client.transport import retry_after_s
from tests.servers import free_port
from tests.unit.client.stub import Answer, Stub, dataset_json, error, job_json

BUSY = error(503, "unavailable", "Try again shortly.", headers={"Retry-After": "2"})
BROKEN = Answer(breaks_off=True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (413, TooLarge),
        (422, Invalid),
        (429, TooManyRequests),
        (503, Unavailable),
        (500, ApiError),
    ],
)
def test_a_refusal_becomes_the_error_of_its_status_with_all_it_said(
    stub: Stub, client: UnrollClient, status: int, kind: type[ApiError]
) -> None:
    details = [{"param": "training.epochs", "message": "too few"}]
    stub.on("GET", "/v1/jobs/x", error(status, "why", "Do this.", param="p", details=details))

    with pytest.raises(kind) as refusal:
        client.job("x")

    assert type(refusal.value) is kind
    found = refusal.value
    assert (found.status, found.code, found.message) == (status, "why", "Do this.")
    assert (found.param, found.details, found.request_id) == ("p", details, "req_1")


def test_a_refusal_that_is_no_json_still_says_its_status(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", "/v1/jobs/x", Answer(403, b"<html>no</html>"))

    with pytest.raises(Forbidden, match="403 Forbidden: <html>no</html>") as refusal:
        client.job("x")

    assert refusal.value.code == "http_403"


def test_a_busy_service_is_asked_again_after_the_time_it_names(
    stub: Stub, client: UnrollClient, pauses: list[float]
) -> None:
    stub.on("GET", "/v1/jobs/job_1", BUSY, BUSY, job_json())

    assert client.job("job_1").id == "job_1"
    assert pauses == [2.0, 2.0]


def test_a_service_that_stays_busy_is_reported(
    stub: Stub, client: UnrollClient, pauses: list[float]
) -> None:
    stub.on("GET", "/v1/jobs/job_1", BUSY)

    with pytest.raises(Unavailable):
        client.job("job_1")

    assert len(pauses) == 3


def test_an_hour_of_retry_after_is_reported_at_once(
    stub: Stub, client: UnrollClient, pauses: list[float]
) -> None:
    stub.on("GET", "/v1/jobs/x", error(429, "slow", "Later.", headers={"Retry-After": "3600"}))

    with pytest.raises(TooManyRequests):
        client.job("x")

    assert pauses == []


def test_a_service_that_forbids_a_retry_is_asked_once(
    stub: Stub, client: UnrollClient, pauses: list[float]
) -> None:
    stub.on("GET", "/v1/jobs/x", error(503, "no", "No.", headers={"x-should-retry": "false"}))

    with pytest.raises(Unavailable):
        client.job("x")

    assert pauses == []


def test_a_submission_over_a_broken_connection_is_repeated_under_one_key(
    stub: Stub, client: UnrollClient, pauses: list[float]
) -> None:
    stub.on("POST", "/v1/jobs", BROKEN, BROKEN, Answer(201, job_json()))

    assert client.submit({"dataset": "d"}).id == "job_1"

    sent = stub.asked("POST", "/v1/jobs")
    assert len(sent) == 3
    assert len({request.headers["Idempotency-Key"] for request in sent}) == 1
    assert [request.json for request in sent] == [{"dataset": "d"}] * 3
    assert len(pauses) == 2


def test_two_submissions_have_two_keys_unless_told_otherwise(
    stub: Stub, client: UnrollClient
) -> None:
    stub.on("POST", "/v1/jobs", Answer(201, job_json()))

    client.submit({})
    client.submit({})
    client.submit({}, idempotency_key="mine")

    keys = [request.headers["Idempotency-Key"] for request in stub.asked("POST", "/v1/jobs")]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_an_upload_is_sent_again_from_its_first_byte(
    stub: Stub, client: UnrollClient, tmp_path: Path
) -> None:
    path = tmp_path / "names.jsonl"
    content = b'{"input": "x", "target": "y"}\n' * 10_000
    path.write_bytes(content)
    stub.on("POST", "/v1/datasets", BROKEN, BUSY, Answer(201, dataset_json("names")))

    assert client.upload(path, options={"tokens": "char"}).name == "names"

    bodies = [request.body for request in stub.asked("POST", "/v1/datasets")]
    assert len(bodies) == 3
    assert all(content in body for body in bodies)
    assert all(b'filename="names.jsonl"' in body for body in bodies)
    assert b'{"tokens": "char"}' in bodies[0]


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_what_must_not_happen_twice_is_not_repeated_over_a_broken_connection(
    stub: Stub, client: UnrollClient, verb: str
) -> None:
    stub.on("POST", "/v1/jobs/job_1/cancel", BROKEN, job_json("cancelled"))
    stub.on("DELETE", "/v1/jobs/job_1", BROKEN, Answer(204, b""))
    calls = {"cancel": client.cancel, "delete": client.delete_job}

    with pytest.raises(Unreachable):
        calls[verb]("job_1")

    assert len(stub.requests) == 1


def test_a_proxy_that_lost_its_service_is_asked_again_only_for_what_is_safe(
    stub: Stub, client: UnrollClient
) -> None:
    lost = Answer(502, b"bad gateway")
    stub.on("GET", "/v1/jobs/job_1", lost, job_json())
    stub.on("POST", "/v1/jobs/job_1/cancel", lost, job_json())

    assert client.job("job_1").id == "job_1"
    with pytest.raises(ApiError) as refusal:
        client.cancel("job_1")

    assert refusal.value.status == 502


def test_nobody_at_the_url_is_said_with_the_url_and_the_remedy(pauses: list[float]) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with (
        UnrollClient(url, sleep=pauses.append) as client,
        pytest.raises(Unreachable, match=f"Cannot reach {url} .*`unroll up`") as fault,
    ):
        client.job("x")

    assert fault.value.url == url
    assert len(pauses) == 3
    assert pauses == sorted(pauses)


def test_an_answer_that_does_not_come_is_a_time_out_and_not_asked_for_again() -> None:
    calls = []

    def silent(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        raise httpx.ReadTimeout("silence", request=request)

    with (
        UnrollClient("http://stub", transport=httpx.MockTransport(silent)) as client,
        pytest.raises(TimedOut, match="--timeout-s"),
    ):
        client.job("x")

    assert len(calls) == 1


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[1, 2]", b'{"hello": "world"}'])
def test_another_service_at_the_url_is_recognised(
    stub: Stub, client: UnrollClient, body: bytes
) -> None:
    stub.on("GET", "/v1/jobs/x", Answer(200, body))

    with pytest.raises(UnexpectedAnswer):
        client.job("x")


def test_a_redirection_is_reported_with_where_it_leads(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", "/v1/jobs/x", Answer(301, {}, {"location": "https://elsewhere/v1/jobs/x"}))

    with pytest.raises(UnexpectedAnswer, match="https://elsewhere"):
        client.job("x")


def test_the_key_travels_as_a_bearer(stub: Stub) -> None:
    stub.on("GET", "/v1/jobs/x", job_json())

    with UnrollClient(stub.url, api_key="k1") as client:
        client.job("x")

    assert stub.requests[0].headers["Authorization"] == "Bearer k1"


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    stub.on("GET", "/v1/jobs/x", job_json())

    with UnrollClient(stub.url) as client:
        assert client.job("x").id == "job_1"


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)

    assert retry_after_s("7") == 7.0
    assert retry_after_s(later) == pytest.approx(100, abs=2)
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after_s("soon") is None
    assert retry_after_s("") is None
