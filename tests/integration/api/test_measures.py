"""What Prometheus is told is what happened, and the document's table is what Prometheus is told."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families as families

from services.inference.app import create_app as create_inference_app
from shared.db.engine import transaction
from shared.db.leases import LeaseStore
from shared.db.workers import WorkerStore
from shared.jobs.states import JobStatus
from tests.integration.seeding import claimed, execute, fail, job_row, settle, spec, succeed

ROW = re.compile(r"^\| `(unroll_\w+)` \| (\w+) \| (\w+) \|", re.MULTILINE)


def told(client: TestClient) -> dict[str, float]:
    """Samples by their name and labels as Prometheus writes them."""
    return {
        sample.name
        + "".join(f"[{value}]" for _, value in sorted(sample.labels.items())): sample.value
        for family in families(client.get("/metrics").text)
        for sample in family.samples
    }


def kinds(client: TestClient) -> dict[str, str]:
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in families(client.get("/metrics").text)
        if family.name.startswith("unroll_")
    }


def submit(client: TestClient, **changes: object) -> str:
    return str(client.post("/v1/jobs", json=spec(**changes)).json()["id"])


def test_the_table_in_the_document_is_what_the_services_tell(client: TestClient) -> None:
    text = (Path(__file__).parents[3] / "docs/operating.md").read_text()
    table = {name: (kind, where) for name, kind, where in ROW.findall(text)}
    with TestClient(create_inference_app()) as inference:
        both = kinds(client) | kinds(inference)

    assert {name: kind for name, (kind, _) in table.items()} == both
    assert {where for _, where in table.values()} == {"API", "inference", "both"}


def test_queue_and_workers_are_told(client: TestClient) -> None:
    for priority in (5, 5, 9):
        submit(client, priority=priority)
    execute("UPDATE jobs SET queued_at = now() - interval '100 seconds' WHERE priority = 9")
    with transaction() as db:
        for name in ("here", "silent"):
            WorkerStore(db).beat(name, "cpu", None)
    execute("UPDATE workers SET heartbeat_at = now() - interval '1 hour' WHERE name = 'silent'")
    running = claimed()
    execute("UPDATE jobs SET progress = progress || '{\"steps_per_s\": 12.5}'")
    found = told(client)

    assert (found["unroll_jobs[queued]"], found["unroll_jobs[running]"]) == (2, 1)
    assert (found["unroll_queue_depth[5]"], found["unroll_queue_depth[9]"]) == (2, 0)
    assert found["unroll_queue_oldest_seconds"] < 60
    assert (found["unroll_workers"], found["unroll_steps_per_second"]) == (1, 12.5)
    assert running.priority == 9


def test_claims_outcomes_and_rescues_are_counted_and_survive_the_deletion_of_jobs(
    client: TestClient,
) -> None:
    before = told(client)
    for end in (succeed, fail, lambda job: settle(job, JobStatus.QUEUED, "released")):
        submit(client)
        end(claimed())
    execute("DELETE FROM jobs WHERE status = 'queued'")
    lost = submit(client)
    claimed()
    execute("UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = :id", id=lost)
    with transaction() as db:
        assert LeaseStore(db).rescue_expired() == 1
    execute("DELETE FROM jobs")
    after = told(client)

    grown = {name: after[name] - before.get(name, 0) for name in after if name in COUNTED}
    assert grown == COUNTED


COUNTED = {
    "unroll_claims_total": 4,
    "unroll_attempts_total[succeeded]": 1,
    "unroll_attempts_total[failed]": 1,
    "unroll_attempts_total[released]": 1,
    "unroll_attempts_total[lost]": 1,
    "unroll_lease_expiries_total": 1,
    "unroll_rescues_total[queued]": 1,
}


@pytest.mark.parametrize("route", ["/v1/jobs", "/v1/jobs/{job_id}"])
def test_requests_are_counted_by_route(client: TestClient, route: str) -> None:
    name = f"unroll_http_requests_total[GET][{route}][api][200]"
    job_id = submit(client)
    before = told(client).get(name, 0)
    client.get(route.format(job_id=job_id))

    assert told(client)[name] == before + 1


def test_a_job_remembers_the_request_that_submitted_it(client: TestClient) -> None:
    answer = client.post("/v1/jobs", json=spec())

    assert job_row(answer.json()["id"]).request_id == answer.headers["x-request-id"]
