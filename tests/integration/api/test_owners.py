"""What another key made does not exist: in lists, by id, by name, to verbs and on pages."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.api.app import create_app
from services.embedded.servers import Servers
from services.inference.app import create_app as create_inference
from shared.db.engine import transaction
from shared.db.keys import KeyStore
from shared.db.viewer import PROCESS, Viewer, viewing
from shared.jobs.states import JobStatus
from shared.scopes import USUAL_SCOPES, Scope
from tests.integration.api.client import api_client, error_of
from tests.integration.inference.publishing import INPUTS, publish
from tests.integration.seeding import claimed, seeded_servers, settle, spec, succeed

FILE = b'{"input": "abc", "target": "x"}\n{"input": "cba", "target": "y"}\n' * 9
OUR_PAGE = {"Sec-Fetch-Site": "same-origin", "X-Unroll-Page": "1"}


def headers_of(*scopes: Scope) -> tuple[str, dict[str, str]]:
    """The id of a new key, and how it is sent."""
    with transaction() as db:
        row, secret = KeyStore(db).create("test", scopes or USUAL_SCOPES)
    return row.id, {"Authorization": f"Bearer {secret}"}


class World:
    """One key with one of everything, another with nothing, and an administrator."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.mine_id, self.mine = headers_of()
        self.other_id, self.other = headers_of()
        self.admin_id, self.admin = headers_of(Scope.ADMIN)
        self.dataset = self.upload(self.mine)
        body = spec("mine", name="secret plan", model_name="net", cell="gru")
        self.job_id = client.post("/v1/jobs", json=body, headers=self.mine).json()["id"]
        self.checkpoint_id = succeed(claimed()).id
        client.put("/v1/models/net/aliases/best", json={"version": 1}, headers=self.mine)
        client.post("/v1/jobs", json=body, headers=self.mine)
        claimed("busy")
        experiment = {"base": spec("mine"), "vary": {"network.cell": ["lstm"]}, "seeds": [1]}
        made = client.post("/v1/experiments", json=experiment, headers=self.mine)
        self.experiment_id = made.json()["id"]
        client.post(f"/v1/experiments/{self.experiment_id}/cancel", headers=self.mine)

    def upload(self, headers: dict[str, str]) -> dict[str, Any]:
        files = {"file": ("f.jsonl", FILE)}
        answer = self.client.post(
            "/v1/datasets", files=files, data={"name": "mine"}, headers=headers
        )
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    @property
    def places(self) -> dict[str, str]:
        """A value for every parameter of a path."""
        return {
            "job_id": self.job_id,
            "dataset": self.dataset["id"],
            "checkpoint_id": self.checkpoint_id,
            "name": "net",
            "version": "1",
            "alias": "best",
            "key_id": "key_1",
            "experiment_id": self.experiment_id,
        }

    def body(self, method: str, path: str) -> dict[str, Any]:
        """What would be asked of one's own."""
        bodies = {"put": {"version": 1}, "post": {"checkpoint_id": self.checkpoint_id}}
        if path.endswith("/seeds"):
            return {"seeds": [9]}
        return bodies.get(method, {}) if path.startswith("/v1/models/") else {}


@pytest.fixture(scope="module")
def world(seeded_template: Servers) -> Iterator[World]:
    with seeded_servers(seeded_template), api_client() as client:
        yield World(client)


def operations() -> list[tuple[str, str]]:
    """Every operation on one object; those on keys need a scope that nobody else has."""
    return [
        (method, path)
        for path, methods in create_app().openapi()["paths"].items()
        for method in methods
        if "{" in path and "/keys/" not in path
    ]


@pytest.mark.parametrize(("method", "path"), operations())
def test_no_operation_finds_what_another_key_made(world: World, method: str, path: str) -> None:
    where = path.format_map(world.places)
    body = {"json": world.body(method, path)} if method in ("patch", "put", "post") else {}
    answer = world.client.request(method, where, headers=world.other, **body)

    error_of(answer, 404)
    if method == "get" and not path.endswith("/stream"):
        assert world.client.get(where, headers=world.mine).status_code == 200
        assert world.client.get(where, headers=world.admin).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/jobs", "/v1/jobs?dataset=mine", "/v1/models", "/v1/experiments"]
)
def test_lists_hold_ones_own_and_an_administrator_sees_all(world: World, path: str) -> None:
    def listed(headers: dict[str, str]) -> list[Any]:
        return list(world.client.get(path, headers=headers).json()["data"])

    assert listed(world.other) == []
    assert listed(world.mine) == listed(world.admin) != []
    assert {each["owner"] for each in listed(world.admin)} == {world.mine_id}


def test_built_in_datasets_are_everybodys(world: World) -> None:
    names = [
        d["name"] for d in world.client.get("/v1/datasets", headers=world.other).json()["data"]
    ]

    assert set(names) >= {"digits", "copy-5"}
    assert "mine" not in names
    assert world.client.get("/v1/datasets/digits/preview", headers=world.other).status_code == 200
    error_of(world.client.delete("/v1/datasets/digits", headers=world.other), 409)


def test_another_keys_dataset_cannot_be_trained_on_and_its_name_is_free(world: World) -> None:
    for name in ("mine", world.dataset["id"]):
        refused = world.client.post("/v1/jobs", json=spec(name), headers=world.other)
        assert error_of(refused, 404)["param"] == "dataset"

    theirs = world.upload(world.other)
    by_name = {
        who: world.client.get("/v1/datasets/mine", headers=headers).json()["id"]
        for who, headers in (("mine", world.mine), ("other", world.other), ("admin", world.admin))
    }
    world.client.delete("/v1/datasets/mine", headers=world.other)

    assert by_name == {
        "mine": world.dataset["id"],
        "other": theirs["id"],
        "admin": theirs["id"],  # the newest
    }
    assert world.client.get("/v1/datasets/mine", headers=world.mine).status_code == 200


def test_workers_hide_what_they_are_busy_with_and_the_queue_counts_everyone(world: World) -> None:
    from shared.db.workers import WorkerStore

    body = spec(name="waits", priority=9)
    waiting = world.client.post("/v1/jobs", json=body, headers=world.mine).json()["id"]
    with transaction() as db:
        WorkerStore(db).beat("w", "cpu", world.job_id)
    after = world.client.post("/v1/jobs", json=spec(), headers=world.other).json()

    def busy_with(headers: dict[str, str]) -> Any:
        return world.client.get("/v1/workers", headers=headers).json()["data"][0]["job_id"]

    assert (busy_with(world.other), busy_with(world.mine)) == (None, world.job_id)
    assert after["queue_position"] == 2
    assert world.client.get("/v1/queue", headers=world.other).json()["depth"] == 2
    for job_id, headers in ((after["id"], world.other), (waiting, world.mine)):
        world.client.post(f"/v1/jobs/{job_id}/cancel", headers=headers)
        world.client.delete(f"/v1/jobs/{job_id}", headers=headers)


def test_pages_show_ones_own(world: World) -> None:
    paths = [
        "/ui/jobs",
        f"/ui/jobs/{world.job_id}",
        f"/ui/checkpoints/{world.checkpoint_id}/download",
    ]
    logs = {"left": world.job_id, "right": world.job_id, "lines": "last"}

    def seen(headers: dict[str, str]) -> tuple[list[int], bool]:
        page = TestClient(world.client.app)
        page.post("/login", data={"key": headers["Authorization"][7:]}, headers=OUR_PAGE)
        statuses = [page.get(path).status_code for path in paths]
        statuses.append(page.post("/ui/compare/logs", data=logs, headers=OUR_PAGE).status_code)
        return statuses, "secret plan" in page.get("/ui/jobs").text + page.get("/").text

    assert seen(world.mine) == ([200, 200, 200, 200], True)
    assert seen(world.other) == ([200, 404, 404, 404], False)
    assert seen(world.admin) == ([200, 200, 200, 200], True)


def test_a_key_that_may_only_read_changes_nothing_on_pages(world: World) -> None:
    _, reader = headers_of(Scope.READ, Scope.ADMIN)
    _, looker = headers_of(Scope.READ)
    _, blind = headers_of(Scope.INFER)

    def cancel(headers: dict[str, str]) -> int:
        page = TestClient(world.client.app)
        page.post("/login", data={"key": headers["Authorization"][7:]}, headers=OUR_PAGE)
        return page.post("/ui/jobs/job_0/cancel", headers=OUR_PAGE).status_code

    assert [cancel(headers) for headers in (reader, looker, blind)] == [404, 403, 401]


def test_models_of_one_name_are_each_owners_own(world: World) -> None:
    for key_id, seed in ((world.mine_id, 1), (world.other_id, 2)):
        with viewing(Viewer(key_id, sees_all=False)):
            publish("shared-name", "class", seed=seed)
    with viewing(Viewer(world.mine_id, sees_all=False)):
        publish("only-mine", "class")
    body = {"inputs": [INPUTS["class"]]}

    def predict(name: str, headers: dict[str, str]) -> Any:
        return inference.post(f"/v1/models/{name}/predict", json=body, headers=headers)

    with TestClient(create_inference()) as inference:
        mine, other = (predict("shared-name", key).json() for key in (world.mine, world.other))
        again = predict("shared-name", world.mine).json()
        error_of(predict("only-mine", world.other), 404)

        assert mine["version"] == other["version"] == 1
        assert mine["outputs"] != other["outputs"]
        assert again == mine
        assert predict("only-mine", world.admin).status_code == 200


def test_a_request_that_says_nothing_sees_nothing_and_a_worker_sees_all(world: World) -> None:
    from shared.db.jobs import JobStore
    from shared.db.viewer import NOBODY

    with viewing(NOBODY), transaction() as db:
        assert JobStore(db).find(world.job_id) is None
    with viewing(PROCESS), transaction() as db:
        job = JobStore(db).get(world.job_id)
        assert (job.owner, job.status) == (world.mine_id, JobStatus.SUCCEEDED)


def test_an_administrators_job_keeps_anothers_dataset_from_being_deleted(world: World) -> None:
    theirs = world.upload(world.other)
    job = world.client.post("/v1/jobs", json=spec(theirs["id"]), headers=world.admin).json()
    refused = world.client.delete(f"/v1/datasets/{theirs['id']}", headers=world.other)
    row = claimed("w9")
    settle(row, JobStatus.FAILED, "failed")
    deleted = world.client.delete(f"/v1/datasets/{theirs['id']}", headers=world.other)

    assert row.id == job["id"]
    assert error_of(refused, 409)["code"] == "dataset_in_use"
    assert deleted.status_code == 204
