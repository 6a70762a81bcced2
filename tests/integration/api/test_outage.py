"""A database or broker that goes away and comes back, under an API that keeps running."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.embedded.servers import Servers
from shared.db.engine import transaction
from shared.db.migrate import newest_revision, upgrade
from shared.db.seed import ensure_builtin
from shared.queue import num_messages
from shared.sweeper import sweep
from tests.integration.api.client import api_client, error_of
from tests.integration.seeding import NEVER_S, execute, settings, spec
from tests.servers import throw_away_servers


@pytest.fixture(scope="module")
def own_servers() -> Iterator[Servers]:
    """Servers that may be stopped, because nobody else uses them."""
    with throw_away_servers() as servers:
        upgrade(servers.database_url)
        yield servers


@pytest.fixture(scope="module")
def client(own_servers: Servers) -> Iterator[TestClient]:
    urls = {"database_url": own_servers.database_url, "redis_url": own_servers.redis_url}
    with settings(**urls, sweep_every_s=NEVER_S):
        with transaction() as db:
            ensure_builtin(db, "copy-5")
        with api_client() as client:
            yield client


ROWS = b"".join(b'{"input": [[%d.5], [1.0]], "target": "a"}\n' % i for i in range(40))


def readiness(client: TestClient) -> tuple[int, dict[str, Any]]:
    response = client.get("/readyz")
    assert ("retry-after" in response.headers) == (response.status_code == 503)
    checks: dict[str, Any] = response.json()["checks"]
    return response.status_code, {name: result == "ok" for name, result in checks.items()}


ALL_WELL = (200, {"database": True, "broker": True, "migrations": True})


def test_with_all_servers_up_the_service_is_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert readiness(client) == ALL_WELL


def test_without_its_database_the_api_says_when_to_come_back_and_recovers(
    client: TestClient, own_servers: Servers
) -> None:
    assert own_servers.postgres is not None
    client.get("/v1/cells")  # from now on it is known that no key is needed
    own_servers.postgres.stop()

    for method, path in (
        ("GET", "/v1/jobs"),
        ("GET", "/v1/datasets/copy-5"),
        ("GET", "/v1/queue"),
        ("GET", "/v1/jobs/job_1/events/stream"),
        ("POST", "/v1/jobs/job_1/cancel"),
    ):
        error = error_of(client.request(method, path), 503)
        assert error["code"] == "unavailable"
        assert "password" not in error["message"]
    error_of(client.post("/v1/jobs", json=spec("copy-5")), 503)
    assert readiness(client) == (503, {"database": False, "broker": True, "migrations": False})
    assert client.get("/healthz").status_code == 200
    assert client.get("/v1/cells").status_code == 200
    assert client.get("/metrics").status_code == 200
    error_of(client.post("/v1/jobs", json=spec(priority=11)), 422)

    own_servers.restart_postgres()
    assert client.post("/v1/jobs", json=spec("copy-5")).status_code == 201
    assert readiness(client) == ALL_WELL


def test_a_server_that_restarted_between_two_requests_is_not_noticed(
    client: TestClient, own_servers: Servers
) -> None:
    assert client.get("/v1/jobs").status_code == 200
    own_servers.restart_postgres()

    assert client.get("/v1/jobs").status_code == 200


def test_without_its_broker_the_api_accepts_jobs_and_sends_them_later(
    client: TestClient, own_servers: Servers
) -> None:
    assert own_servers.valkey is not None
    execute("DELETE FROM jobs")
    own_servers.valkey.stop()

    job = client.post("/v1/jobs", json=spec("copy-5"))
    assert job.status_code == 201
    assert client.get("/v1/jobs").json()["data"][0]["id"] == job.json()["id"]
    assert readiness(client) == (503, {"database": True, "broker": False, "migrations": True})

    own_servers.restart_valkey()
    assert readiness(client) == ALL_WELL
    execute("UPDATE jobs SET queued_at = queued_at - interval '2 seconds'")
    sweep()
    assert num_messages() == 1


FULL = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON jobs EXECUTE FUNCTION refuse();
    CREATE TRIGGER refuse BEFORE INSERT ON blob_chunks EXECUTE FUNCTION refuse()"""


def test_with_its_disk_full_the_database_is_read_and_takes_jobs_again_once_there_is_room(
    client: TestClient,
) -> None:
    jobs = client.get("/v1/jobs").json()
    execute(FULL)
    again = {"idempotency-key": "once"}
    form = {"files": {"file": ("data.jsonl", ROWS)}, "data": {"name": "small"}}

    error = error_of(client.post("/v1/jobs", json=spec("copy-5"), headers=again), 503)
    error_of(client.post("/v1/datasets", **form), 503)
    assert error["code"] == "unavailable"
    assert client.get("/v1/jobs").json() == jobs
    assert readiness(client) == ALL_WELL

    execute("DROP FUNCTION refuse CASCADE")
    assert client.post("/v1/jobs", json=spec("copy-5"), headers=again).status_code == 201
    assert client.post("/v1/datasets", **form).status_code == 201
    assert len(client.get("/v1/jobs").json()["data"]) == len(jobs["data"]) + 1


def test_a_database_of_another_version_is_not_ready(client: TestClient) -> None:
    execute("UPDATE alembic_version SET version_num = 'older'")
    response = client.get("/readyz")
    execute("UPDATE alembic_version SET version_num = :newest", newest=newest_revision())

    assert response.status_code == 503
    assert "unroll migrate" in response.json()["checks"]["migrations"]
    assert readiness(client) == ALL_WELL


def test_prometheus_reads_what_was_counted(client: TestClient) -> None:
    client.get("/v1/jobs/job_nothing")
    client.post("/v1/jobs", json=spec("copy-5"))
    response = client.get("/metrics")
    text = response.text

    assert response.headers["content-type"].startswith("text/plain")
    line = 'unroll_http_requests_total{method="GET",route="/v1/jobs/{job_id}",service="api",status="404"}'
    assert line in text
    assert 'unroll_http_request_seconds_count{route="/v1/jobs",service="api"}' in text
    assert 'unroll_jobs{status="queued"} ' in text
    assert "unroll_workers 0.0" in text
    assert "job_nothing" not in text  # ids would make a series each
