"""Which version answers: by alias, after checks that were still to be made, and never one that failed."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from sqlalchemy import text

from services.inference.checking import Checker
from shared.db.blobs import BlobStore
from shared.db.engine import transaction
from shared.db.models import PENDING, ModelStore
from shared.db.tables import ModelVersionRow
from shared.nn.checkpoint import Checkpoint, pack, unpack
from tests.integration.api.client import error_of
from tests.integration.inference.conftest import inference_client
from tests.integration.inference.publishing import INPUTS, publish
from tests.servers import wait_for


@pytest.fixture
def client(database_url: str, redis_url: str) -> Iterator[TestClient]:
    with inference_client() as client:
        yield client


def ask(client: TestClient, version: str) -> Any:
    body = {"inputs": [INPUTS["tags"]]}
    return client.post(f"/v1/models/net/versions/{version}/predict", json=body)


def pending(seed: int) -> int:
    """Publish a version whose checks are still to be made."""
    version = publish("net", "tags", seed=seed)
    with transaction() as db:
        store = ModelStore(db)
        store.note_checks(store.version("net", str(version)), {"status": PENDING})
    return version


def spoil(version: int) -> None:
    """Let the network of a version be one that gives no numbers."""
    with transaction() as db:
        row = ModelStore(db).version("net", str(version))
        good = unpack(BlobStore(db).read_checked(row.blob_id))
        weights = {name: torch.full_like(w, torch.nan) for name, w in good.weights.items()}
        row.blob_id = BlobStore(db).write(pack(Checkpoint(good.spec, good.shape, weights))).id


def checks_of(version: int) -> dict[str, Any]:
    with transaction() as db:
        row: ModelVersionRow = ModelStore(db).version("net", str(version))
        return row.checks


def point(alias: str, version: int) -> None:
    with transaction() as db:
        ModelStore(db).set_alias("net", alias, version)


def test_an_alias_answers_with_its_version_and_moves_without_a_restart(client: TestClient) -> None:
    publish("net", "tags", seed=1)
    publish("net", "tags", seed=2)
    error_of(ask(client, "production"), 404)
    point("production", 1)
    first = ask(client, "production").json()
    point("production", 2)
    second = ask(client, "production").json()

    assert (first["version"], second["version"]) == (1, 2)
    assert first["outputs"] != second["outputs"]
    assert second == ask(client, "latest").json()


def test_a_deleted_version_is_gone_at_once_and_its_number_brings_back_nothing_old(
    client: TestClient,
) -> None:
    publish("net", "tags", seed=1)
    old = ask(client, "1").json()
    with transaction() as db:
        ModelStore(db).delete_version("net", 1)
    error_of(ask(client, "1"), 404)
    publish("net", "tags", seed=2)
    new = ask(client, "1").json()

    assert old["version"] == new["version"] == 1
    assert old["outputs"] != new["outputs"]


def test_pending_checks_are_made_when_a_version_is_first_asked_for(client: TestClient) -> None:
    pending(seed=1)
    answer = ask(client, "1")
    checks = checks_of(1)

    assert answer.status_code == 200
    assert checks["status"] == "passed"
    assert checks["reason"] is None
    assert 0 <= checks["max_difference"] <= checks["tolerance"]
    assert checks["latency_ms"] > 0
    assert checks["size_bytes"] > 100


def test_pending_checks_are_made_without_anybody_asking(client: TestClient) -> None:
    good, bad, lost = (pending(seed) for seed in (1, 2, 3))
    spoil(bad)
    with transaction() as db:
        chunk = text("UPDATE blob_chunks SET data = '' WHERE blob_id = :blob")
        db.execute(chunk, {"blob": ModelStore(db).version("net", str(lost)).blob_id})
    checker = Checker(every_s=0.01)
    checker.start()
    try:
        assert wait_for(lambda: checks_of(bad)["status"] != "pending")
        assert wait_for(lambda: not rows_pending(but=checker._given_up))
    finally:
        checker.stop()

    assert [checks_of(each)["status"] for each in (good, bad, lost)] == [
        "passed",
        "failed",
        "pending",
    ]
    assert not checker.is_alive()


def rows_pending(but: set[str]) -> list[int]:
    with transaction() as db:
        return [row.version for row in ModelStore(db).pending(10, but=but)]


def test_a_version_that_fails_is_not_served_and_the_newest_is_the_one_before(
    client: TestClient,
) -> None:
    publish("net", "tags", seed=1)
    spoil(pending(seed=2))
    newest = ask(client, "latest")
    refused = ask(client, "2")

    assert newest.json()["version"] == 1
    assert error_of(refused, 409)["code"] == "failed_checks"
    assert "not finite" in refused.json()["error"]["message"]
    assert checks_of(2)["status"] == "failed"


def test_where_every_version_failed_the_reason_is_told(client: TestClient) -> None:
    spoil(pending(seed=1))

    assert "not finite" in error_of(ask(client, "latest"), 409)["message"]
    assert "not finite" in error_of(ask(client, "latest"), 409)["message"]
