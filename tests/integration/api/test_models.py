"""Published networks as the API lists and shows them."""

import pytest
from fastapi.testclient import TestClient

from tests.integration.api.client import error_of
from tests.integration.seeding import claimed, spec, succeed


def publish(client: TestClient, name: str) -> None:
    client.post("/v1/jobs", json=spec(model_name=name))
    succeed(claimed())


def test_a_name_collects_versions_newest_first(client: TestClient) -> None:
    publish(client, "net")
    publish(client, "net")
    model = client.get("/v1/models/net").json()

    assert (model["object"], model["name"], model["latest_version"]) == ("model", "net", 2)
    assert [version["version"] for version in model["versions"]] == [2, 1]
    newest = model["versions"][0]
    assert newest["dataset"] == "digits"
    assert newest["mapping"] == "many_to_one"
    assert newest["network"]["cell"]["type"] == "lstm"
    assert newest["metrics"] == {"test/accuracy": 0.5}
    assert newest["num_parameters"] > 0


def test_a_model_says_where_it_answers(client: TestClient) -> None:
    publish(client, "net")
    model = client.get("/v1/models/net").json()

    assert model["urls"]["predict"] == "http://127.0.0.1:8001/v1/models/net/predict"
    assert model["versions"][0]["urls"]["predict"].endswith("/v1/models/net/versions/1/predict")
    assert client.get(model["urls"]["self"]).json() == model


def test_models_are_listed_newest_first_page_by_page(client: TestClient) -> None:
    names = ["b", "a", "d", "c", "e"]
    for name in names:
        publish(client, name)
    publish(client, "b")
    pages = [client.get("/v1/models?limit=2").json()]
    while pages[-1]["has_more"]:
        after = pages[-1]["last_id"]
        pages.append(client.get("/v1/models", params={"limit": 2, "after": after}).json())

    assert [[m["name"] for m in page["data"]] for page in pages] == [["e", "c"], ["d", "a"], ["b"]]
    assert pages[-1]["data"][0]["latest_version"] == 2


def test_without_models_the_list_is_empty(client: TestClient) -> None:
    assert client.get("/v1/models").json()["data"] == []


@pytest.mark.parametrize("after", ["nothing", "job_01k8m3aaaaaaaaaaaaaaaaaaaa"])
def test_a_page_after_no_model_is_refused_at_its_parameter(client: TestClient, after: str) -> None:
    assert error_of(client.get("/v1/models", params={"after": after}), 404)["param"] == "after"
