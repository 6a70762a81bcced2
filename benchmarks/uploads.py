"""Measure what uploads promise: a large file becomes a dataset in bounded memory of the API.

    python -m benchmarks.uploads [--megabytes 300] [--only text series labels npz]

The files are made up, sent to a real API process on a Postgres of its own, and erased.

text    JSON Lines of long texts with a class
series  JSON Lines of series with a number at every step
labels  JSON Lines of short names with a class: the most records a megabyte
npz     an array of series with a number each
"""

import argparse
import io
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.storage import database

GOAL_MIB = 200
WORDS = ("time", "gate", "state", "cell", "layer", "unroll", "forget", "carry", "reset", "update")


def text(random: np.random.Generator) -> dict[str, object]:
    words = random.choice(WORDS, 150)
    return {"input": " ".join(words.tolist()), "target": str(words[0])}


def series(random: np.random.Generator) -> dict[str, object]:
    steps = random.normal(size=(60, 3)).round(4)
    return {"input": steps[:, :2].tolist(), "target": steps[:, 2].tolist()}


def labels(random: np.random.Generator) -> dict[str, object]:
    return {
        "input": "".join(random.choice(list("abcdefghij"), 12)),
        "target": f"c{random.integers(9)}",
    }


def write_jsonl(
    make: Callable[[np.random.Generator], dict[str, object]], path: Path, size: int
) -> None:
    """The same thousand records with a number of their own each, until the file is large enough."""
    random = np.random.default_rng(1)
    records = [json.dumps(make(random)) for _ in range(1000)]
    with path.open("w") as file:
        while file.tell() < size:
            file.write("\n".join(records) + "\n")


def write_npz(path: Path, size: int) -> None:
    num = size // (8 * 60 * 3)
    random = np.random.default_rng(1)
    np.savez(path, x=random.normal(size=(num, 60, 3)), y=random.normal(size=num))


KINDS: dict[str, Callable[[Path, int], None]] = {
    "text": lambda path, size: write_jsonl(text, path, size),
    "series": lambda path, size: write_jsonl(series, path, size),
    "labels": lambda path, size: write_jsonl(labels, path, size),
    "npz": write_npz,
}


@contextmanager
def api() -> Iterator[tuple[str, int]]:
    """The URL and the id of an API process over the database of the environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "services.api", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not is_up(url):
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def resident_mib(kind: str, pid: int) -> float:
    """`VmRSS` (now) or `VmHWM` (the most) of a process, which Linux alone tells."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))


def growth(url: str, pid: int, path: Path) -> tuple[float, float]:
    """MiB above the start, and seconds, of one upload."""
    with io.BytesIO(b'{"input": "abab", "target": "x"}\n' * 50) as small:
        files = {"file": ("small.jsonl", small)}
        httpx.post(f"{url}/v1/datasets", files=files, data={"name": "small"}).raise_for_status()
    before = resident_mib("VmRSS", pid)
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the most so far
    started = time.perf_counter()
    with path.open("rb") as file:
        response = httpx.post(
            f"{url}/v1/datasets", files={"file": file}, data={"name": path.stem}, timeout=3600
        )
    response.raise_for_status()
    return resident_mib("VmHWM", pid) - before, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what uploads promise.")
    parser.add_argument("--only", nargs="*", choices=list(KINDS))
    parser.add_argument("--megabytes", type=int, default=300)
    options = parser.parse_args()
    table = Table("uploaded", "memory above the start", "goal", "took")
    with database(), tempfile.TemporaryDirectory() as folder:
        for name in options.only or KINDS:
            path = Path(folder) / f"{name}.{'npz' if name == 'npz' else 'jsonl'}"
            KINDS[name](path, options.megabytes * 1_000_000)
            size = path.stat().st_size / 1e6
            with api() as (url, pid):
                mib, seconds = growth(url, pid, path)
            path.unlink()
            goal, rate = f"{GOAL_MIB} MiB", f"{seconds:.0f} s ({size / seconds:.1f} MB/s)"
            table.add_row(f"{name}, {size:.0f} MB", f"{mib:.0f} MiB", goal, rate)
    Console().print(table)


if __name__ == "__main__":
    main()
