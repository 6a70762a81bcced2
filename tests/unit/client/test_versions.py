"""Publishing, aliases and traces against a stub: what travels and what is printed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from services.client.client import Unreachable, UnrollClient
from tests.unit.client.conftest import Result
from tests.unit.client.stub import Answer, Stub, listing, model_json

Unroll = Callable[..., Result]
NET = "/v1/models/net"
EMPTY = Answer(204, b"")
CREATED = "2026-01-02T03:04:05Z"


def version_json(**changes: Any) -> dict[str, Any]:
    checks = {"status": "pending", "reason": None, "latency_ms": None}
    return {**model_json()["versions"][0], "version": 3, "checks": checks, **changes}


def checkpoint_json(checkpoint_id: str, *, is_best: bool) -> dict[str, Any]:
    return {
        "id": checkpoint_id,
        "job_id": "job_1",
        "step": 1,
        "epoch": 1,
        "is_best": is_best,
        "bytes": 9,
        "sha256": "ab",
        "weights_sha256": "cd",
        "created_at": CREATED,
    }


def alias_json(version: int) -> dict[str, Any]:
    return {"object": "alias", "model": "net", "alias": "production", "version": version}


def trace_json() -> dict[str, Any]:
    summary = {"mean": 0.5, "min": 0.25, "max": 0.99, "share_low": 0.0, "share_high": 0.5}
    gate = {"name": "f", "kind": "gate", "title": "forget gate", "shape": [2, 1]}
    state = {"name": "h", "kind": "hidden_state", "title": "hidden state", "shape": [2, 1]}
    no_shares = {**summary, "share_low": None, "share_high": None}
    layer = {
        "part": "network",
        "layer": 1,
        "direction": "forward",
        "num_steps": 2,
        "num_units": 1,
        "arrays": [
            {**gate, "values": [[0.25], [0.99]], "summary": summary},
            {**state, "values": [[0.1], [None]], "summary": no_shares},
        ],
        "half_life": {"formula": "f", "median": 1.25, "units": [1.25]},
    }
    return {
        "object": "trace",
        "model": "net",
        "version": 2,
        "max_difference": 1e-7,
        "layers": [
            layer,
            {**layer, "half_life": {"formula": "f", "median": None, "units": [None]}},
        ],
    }


def test_publishing_is_repeated_under_one_key(stub: Stub, client: UnrollClient) -> None:
    stub.on("POST", f"{NET}/versions", Answer(breaks_off=True), version_json())
    version = client.publish("net", "ckpt_1")

    assert (version.version, version.checks and version.checks.status) == (3, "pending")
    assert [sent.json for sent in stub.requests] == [{"checkpoint_id": "ckpt_1"}] * 2
    assert len({sent.headers["idempotency-key"] for sent in stub.requests}) == 1


def test_an_alias_is_put_and_may_be_repeated(stub: Stub, client: UnrollClient) -> None:
    stub.on("PUT", f"{NET}/aliases/production", Answer(breaks_off=True), alias_json(3))

    assert client.set_alias("net", "production", 3).version == 3
    assert [sent.json for sent in stub.requests] == [{"version": 3}] * 2


@pytest.mark.parametrize(
    ("path", "delete"),
    [
        ("aliases/production", lambda client: client.delete_alias("net", "production")),
        ("versions/3", lambda client: client.delete_version("net", 3)),
    ],
)
def test_a_deletion_that_may_have_been_heard_is_not_said_again(
    stub: Stub, client: UnrollClient, path: str, delete: Callable[[UnrollClient], None]
) -> None:
    stub.on("DELETE", f"{NET}/{path}", EMPTY, Answer(breaks_off=True))
    delete(client)

    with pytest.raises(Unreachable):
        delete(client)

    assert [sent.path for sent in stub.requests] == [f"{NET}/{path}"] * 2


def test_publish_prints_the_number_and_points_an_alias(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", f"{NET}/versions", version_json())
    stub.on("PUT", f"{NET}/aliases/production", alias_json(3))
    result = unroll("publish", "net", "ckpt_1", "--alias", "production")

    assert (result.code, result.out) == (0, "3\n")
    assert stub.requests[-1].json == {"version": 3}


def test_publish_takes_the_best_checkpoint_of_a_job(stub: Stub, unroll: Unroll) -> None:
    page = listing(
        checkpoint_json("ckpt_2", is_best=False), checkpoint_json("ckpt_1", is_best=True)
    )
    stub.on("GET", "/v1/jobs/job_1/checkpoints", page)
    stub.on("POST", f"{NET}/versions", version_json())
    result = unroll("publish", "net", "--job", "job_1", "--json")

    assert json.loads(result.out) == version_json()
    assert stub.requests[-1].json == {"checkpoint_id": "ckpt_1"}


def test_publish_wants_one_source_and_a_job_with_checkpoints(stub: Stub, unroll: Unroll) -> None:
    stub.on("GET", "/v1/jobs/job_1/checkpoints", listing())

    assert unroll("publish", "net").code == 2
    assert unroll("publish", "net", "ckpt_1", "--job", "job_1").code == 2
    empty = unroll("publish", "net", "--job", "job_1")
    assert (empty.code, "has no checkpoint yet" in empty.err) == (5, True)


def test_aliases_and_versions_are_changed_by_commands(stub: Stub, unroll: Unroll) -> None:
    stub.on("PUT", f"{NET}/aliases/production", alias_json(2))
    stub.on("DELETE", f"{NET}/aliases/production", EMPTY)
    stub.on("DELETE", f"{NET}/versions/1", EMPTY)
    done = [
        unroll("alias", "net", "production", "2"),
        unroll("models", "unalias", "net", "production"),
        unroll("models", "rm", "net", "1"),
    ]

    assert [result.code for result in done] == [0, 0, 0]
    assert [(sent.method, sent.path) for sent in stub.requests] == [
        ("PUT", f"{NET}/aliases/production"),
        ("DELETE", f"{NET}/aliases/production"),
        ("DELETE", f"{NET}/versions/1"),
    ]


def test_a_trace_is_a_row_an_array(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", f"{NET}/versions/production/trace", trace_json())
    result = unroll("trace", "net", "[1, 2.5]", "--version", "production", "--max-length", "4")
    rows = [line.split("\t") for line in result.out.splitlines()]

    assert result.code == 0
    assert stub.requests[0].json == {"input": [1, 2.5], "max_length": 4}
    assert rows[1] == [
        *("network", "1", "forward", "f", "0.500", "0.250", "0.990", "0.000", "0.500", ""),
    ]
    assert rows[2][3:] == ["h", "0.500", "0.250", "0.990", "", "", "1.2"]
    assert rows[4][-1] == "never"


def test_a_trace_as_json_is_what_the_service_said(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", f"{NET}/trace", trace_json())
    result = unroll("trace", "net", "--text", "[1]", "--json")

    assert json.loads(result.out) == trace_json()
    assert stub.requests[0].json == {"input": "[1]"}
