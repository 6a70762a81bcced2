"""The description of the API: whole, valid, and true in what it promises."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from services.api.app import create_app as create_api
from services.inference.app import create_app as create_inference

APPS = {"api": create_api, "inference": create_inference}
CONTRACT = [
    ("get", "/v1/cells"),
    ("post", "/v1/datasets"),
    ("get", "/v1/datasets"),
    ("get", "/v1/datasets/{dataset}"),
    ("get", "/v1/datasets/{dataset}/preview"),
    ("delete", "/v1/datasets/{dataset}"),
    ("post", "/v1/jobs"),
    ("get", "/v1/jobs"),
    ("get", "/v1/jobs/{job_id}"),
    ("post", "/v1/jobs/{job_id}/cancel"),
    ("delete", "/v1/jobs/{job_id}"),
    ("get", "/v1/jobs/{job_id}/events"),
    ("get", "/v1/jobs/{job_id}/events/stream"),
    ("get", "/v1/jobs/{job_id}/metrics"),
    ("get", "/v1/jobs/{job_id}/metrics.csv"),
    ("get", "/v1/jobs/{job_id}/metrics.tfevents"),
    ("get", "/v1/jobs/{job_id}/checkpoints"),
    ("get", "/v1/checkpoints/{checkpoint_id}"),
    ("get", "/v1/checkpoints/{checkpoint_id}/download"),
    ("get", "/v1/workers"),
    ("get", "/v1/queue"),
    ("get", "/v1/models"),
    ("get", "/v1/models/{name}"),
    ("post", "/v1/models/{name}/versions"),
    ("delete", "/v1/models/{name}/versions/{version}"),
    ("put", "/v1/models/{name}/aliases/{alias}"),
    ("delete", "/v1/models/{name}/aliases/{alias}"),
    ("post", "/v1/experiments"),
    ("get", "/v1/experiments"),
    ("get", "/v1/experiments/{experiment_id}"),
    ("post", "/v1/experiments/{experiment_id}/cancel"),
    ("post", "/v1/experiments/{experiment_id}/seeds"),
]


@pytest.fixture(params=APPS)
def described(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What `/openapi.json` says, fetched as anyone does."""
    return dict(TestClient(APPS[request.param]()).get("/openapi.json").json())


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from references(child)


def test_the_description_is_valid(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    OpenAPI.model_validate(described)
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    known = described["components"]["schemas"]
    found = set(references(described))
    assert found
    assert {reference.removeprefix("#/components/schemas/") for reference in found} <= set(known)


def test_every_operation_has_an_id_of_its_own_a_summary_and_its_parameters(
    described: dict[str, Any],
) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(described)]

    assert len(set(ids)) == len(ids)
    for _, path, operation in operations(described):
        assert operation["summary"]
        in_path = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_every_operation_under_v1_announces_its_errors_in_the_one_form(
    described: dict[str, Any],
) -> None:
    for method, path, operation in operations(described):
        if not path.startswith("/v1/"):
            continue
        wanted = {"400", "401", "413", "422", "503"} | ({"404"} if "{" in path else set())
        assert wanted <= set(operation["responses"]), f"{method} {path}"
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorView"}, f"{path} {status}"


def test_every_guarded_operation_under_v2_announces_its_errors_as_one_string() -> None:
    for method, path, operation in operations(create_inference().openapi()):
        if not path.startswith("/v2") or "security" not in operation:
            continue
        assert {"400", "401", "404", "422", "503"} <= set(operation["responses"]), (
            f"{method} {path}"
        )
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/PlainErrorView"}, f"{path} {status}"


def test_the_api_describes_all_that_the_contract_promises() -> None:
    found = {(method, path) for method, path, _ in operations(create_api().openapi())}

    assert set(CONTRACT) <= found


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/v1/jobs"),
        ("post", "/v1/datasets"),
        ("delete", "/v1/jobs/{job_id}"),
        ("post", "/v1/jobs/{job_id}/cancel"),
        ("delete", "/v1/datasets/{dataset}"),
        ("post", "/v1/models/{name}/versions"),
        ("delete", "/v1/models/{name}/versions/{version}"),
    ],
)
def test_what_can_conflict_says_so(method: str, path: str) -> None:
    assert "409" in create_api().openapi()["paths"][path][method]["responses"]


def test_answers_of_other_kinds_than_json_are_described_as_such() -> None:
    paths = create_api().openapi()["paths"]

    def kinds(path: str) -> set[str]:
        return set(paths[path]["get"]["responses"]["200"]["content"])

    assert kinds("/v1/checkpoints/{checkpoint_id}/download") == {"application/octet-stream"}
    assert kinds("/v1/jobs/{job_id}/metrics.csv") == {"text/csv"}
    assert kinds("/v1/jobs/{job_id}/metrics.tfevents") == {"application/octet-stream"}
    assert kinds("/v1/jobs/{job_id}/events/stream") == {"text/event-stream"}


def test_a_key_is_described_as_a_bearer(described: dict[str, Any]) -> None:
    schemes = described["components"]["securitySchemes"]
    assert [(s["type"], s["scheme"]) for s in schemes.values()] == [("http", "bearer")]
    for _, path, operation in operations(described):
        is_guarded = path.startswith(("/v1/", "/v2")) and not path.startswith("/v2/health/")
        assert ("security" in operation) == is_guarded
