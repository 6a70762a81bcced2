"""Datasets from URLs: what the operator allows, and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fastapi.testclient import TestClient
from fsspec.implementations.memory import MemoryFileSystem

from shared.config import Settings, get_settings
from tests.integration.api.client import error_of
from tests.integration.seeding import count_rows

ROWS = b'{"input": "abab", "target": "x"}\n{"input": "baba", "target": "y"}\n' * 5


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def set_sources(sources: str, **more: str) -> None:
        for name, value in {"dataset_sources": sources, **more}.items():
            monkeypatch.setenv(f"UNROLL_{name.upper()}", value)
        get_settings.cache_clear()

    yield set_sources
    monkeypatch.undo()
    get_settings.cache_clear()


def add(client: TestClient, url: str, **more: Any) -> Any:
    return client.post("/v1/datasets", json={"url": url, "name": "mine", **more})


def refused(client: TestClient, url: str, status: int = 422) -> str:
    before = count_rows()
    error = error_of(add(client, url), status)

    assert error["param"] == "url"
    assert count_rows() == before
    return str(error["message"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data sets"
    folder.mkdir()
    (folder / "words.jsonl").write_bytes(ROWS)
    (tmp_path / "outside.jsonl").write_bytes(ROWS)
    return folder


def test_a_file_below_the_folder_becomes_a_dataset(
    client: TestClient, allow: Any, root: Path
) -> None:
    allow(f"https, {root.as_uri()}")
    url = f"{root.as_uri()}/words.jsonl"
    response = add(client, url, options={"seed": 3})
    again = add(client, url, options={"seed": 3})

    assert response.status_code == 201, response.text
    assert response.json()["format"] == "jsonl"
    assert response.json()["about"]["url"] == url
    assert (again.status_code, again.json()["id"]) == (200, response.json()["id"])


def test_no_url_is_read_unless_the_operator_lists_it(
    shared_client: TestClient, allow: Any, root: Path
) -> None:
    message = refused(shared_client, f"{root.as_uri()}/words.jsonl")

    assert "UNROLL_DATASET_SOURCES" in message
    assert Settings().dataset_sources == ()


def test_what_is_not_below_the_folder_is_refused(
    shared_client: TestClient, allow: Any, root: Path
) -> None:
    allow(root.as_uri())
    (root / "link.jsonl").symlink_to(root.parent / "outside.jsonl")
    os.mkfifo(root / "pipe")
    base = root.as_uri()

    for path in ("/../outside.jsonl", "/%2e%2e/outside.jsonl", "/link.jsonl", "2/words.jsonl"):
        assert "not among the sources" in refused(shared_client, base + path)
    for url in (
        "file:///etc/passwd",
        base.replace("file://", "file://host"),
        "http://example.org/a",
    ):
        assert "not among the sources" in refused(shared_client, url)
    assert "not a file" in refused(shared_client, f"{base}/pipe")
    assert "No such file" in refused(shared_client, f"{base}/nothing.jsonl")


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost:1/a.jsonl",
        "https://127.0.0.1:1/a.jsonl",
        "https://[::1]:1/a.jsonl",
        "https://[::ffff:169.254.169.254]/latest",
    ],
)
def test_this_machine_and_its_net_are_refused_however_https_names_them(
    shared_client: TestClient, allow: Any, url: str
) -> None:
    allow("https")

    assert "not a public host" in refused(shared_client, url)


@pytest.mark.parametrize(
    ("sources", "url"),
    [
        ("https://data.example", "https://example.data/a"),
        ("https://data.example/sets", "https://data.example/sets/../a"),
        ("https://data.example/sets", "https://data.example/settings"),
        ("https", "https://user:secret@data.example/a"),
        ("s3://bucket/sets", "s3://bucket/other/a"),
        ("s3://bucket", "s3://buckets/a"),
    ],
)
def test_a_host_a_bucket_or_a_folder_that_is_not_listed_is_refused(
    shared_client: TestClient, allow: Any, sources: str, url: str
) -> None:
    allow(sources)

    assert "not among the sources" in refused(shared_client, url)


def test_a_file_that_is_too_large_is_refused(
    shared_client: TestClient, allow: Any, root: Path
) -> None:
    allow(root.as_uri(), max_upload_bytes="1024")
    (root / "large.jsonl").write_bytes(ROWS * 100)

    assert "1024 bytes" in refused(shared_client, f"{root.as_uri()}/large.jsonl", 413)


class Bucket(MemoryFileSystem):  # type: ignore[misc]
    """Stands for s3fs; one of its keys is forbidden, and one raises what only s3fs's own libraries do."""

    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    cachable = False

    def info(self, path: str, **options: Any) -> Any:
        if path.endswith("/forbidden"):
            raise PermissionError("Forbidden")
        if path.endswith("/broken"):
            raise LookupError("Could not connect to http://10.0.0.7:9000/sets/broken")
        return super().info(path, **options)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(Bucket, "store", {})
    monkeypatch.setattr(fsspec, "filesystem", lambda _: Bucket())
    Bucket().pipe_file("sets/for all/words.jsonl", ROWS)
    Bucket().pipe_file("sets/large.jsonl", ROWS * 100)
    return Bucket()


def test_a_key_of_a_bucket_becomes_a_dataset(
    client: TestClient, allow: Any, bucket: Bucket
) -> None:
    allow("s3://sets/for%20all")
    url = "s3://sets/for%20all/words.jsonl"
    response = add(client, url)

    assert response.status_code == 201, response.text
    assert response.json()["about"]["url"] == url
    assert response.json()["bytes"] == len(ROWS)


@pytest.mark.parametrize(
    ("place", "status", "words"),
    [
        ("sets/nothing", 422, "no such bucket or key"),
        ("sets/for%20all", 422, "it is not a file"),
        ("sets/forbidden", 422, "credentials of this service may not read it"),
        ("sets/broken", 422, "the bucket cannot be read: LookupError."),
        ("sets/large.jsonl", 413, "1024 bytes"),
        ("/nothing", 422, "not among the sources"),
    ],
)
def test_a_key_that_cannot_be_read_is_told_why(
    shared_client: TestClient, allow: Any, bucket: Bucket, place: str, status: int, words: str
) -> None:
    allow("s3", max_upload_bytes="1024")

    assert words in refused(shared_client, f"s3://{place}", status)


def test_faults_of_the_file_are_told_as_those_of_an_upload(
    shared_client: TestClient, allow: Any, root: Path
) -> None:
    allow(root.as_uri())
    (root / "bad.jsonl").write_text('{"input": []}')
    error = error_of(add(shared_client, f"{root.as_uri()}/bad.jsonl"), 422)

    assert error["code"] == "invalid_dataset"
    assert error["details"][0]["where"] == "line 1"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "mine"}, "url"),
        ({"url": "no url", "name": "mine"}, "url"),
        ({"url": "https://data.example/" + "a" * 2000, "name": "mine"}, "url"),
        ({"url": "https://data.example/a"}, "name"),
        ({"url": "https://data.example/a", "name": "a/b"}, "name"),
        ({"url": "https://data.example/a", "name": "mine", "format": "xlsx"}, "format"),
        (
            {"url": "https://data.example/a", "name": "mine", "options": {"windw": 3}},
            "options.windw",
        ),
        ({"url": "https://data.example/a", "name": "mine", "urls": []}, "urls"),
    ],
)
def test_a_faulty_field_is_told(shared_client: TestClient, body: Any, param: str) -> None:
    assert error_of(shared_client.post("/v1/datasets", json=body), 422)["param"] == param


def test_json_may_not_be_as_large_as_a_file(shared_client: TestClient, allow: Any) -> None:
    allow("", max_body_bytes="2048")
    response = add(shared_client, "https://data.example/a", options={"tokens": "x" * 4000})

    assert response.status_code == 413
