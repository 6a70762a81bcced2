"""Sessions: the state is carried, kept outside of the process, moved, copied, signed and ended."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.inference.sessions.state import unpack
from services.inference.sessions.store import SessionStore
from shared.queue import get_redis
from tests.conftest import forget_settings
from tests.integration.api.client import error_of
from tests.integration.inference.conftest import inference_client
from tests.integration.inference.publishing import INPUTS, KINDS, publish
from tests.integration.inference.test_predict import name_of, numbers_of, predict
from tests.integration.seeding import execute
from tests.servers import wait_for

STEPS = 5


@pytest.fixture(scope="module")
def replica(client: TestClient) -> Iterator[TestClient]:
    """A second service on the same servers."""
    with inference_client() as replica:
        yield replica


def create(client: TestClient, kind: str = "tags", **body: Any) -> dict[str, Any]:
    response = client.post(f"/v1/models/{name_of(kind)}/sessions", json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def step(client: TestClient, session: dict[str, Any], inputs: Any, **body: Any) -> dict[str, Any]:
    path = f"/v1/sessions/{session['id']}/step"
    response = client.post(path, json={"inputs": inputs, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def try_step(client: TestClient, session: dict[str, Any], inputs: Any = "x", **body: Any) -> Any:
    return client.post(f"/v1/sessions/{session['id']}/step", json={"inputs": inputs, **body})


def elements_of(kind: str) -> list[Any]:
    return list(INPUTS[kind])


def whole(client: TestClient, kind: str, inputs: Any) -> dict[str, Any]:
    """What predict says of the inputs at once."""
    return predict(client, name_of(kind), [inputs])[0]


def shown_at(kind: str, output: dict[str, Any], expected: dict[str, Any], t: int) -> None:
    """One step's answer says what predict says of that step, or of all up to it."""
    if "labels" in expected:
        assert output["label"] == expected["labels"][t]
        likeliest = max(output["probabilities"].values())
        assert likeliest == pytest.approx(expected["probabilities"][t], abs=1e-5)
    elif kind in ("class", "text class", "list of symbols", "regression", "vector"):
        assert numbers_of(output) == pytest.approx(numbers_of(expected), rel=1e-5, abs=1e-5)
    else:
        found = numbers_of(output).reshape(-1)
        at = numbers_of(expected).reshape(STEPS, -1)[t]
        assert found == pytest.approx(at, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_step_by_step_every_kind_of_model_says_what_predict_says_of_the_whole(
    client: TestClient, replica: TestClient, kind: str
) -> None:
    elements, session = elements_of(kind), create(client, kind)
    outputs = step(client, session, elements[:2])["outputs"]
    outputs += step(replica, session, elements[2:3])["outputs"]  # states belong to no process
    outputs += step(client, session, elements[3:])["outputs"]

    assert len(outputs) == STEPS
    for t in range(STEPS) if "values" in outputs[0] or "label" in outputs[0] else [STEPS - 1]:
        so_far = INPUTS[kind] if is_per_step(client, kind) else INPUTS[kind][: t + 1]
        shown_at(kind, outputs[t], whole(client, kind, so_far), t)


def is_per_step(client: TestClient, kind: str) -> bool:
    return not {"label", "value"} & set(whole(client, kind, INPUTS[kind]))


def test_text_is_split_into_its_elements(client: TestClient) -> None:
    one, other = create(client), create(client)

    assert step(client, one, "xyz")["outputs"] == step(client, other, ["x", "y", "z"])["outputs"]


def test_a_session_says_where_it_stands(client: TestClient) -> None:
    session = create(client, lifetime_s=100)
    answer = step(client, session, "xyz")
    shown = client.get(f"/v1/sessions/{session['id']}").json()

    assert session["id"].startswith("sess_")
    assert (session["model"], session["version"], session["position"]) == ("tags", 1, 0)
    assert answer["position"] == shown["position"] == 3
    assert session["expires_at"] < answer["expires_at"]
    assert set(shown) == set(session)


def test_many_sessions_at_once_go_on_as_each_would_alone(
    client: TestClient, replica: TestClient
) -> None:
    texts = [("xyzx" * 12)[n : n + 5 + n % 9] for n in range(16)]
    expected = [whole(client, "tags", text)["labels"] for text in texts]

    def run(text: str) -> list[str]:
        session, labels = create(client), []
        for t, symbol in enumerate(text):
            [output] = step((client, replica)[t % 2], session, [symbol])["outputs"]
            labels.append(output["label"])
        return labels

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(run, texts)) == expected


def test_no_step_is_lost_however_many_come_at_once(client: TestClient, replica: TestClient) -> None:
    session, alone = create(client, "regression"), create(client, "regression")

    def go_on(n: int) -> int:
        return int(step((client, replica)[n % 2], session, [1.5])["position"])

    with ThreadPoolExecutor(8) as threads:
        positions = sorted(threads.map(go_on, range(24)))
    expected = step(client, alone, [1.5] * 25)["outputs"][-1]["value"]

    assert positions == list(range(1, 25))
    assert step(client, session, [1.5])["outputs"][0]["value"] == pytest.approx(expected, abs=1e-5)


def test_a_step_that_names_another_position_is_not_made(
    client: TestClient, replica: TestClient
) -> None:
    session = create(client)
    step(client, session, "xy", position=0)
    again = error_of(try_step(replica, session, "xy", position=0), 409)

    assert (again["code"], again["param"]) == ("session_moved", "position")
    assert '"position": 2' in again["message"]
    assert step(client, session, "z", position=2)["position"] == 3


def test_a_fork_goes_its_own_way_from_the_same_state(client: TestClient) -> None:
    session = create(client, "regression")
    step(client, session, [1, 2])
    fork = client.post(f"/v1/sessions/{session['id']}/fork").json()
    step(client, session, [100])
    answer = step(client, fork, [3])

    assert fork["position"] == 2
    expected = whole(client, "regression", [1, 2, 3])["value"]
    assert answer["outputs"][0]["value"] == pytest.approx(expected, abs=1e-5)


def exported(client: TestClient, session: dict[str, Any]) -> str:
    answer = client.get(f"/v1/sessions/{session['id']}/state")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["state"])


def test_an_exported_state_makes_a_session_that_goes_on_from_it(
    client: TestClient, replica: TestClient
) -> None:
    session = create(client, "regression")
    step(client, session, [1, 2])
    state = exported(replica, session)
    client.delete(f"/v1/sessions/{session['id']}")
    made = create(replica, "regression", state=state)

    assert made["position"] == 2
    expected = whole(client, "regression", [1, 2, 3])["value"]
    found = step(client, made, [3])["outputs"][0]["value"]
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_state_that_was_changed_or_is_of_another_model_is_refused(client: TestClient) -> None:
    state = exported(client, create(client))
    data = bytearray(base64.urlsafe_b64decode(state))
    data[-1] ^= 1
    changed = base64.urlsafe_b64encode(data).decode()

    for model, wrong in (("tags", changed), ("tags", "é"), ("tags", state[:40]), ("class", state)):
        response = client.post(f"/v1/models/{model}/sessions", json={"state": wrong})
        assert error_of(response, 422)["param"] == "state"


def test_the_key_that_signs_may_be_the_operators(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = create(client)
    kept = exported(client, session)
    with monkeypatch.context() as patch:
        patch.setenv("UNROLL_SESSION_KEY", "from the vault")
        forget_settings()
        ours = exported(client, session)
        assert ours != kept
        create(client, state=ours)
        error_of(client.post("/v1/models/tags/sessions", json={"state": kept}), 422)
    forget_settings()

    assert exported(client, session) == kept


def test_states_are_kept_as_plain_numbers(client: TestClient) -> None:
    session = create(client)
    step(client, session, "xy")
    state_S, metadata = unpack(SessionStore().load(session["id"]).state)

    assert state_S.dtype.name == "float32"
    assert (len(state_S), metadata) == (12, {})  # h and c of six units


def let_expire(session: dict[str, Any]) -> None:
    """As if its lifetime had passed since its last step."""
    key = f"unroll.session.{session['id']}"
    assert 0 < get_redis().pttl(key) <= 50_000 < get_redis().pttl(f"{key}.was")
    get_redis().pexpireat(key, 1)
    get_redis().zincrby("unroll.sessions", -50_000, session["id"])


def test_a_session_expires_and_is_then_gone_but_not_unknown(client: TestClient) -> None:
    session = create(client, lifetime_s=50)
    step(client, session, "x")
    path = f"/v1/sessions/{session['id']}"
    assert client.get(path).status_code == 200
    let_expire(session)

    assert client.get(path).status_code == 410
    for response in (
        try_step(client, session),
        client.post(f"{path}/fork"),
        client.get(f"{path}/state"),
        client.delete(path),
    ):
        assert error_of(response, 410)["code"] == "session_expired"


def test_steps_prolong_a_session(client: TestClient) -> None:
    session = create(client, lifetime_s=50)
    key = f"unroll.session.{session['id']}"
    get_redis().pexpire(key, 5000)
    step(client, session, "x")

    assert get_redis().pttl(key) > 40_000


def test_a_deleted_session_and_one_that_never_was_are_404(
    client: TestClient, replica: TestClient
) -> None:
    session = create(client)
    step(client, session, "x")

    assert replica.delete(f"/v1/sessions/{session['id']}").status_code == 204
    error_of(try_step(client, session), 404)
    error_of(try_step(client, {"id": "sess_nothing"}), 404)
    error_of(client.get("/v1/sessions/" + "s" * 3000), 404)


def test_no_more_sessions_are_made_than_are_allowed(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_redis().delete("unroll.sessions")
    monkeypatch.setenv("UNROLL_MAX_SESSIONS", "2")
    forget_settings()
    first, second = create(client), create(client, lifetime_s=50)
    refused = client.post("/v1/models/tags/sessions")
    assert error_of(refused, 503)["code"] == "sessions_full"
    assert refused.headers["retry-after"]
    client.delete(f"/v1/sessions/{first['id']}")

    create(client)
    error_of(client.post("/v1/models/tags/sessions"), 503)
    let_expire(second)
    create(client)
    monkeypatch.undo()
    forget_settings()


def test_a_session_whose_model_is_deleted_or_replaced_is_409(client: TestClient) -> None:
    publish("brief", "tags")
    session = create(client, "brief")
    state = exported(client, session)
    execute("DELETE FROM models WHERE name = 'brief'")

    assert wait_for(lambda: try_step(client, session).status_code == 409)
    error_of(client.post("/v1/models/brief/sessions", json={"state": state}), 409)
    publish("brief", "tags", seed=7)  # has the same number, and other weights
    assert error_of(try_step(client, session), 409)["code"] == "model_gone"


def test_a_damaged_model_stops_its_own_sessions_alone(
    client: TestClient, replica: TestClient
) -> None:
    publish("fragile", "tags")
    session, other = create(client, "fragile"), create(client)
    execute(
        "UPDATE blob_chunks SET data = set_byte(data, 2400, 255 - get_byte(data, 2400)) WHERE"
        " blob_id = (SELECT blob_id FROM model_versions WHERE name = 'fragile')"
    )

    assert error_of(try_step(replica, session), 503)["code"] == "corrupt_blob"
    assert try_step(replica, other).status_code == 200
    assert try_step(client, session).status_code == 200  # it has read the network before


@pytest.mark.parametrize(
    ("kind", "network", "words"),
    [
        ("tags", {"bidirectional": True}, "bidirectional"),
        ("vector to class", {}, "no sequence"),
        ("rewritten", {}, "generate"),
    ],
)
def test_a_model_without_next_steps_is_refused_with_the_reason(
    client: TestClient, kind: str, network: dict[str, Any], words: str
) -> None:
    publish("stepless", kind, **network)

    assert words in error_of(client.post("/v1/models/stepless/sessions"), 422)["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"inputs": []}, "inputs"),
        ({}, "inputs"),
        ({"inputs": [3]}, "inputs.0"),
        ({"inputs": "x", "position": -1}, "position"),
        ({"inputs": "x", "seed": 1}, "seed"),
    ],
)
def test_a_step_that_does_not_fit_is_refused_at_its_path(
    client: TestClient, body: dict[str, Any], param: str
) -> None:
    session = create(client)
    response = client.post(f"/v1/sessions/{session['id']}/step", json=body)

    assert error_of(response, 422)["param"] == param


def test_a_session_is_made_once_for_an_idempotency_key(client: TestClient) -> None:
    headers = {"Idempotency-Key": "once"}
    path = "/v1/models/tags/sessions"
    first, again = (client.post(path, json={}, headers=headers) for _ in range(2))

    assert first.json() == again.json()
    error_of(client.post(path, json={"lifetime_s": 9}, headers=headers), 409)
