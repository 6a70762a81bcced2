"""The logs of real processes: JSON lines with ids, by which a job is followed from HTTP to its end."""

import json
import re
from pathlib import Path
from typing import Any

import httpx

from services.standalone import Standalone
from tests.acceptance.test_training import clients, ended
from tests.servers import wait_for

IDS = {"request_id", "job_id", "attempt"}
ALWAYS = {"event", "level", "timestamp", "logger", *IDS}
ROW = re.compile(r"^\| `(unroll_\w+)` \| (\w+) \| (\w+) \|", re.MULTILINE)
TYPE = re.compile(r"^# TYPE (unroll_\w+) (\w+)$", re.MULTILINE)
SPEC = {
    "dataset": "copy-3",
    "network": {"cell": "gru", "hidden_size": 8},
    "training": {"epochs": 1, "max_steps": 3, "batch_size": 500},
    "model_name": "logged",
}


def lines_of(stack: Standalone, process: str) -> list[dict[str, Any]]:
    """The whole lines that a process has written; one that is no JSON fails the test."""
    text = (stack.servers.state.logs / f"{process}.log").read_text()
    return [json.loads(line) for line in text.split("\n")[:-1]]


def has_said(stack: Standalone, process: str, event: str, **ids: str) -> bool:
    """Whether a process has come to a line: it is written after what it tells of."""
    wanted = {"event": event, **ids}
    return any(wanted.items() <= line.items() for line in lines_of(stack, process))


def test_a_job_is_followed_by_its_ids_through_every_process(stack: Standalone) -> None:
    with clients(stack) as (api, inference):
        answer = api.post("/v1/jobs", json=SPEC)
        job_id, request_id = answer.json()["id"], answer.headers["x-request-id"]
        assert ended(api, job_id)["status"] == "succeeded"
        predicted = inference.post("/v1/models/logged/predict", json={"inputs": [["1", "2", "3"]]})
    asked_id = predicted.headers["x-request-id"]
    assert wait_for(lambda: has_said(stack, "worker-1", "attempt succeeded", job_id=job_id))
    assert wait_for(lambda: has_said(stack, "inference", "request", request_id=asked_id))
    logs = {name: lines_of(stack, name) for name in ("api", "inference", "worker-1")}

    for name, lines in logs.items():
        assert lines
        assert [line for line in lines if not line.keys() >= ALWAYS] == [], name
    queued = [line for line in logs["api"] if line["request_id"] == request_id]
    assert [(line["event"], line["job_id"]) for line in queued[:1]] == [("job queued", job_id)]
    worked = [line for line in logs["worker-1"] if line["job_id"] == job_id]
    assert worked[0]["event"] == "attempt starts"
    assert worked[-1]["event"] == "attempt succeeded"
    assert {(line["request_id"], line["attempt"]) for line in worked} == {(request_id, 1)}


def test_each_service_tells_what_the_document_says_it_tells(stack: Standalone) -> None:
    text = (Path(__file__).parents[2] / "docs/operating.md").read_text()
    for url, place in ((stack.api_url, "API"), (stack.inference_url, "inference")):
        table = {name for name, _, where in ROW.findall(text) if where in (place, "both")}
        told = {name for name, _ in TYPE.findall(httpx.get(f"{url}/metrics").text)}

        assert told == table
