"""Which networks are in memory: loaded once, renewed, dropped when there are too many."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.inference import registry as registry_module
from services.inference.registry import Loaded, Registry
from shared.db.engine import transaction
from shared.db.models import ModelStore
from shared.db.tables import ModelVersionRow
from shared.jobs.errors import CorruptBlob, ModelNotFound
from tests.conftest import forget_settings
from tests.integration.api.client import error_of
from tests.integration.inference.conftest import inference_client
from tests.integration.inference.publishing import INPUTS, publish
from tests.integration.seeding import execute

WIDE = {"hidden_size": 200}  # about 650 kB of weights


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Which versions were read from the database, in order."""
    seen: list[tuple[str, int]] = []
    load = registry_module.load

    def counted(row: ModelVersionRow) -> Loaded:
        seen.append((row.name, row.version))
        return load(row)

    monkeypatch.setattr(registry_module, "load", counted)
    return seen


@pytest.fixture
def client(database_url: str, redis_url: str) -> Iterator[TestClient]:
    with inference_client() as client:
        yield client


def predict(client: TestClient, name: str) -> Any:
    return client.post(f"/v1/models/{name}/predict", json={"inputs": [INPUTS["tags"]]})


def damage(name: str) -> None:
    execute(
        "UPDATE blob_chunks SET data = set_bit(data, 9000, 1 - get_bit(data, 9000)) WHERE blob_id ="
        " (SELECT blob_id FROM model_versions WHERE name = :name)",
        name=name,
    )


def test_a_new_version_is_served_without_a_restart_and_the_old_one_by_its_number(
    client: TestClient,
) -> None:
    publish("net", "tags", seed=1)
    first = predict(client, "net").json()
    publish("net", "tags", seed=2)
    second = predict(client, "net").json()
    old = client.post("/v1/models/net/versions/1/predict", json={"inputs": [INPUTS["tags"]]})

    assert (first["version"], second["version"]) == (1, 2)
    assert first["outputs"] != second["outputs"]
    assert old.json() == first


def test_which_version_a_name_means_is_remembered_for_a_moment(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish("net", "tags", seed=1)
    registry = Registry(2**30, lookup_s=600)
    remembers_nothing = registry.peek("net")
    loaded = registry.get("net")
    publish("net", "tags", seed=2)

    assert (remembers_nothing, loaded.version) == (None, first)
    assert registry.peek("net") is loaded
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 601)
    assert registry.peek("net") is None
    assert registry.peek("net") is loaded  # while the first one asks
    second = registry.get("net")
    assert second.version == 2
    assert registry.peek("net") is second


def test_a_name_that_was_looked_up_in_vain_means_nothing_any_more(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("net", "tags")
    registry = Registry(2**30, lookup_s=600)
    registry.get("net")
    with transaction() as db:
        ModelStore(db).delete_version("net", 1)
    with pytest.raises(ModelNotFound):
        registry.get("net")

    assert registry.peek("net") is None


def test_a_model_that_is_published_after_a_404_is_served(client: TestClient) -> None:
    error_of(predict(client, "net"), 404)
    publish("net", "tags")

    assert predict(client, "net").status_code == 200


def test_a_damaged_model_is_unavailable_and_another_is_not(client: TestClient) -> None:
    publish("broken", "tags")
    publish("whole", "tags")
    damage("broken")

    for _ in range(2):
        assert error_of(predict(client, "broken"), 503)["code"] == "corrupt_blob"
        assert predict(client, "whole").status_code == 200
    damage("broken")  # the same bit again: repaired
    assert predict(client, "broken").status_code == 200


def test_a_model_that_is_in_memory_survives_damage_to_its_bytes(client: TestClient) -> None:
    publish("net", "tags")
    before = predict(client, "net").json()
    damage("net")

    assert predict(client, "net").json() == before


def test_a_network_is_read_once_however_many_ask_at_once(
    database_url: str, loads: list[tuple[str, int]]
) -> None:
    publish("net", "tags")
    registry, start = Registry(2**30), Barrier(8)

    def ask(_: int) -> Loaded:
        start.wait()
        return registry.get("net")

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(8)))

    assert loads == [("net", 1)]
    assert len({id(one) for one in found}) == 1


def test_the_networks_used_longest_ago_make_room(
    database_url: str, loads: list[tuple[str, int]]
) -> None:
    for name in "abc":
        publish(name, "tags", **WIDE)
    with transaction() as db:
        row = ModelStore(db).version("a")
    registry = Registry(2 * registry_module.load(row).held_bytes + 1000)
    loads.clear()
    for name in ("a", "b", "a", "c"):  # c drives b out, because a was used later
        registry.get(name)
    assert [name for name, _ in loads] == ["a", "b", "c"]

    registry.get("a")
    assert len(loads) == 3
    registry.get("b")
    assert [name for name, _ in loads] == ["a", "b", "c", "b"]
    assert registry.num_bytes <= registry.max_bytes


def test_a_network_larger_than_the_bound_is_served_alone(database_url: str) -> None:
    publish("small", "tags")
    publish("wide", "tags", **WIDE)
    registry = Registry(10_000)

    registry.get("small")
    wide = registry.get("wide")
    assert registry.num_bytes == wide.held_bytes > registry.max_bytes


def test_the_bound_is_the_operators(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, loads: list[tuple[str, int]]
) -> None:
    for name in "ab":
        publish(name, "tags", **WIDE)
    monkeypatch.setenv("UNROLL_MODEL_CACHE_BYTES", str(2**20))
    forget_settings()
    with inference_client() as bounded:
        for name in "aba":
            assert predict(bounded, name).status_code == 200

    assert [name for name, _ in loads] == ["a", "b", "a"]


def test_a_failed_load_is_tried_again(database_url: str) -> None:
    registry = Registry(2**30)
    with pytest.raises(ModelNotFound):
        registry.get("net")
    publish("net", "tags")
    damage("net")
    with pytest.raises(CorruptBlob):
        registry.get("net")
    damage("net")

    assert registry.get("net").version == 1


def test_readiness_covers_the_registry(client: TestClient) -> None:
    ready = client.get("/readyz").json()
    execute("ALTER TABLE models RENAME TO elsewhere")
    unready = client.get("/readyz")

    assert ready["checks"] == dict.fromkeys(("database", "broker", "migrations", "registry"), "ok")
    assert unready.status_code == 503
    assert unready.json()["checks"]["registry"] != "ok"
    assert unready.json()["checks"]["database"] == "ok"


def test_requests_are_counted_under_their_route(client: TestClient) -> None:
    predict(client, "nothing")
    text = client.get("/metrics").text

    assert 'route="/v1/models/{name}/predict",service="inference",status="404"' in text
