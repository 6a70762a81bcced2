"""A large file becomes a dataset in memory that does not grow with it."""

import json
import subprocess
import sys
from pathlib import Path

import httpx

from shared.data.table import DatasetTable
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from tests.integration.workers.footprint import forget_peak, resident
from tests.servers import free_port, wait_for

NUM = 10_000
WORDS = "the unrolled state carries what the gates forget and what they let through "
MOST_ABOVE = 64 * 2**20  # twice the file; its symbols as 32-bit numbers alone would take more


def write(path: Path, num: int) -> int:
    with path.open("w") as file:
        for index in range(num):
            record = {"input": f"{index} {WORDS * 40}", "target": "abc"[index % 3]}
            file.write(json.dumps(record) + "\n")
    return path.stat().st_size


def upload(url: str, path: Path) -> httpx.Response:
    with path.open("rb") as file:
        return httpx.post(
            f"{url}/v1/datasets", files={"file": file}, data={"name": path.stem}, timeout=200
        )


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_thirty_megabytes_take_less_than_64_mib(seeded: None, tmp_path: Path) -> None:
    path, small, port = tmp_path / "large.jsonl", tmp_path / "small.jsonl", free_port()
    size = write(path, NUM)
    write(small, 100)
    url = f"http://127.0.0.1:{port}"
    api = subprocess.Popen(
        [sys.executable, "-m", "services.api", "--port", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        assert wait_for(lambda: is_up(url), 120)
        upload(url, small)  # libraries are loaded at their first use
        before = resident("VmRSS", api.pid)
        forget_peak(api.pid)
        response = upload(url, path)
        grown = resident("VmHWM", api.pid) - before
    finally:
        api.terminate()
        api.wait()
    with transaction() as db:
        store = DatasetStore(db)
        table = DatasetTable.open(memoryview(store.read(store.get("large"))))

    assert response.status_code == 201, response.text
    assert size > 29e6
    assert response.json()["splits"] == {"train": 8000, "val": 1000, "test": 1000}
    assert len(table.split("train")) == 8000
    assert grown < MOST_ABOVE
