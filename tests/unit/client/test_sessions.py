"""Sessions and written sequences: what the client and the commands send, and how they show answers."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from services.client.client import Conflict, Generated, Unavailable, UnrollClient
from services.client.errors import UnexpectedAnswer
from tests.unit.client.conftest import Result
from tests.unit.client.stub import CREATED, Answer, Stub, error

Unroll = Callable[..., Result]
FACTS = {
    "id": "sess_1",
    "object": "session",
    "model": "net",
    "version": 2,
    "position": 0,
    "lifetime_s": 60.0,
    "created_at": CREATED,
    "expires_at": CREATED,
}
OUTPUT = {"values": [1.5]}
SESSION = "/v1/sessions/sess_1"
GENERATE = "/v1/models/net/generate"
WHOLE = {"model": "net", "version": 2, "output": {"text": "ab", "finish_reason": "length"}}


def stepped(position: int, *outputs: Any) -> dict[str, Any]:
    return {"outputs": list(outputs), "position": position, "expires_at": CREATED}


def events(*pairs: tuple[str, dict[str, Any]]) -> Answer:
    text = "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in pairs)
    return Answer(body=text.encode(), headers={"Content-Type": "text/event-stream"})


TOKENS = [
    ("token", {"index": n, "symbol": c, "text": c, "logprob": -1.0}) for n, c in enumerate("ab")
]


@pytest.fixture
def client(stub: Stub) -> UnrollClient:
    return UnrollClient(stub.url, inference_url=stub.url, sleep=lambda _: None)


def test_each_step_names_the_position_that_the_last_answer_told(
    stub: Stub, client: UnrollClient
) -> None:
    stub.on("POST", "/v1/models/net/versions/2/sessions", Answer(201, FACTS))
    stub.on("POST", f"{SESSION}/step", stepped(2, OUTPUT, OUTPUT), stepped(3, OUTPUT))
    stub.on("DELETE", SESSION, Answer(204))
    with client.session("net", version=2, lifetime_s=60) as session:
        assert session.step([1, 2]) == [OUTPUT, OUTPUT]
        assert session.step("x") == [OUTPUT]
        assert session.position == 3

    steps = stub.asked("POST", f"{SESSION}/step")
    assert [step.json["position"] for step in steps] == [0, 2]
    assert [step.json["inputs"] for step in steps] == [[1, 2], "x"]
    made = stub.requests[0]
    assert made.json == {"state": None, "lifetime_s": 60}
    assert made.headers["Idempotency-Key"]
    assert stub.asked("DELETE", SESSION)


def test_a_step_is_not_sent_again_when_its_answer_is_lost(stub: Stub, client: UnrollClient) -> None:
    stub.on("GET", SESSION, FACTS, {**FACTS, "position": 1})
    stub.on("POST", f"{SESSION}/step", error(409, "session_moved", "read already"))
    session = client.open_session("sess_1")
    with pytest.raises(Conflict):
        session.step([1])

    assert len(stub.asked("POST", f"{SESSION}/step")) == 1
    assert session.refresh().position == 1


def test_a_sequence_comes_step_by_step_and_then_whole(stub: Stub, client: UnrollClient) -> None:
    stub.on("POST", GENERATE, events(*TOKENS, ("done", WHOLE)))
    *tokens, whole = client.stream_generate("net", "x", options={"max_length": 2})

    assert [token.raw["text"] for token in tokens] == ["a", "b"]
    assert isinstance(whole, Generated)
    assert whole.output["text"] == "ab"
    assert stub.requests[0].json == {"input": "x", "options": {"max_length": 2}, "stream": True}


def test_a_sequence_that_breaks_off_is_no_whole_one(stub: Stub, client: UnrollClient) -> None:
    late = {"code": "deadline_exceeded", "message": "too late"}
    stub.on("POST", GENERATE, events(TOKENS[0]), events(TOKENS[0], ("error", late)))

    with pytest.raises(UnexpectedAnswer):
        list(client.stream_generate("net", "x"))
    with pytest.raises(Unavailable, match="too late"):
        list(client.stream_generate("net", "x"))


def test_generate_shows_the_text_while_it_is_written(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", GENERATE, events(*TOKENS, ("done", WHOLE)))

    shown = unroll("generate", "net", "[unfinished", "--stop", "\n", "--option", "max_length=2")
    as_json = unroll("generate", "net", "x", "--json")

    assert shown.out == "ab\n"
    assert json.loads(as_json.out) == WHOLE
    assert stub.requests[0].json["options"] == {"max_length": 2, "stop": ["\n"]}


def test_generate_shows_numbers_a_line_each(stub: Stub, unroll: Unroll) -> None:
    whole = {**WHOLE, "output": {"values": [1.5], "finish_reason": "end"}}
    stub.on("POST", GENERATE, events(("token", {"index": 0, "value": 1.5}), ("done", whole)))

    assert unroll("generate", "net", "[1, 2]").out == "1.5\n"
    assert stub.requests[0].json["input"] == [1, 2]


def test_elements_are_numbers_arrays_or_symbols(stub: Stub, unroll: Unroll) -> None:
    stub.on("GET", SESSION, FACTS)
    stub.on("POST", f"{SESSION}/step", stepped(4, OUTPUT))

    assert unroll("session", "step", "sess_1", "1.5", "[1, 2]", "x", "true").out == "[1.5]\n"
    unroll("session", "step", "sess_1", "--text", "1.5")
    assert unroll("session", "step", "sess_1", "NaN").code == 6

    sent = [request.json["inputs"] for request in stub.asked("POST", f"{SESSION}/step")]
    assert sent == [[1.5, [1, 2], "x", "true"], ["1.5"]]


def test_a_session_is_made_shown_forked_exported_and_deleted(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", "/v1/models/net/sessions", Answer(201, FACTS))
    stub.on("GET", SESSION, FACTS)
    stub.on("POST", f"{SESSION}/fork", Answer(201, {**FACTS, "id": "sess_2"}))
    stub.on("GET", f"{SESSION}/state", {"state": "c2lnbmVk"})
    stub.on("DELETE", SESSION, Answer(204))

    assert unroll("session", "create", "net", "--state", "c2ln").out == "sess_1\n"
    assert stub.requests[0].json["state"] == "c2ln"
    assert json.loads(unroll("session", "show", "sess_1").out) == FACTS
    assert unroll("session", "fork", "sess_1").out == "sess_2\n"
    assert unroll("session", "export", "sess_1").out == "c2lnbmVk\n"
    assert unroll("session", "delete", "sess_1").code == 0
    assert stub.asked("DELETE", SESSION)
