"""Events from a stream of bytes, through lost connections."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.client.client import Unavailable, UnexpectedAnswer, Unreachable, UnrollClient
from services.client.events import PAUSES_S, lines_of, messages_of
from tests.unit.client.stub import Answer, Stub, error, event_stream, job_json

STREAM = "/v1/jobs/job_1/events/stream"
QUEUED = ("evt_1", "status", {"status": "queued"})
METRIC = ("evt_2", "metric", {"step": 3, "values": {"train/loss": 0.5}})
SUCCEEDED = ("evt_3", "status", {"status": "succeeded"})
AWKWARD = json.dumps({"text": "a\u2028b\x85c\x0bd"}, ensure_ascii=False)


@given(cuts=st.lists(st.integers(0, 200), max_size=8), ending=st.sampled_from(["\n", "\r\n", "\r"]))
def test_lines_are_the_same_however_the_bytes_are_cut_and_ended(
    cuts: list[int], ending: str
) -> None:
    lines = [": comment", "id: evt_ü", "event: log", f"data: {AWKWARD}", ""]
    stream = (ending.join(lines) + ending + "\n").encode()
    marks = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    chunks = [stream[start:stop] for start, stop in pairwise(marks)]

    found = list(lines_of(chunks))

    assert found[:4] == lines[:4]
    (message,) = messages_of(found)
    assert (message.id, message.type, message.data) == ("evt_ü", "log", [AWKWARD])


def test_a_message_that_was_cut_off_is_left_out() -> None:
    found = messages_of(["id: 1", "data: {}", "", "id: 2", "data: {"])

    assert [message.id for message in found] == ["1"]


def test_data_over_several_lines_is_one_text() -> None:
    (message,) = messages_of(["data: {", "data:}", ""])

    assert message.data == ["{", "}"]


def test_events_come_typed_until_the_final_status(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", STREAM, event_stream(QUEUED, METRIC, SUCCEEDED))

    events = list(client.stream("job_1"))

    assert [(event.id, event.type, event.data) for event in events] == [QUEUED, METRIC, SUCCEEDED]
    assert [event.is_final for event in events] == [False, False, True]


def test_a_lost_connection_goes_on_after_the_last_event_seen(
    stub: Stub, client: UnrollClient, pauses: list[float]
) -> None:
    lost = Answer(breaks_off=True)
    stub.on("GET", STREAM, event_stream(QUEUED, METRIC), lost, event_stream(SUCCEEDED))
    stub.on("GET", "/v1/jobs/job_1", job_json("running"), job_json("succeeded"))

    events = list(client.stream("job_1"))

    assert [event.id for event in events] == ["evt_1", "evt_2", "evt_3"]
    marks = [request.headers.get("Last-Event-ID") for request in stub.asked("GET", STREAM)]
    assert marks == [None, "evt_2", "evt_2"]
    assert pauses[0] == PAUSES_S[0]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_was_tried_again_is_told_to_its_last_end(
    stub: Stub, client: UnrollClient, status: str
) -> None:
    ended = ("evt_2", "status", {"status": status})
    again = ("evt_3", "status", {"status": "queued", "reason": "tried again by the user"})
    stub.on("GET", STREAM, event_stream(QUEUED, ended, again, SUCCEEDED))
    stub.on("GET", "/v1/jobs/job_1", job_json("succeeded"))

    events = list(client.stream("job_1"))

    assert [event.data["status"] for event in events] == ["queued", status, "queued", "succeeded"]
    assert len(stub.asked("GET", STREAM)) == 1


def test_a_stream_that_closes_at_an_end_goes_on_when_the_job_does(
    stub: Stub, client: UnrollClient
) -> None:
    failed = ("evt_2", "status", {"status": "failed"})
    stub.on("GET", STREAM, event_stream(QUEUED, failed), event_stream(SUCCEEDED))
    stub.on("GET", "/v1/jobs/job_1", job_json("queued"), job_json("succeeded"))

    events = list(client.stream("job_1"))

    assert [event.data["status"] for event in events] == ["queued", "failed", "succeeded"]
    assert stub.asked("GET", STREAM)[1].headers["Last-Event-ID"] == "evt_2"


def test_a_stream_can_begin_after_an_event(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", STREAM, event_stream(SUCCEEDED))

    list(client.stream("job_1", last_event_id="evt_2"))

    assert stub.requests[0].headers["Last-Event-ID"] == "evt_2"


def test_a_stream_that_closes_ends_when_the_job_has_ended(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", STREAM, event_stream())
    stub.on("GET", "/v1/jobs/job_1", job_json("cancelled"))

    assert list(client.stream("job_1")) == []


def test_a_service_that_stays_away_ends_the_stream(
    stub: Stub, client: UnrollClient, pauses: list[float]
) -> None:
    stub.on("GET", STREAM, Answer(breaks_off=True))

    with pytest.raises(Unreachable, match=stub.url):
        list(client.stream("job_1"))

    assert [pause for pause in pauses if pause in PAUSES_S][-1] == PAUSES_S[-1]


def test_a_service_that_stays_busy_ends_the_stream(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", STREAM, error(503, "unavailable", "Away."))

    with pytest.raises(Unavailable):
        list(client.stream("job_1"))


def test_a_page_in_place_of_a_stream_is_recognised(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", STREAM, Answer(200, b"<html>", {"content-type": "text/html"}))

    with pytest.raises(UnexpectedAnswer, match="no event stream"):
        list(client.stream("job_1"))
