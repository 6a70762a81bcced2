"""Checkpoints: listed, shown, downloaded whole, in ranges or not at all."""

from hashlib import sha256

import httpx
import pytest
from fastapi.testclient import TestClient

from shared.db.blobs import CHUNK_BYTES
from shared.db.tables import CheckpointRow, JobRow
from tests.integration.api.client import error_of
from tests.integration.api.serving import served_api
from tests.integration.seeding import claimed, execute, save, spec

DATA = bytes(range(256)) * (CHUNK_BYTES // 128) + b"the end"  # two chunks and a little


def running_job(client: TestClient) -> JobRow:
    client.post("/v1/jobs", json=spec())
    return claimed()


@pytest.fixture
def client(shared_client: TestClient) -> TestClient:
    return shared_client


@pytest.fixture(scope="module")
def checkpoint(shared_client: TestClient) -> CheckpointRow:
    return save(running_job(shared_client), DATA, step=7, metrics={"val/loss": 0.5})


def test_checkpoints_are_listed_newest_first_and_shown_one_by_one(client: TestClient) -> None:
    job = running_job(client)
    rows = [save(job, f"step {step}".encode(), step=step) for step in (1, 2, 3)]
    listed = client.get(f"/v1/jobs/{job.id}/checkpoints").json()

    assert [row["id"] for row in listed["data"]] == [row.id for row in rows[::-1]]
    assert (listed["object"], listed["has_more"]) == ("list", False)
    assert listed["data"][0] == client.get(listed["data"][0]["urls"]["self"]).json()


def test_a_checkpoint_tells_where_it_comes_from(
    client: TestClient, checkpoint: CheckpointRow
) -> None:
    shown = client.get(f"/v1/checkpoints/{checkpoint.id}").json()

    assert (shown["job_id"], shown["step"], shown["attempt"]) == (checkpoint.job_id, 7, 1)
    assert shown["metrics"] == {"val/loss": 0.5}
    assert shown["bytes"] == len(DATA)
    assert shown["sha256"] == sha256(DATA).hexdigest()


def test_a_download_is_the_file_and_its_etag_the_hash(
    client: TestClient, checkpoint: CheckpointRow
) -> None:
    response = client.get(f"/v1/checkpoints/{checkpoint.id}/download")

    assert response.content == DATA
    assert response.headers["etag"] == f'"{sha256(DATA).hexdigest()}"'
    assert response.headers["content-length"] == str(len(DATA))
    assert response.headers["accept-ranges"] == "bytes"
    assert f"{checkpoint.id}.safetensors" in response.headers["content-disposition"]


@pytest.mark.parametrize("form", ["{0}", "W/{0}", '"other", {0}', "*"])
def test_a_file_that_the_client_has_is_not_sent_again(
    client: TestClient, checkpoint: CheckpointRow, form: str
) -> None:
    etag = f'"{sha256(DATA).hexdigest()}"'
    path = f"/v1/checkpoints/{checkpoint.id}/download"
    response = client.get(path, headers={"If-None-Match": form.format(etag)})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


SIZE = len(DATA)
RANGES = {
    "bytes=0-0": (0, 1),
    "bytes=0-": (0, SIZE),
    "bytes=10-19": (10, 20),
    f"bytes={CHUNK_BYTES - 3}-{CHUNK_BYTES + 2}": (CHUNK_BYTES - 3, CHUNK_BYTES + 3),
    f"bytes={CHUNK_BYTES}-": (CHUNK_BYTES, SIZE),
    f"bytes=5-{10**15}": (5, SIZE),
    f"bytes={SIZE - 1}-": (SIZE - 1, SIZE),
    "bytes=-7": (SIZE - 7, SIZE),
    f"bytes=-{10 * SIZE}": (0, SIZE),
}


@pytest.mark.parametrize(("header", "bounds"), RANGES.items(), ids=RANGES)
def test_a_range_is_that_slice_of_the_file(
    client: TestClient, checkpoint: CheckpointRow, header: str, bounds: tuple[int, int]
) -> None:
    start, stop = bounds
    path = f"/v1/checkpoints/{checkpoint.id}/download"
    response = client.get(path, headers={"Range": header})

    assert response.status_code == 206
    assert response.content == DATA[start:stop]
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert response.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={10**17}-", "bytes=-0"])
def test_a_range_behind_the_end_is_416_with_the_size(
    client: TestClient, checkpoint: CheckpointRow, header: str
) -> None:
    path = f"/v1/checkpoints/{checkpoint.id}/download"
    response = client.get(path, headers={"Range": header})

    assert error_of(response, 416)["param"] == "Range"
    assert response.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "header", ["bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=0x1-2", ""]
)
def test_a_range_in_another_form_is_ignored(
    client: TestClient, checkpoint: CheckpointRow, header: str
) -> None:
    path = f"/v1/checkpoints/{checkpoint.id}/download"
    response = client.get(path, headers={"Range": header})

    assert response.status_code == 200
    assert response.content == DATA


def test_a_download_whose_first_chunk_is_gone_is_unavailable(client: TestClient) -> None:
    checkpoint = save(running_job(client), DATA)
    execute("DELETE FROM blob_chunks WHERE blob_id = :id AND number = 0", id=checkpoint.blob_id)
    response = client.get(f"/v1/checkpoints/{checkpoint.id}/download")

    assert error_of(response, 503)["code"] == "corrupt_blob"


def test_a_damaged_file_never_arrives_whole(client: TestClient) -> None:
    short, long = (save(running_job(client), DATA[:size]) for size in (1000, SIZE))
    for checkpoint in (short, long):
        execute(
            "UPDATE blob_chunks SET data = set_bit(data, 9, 1 - get_bit(data, 9))"
            " WHERE blob_id = :id AND number = 0",
            id=checkpoint.blob_id,
        )

    response = client.get(f"/v1/checkpoints/{short.id}/download")
    assert error_of(response, 503)["code"] == "corrupt_blob"
    with served_api() as url, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}/v1/checkpoints/{long.id}/download", timeout=60)
