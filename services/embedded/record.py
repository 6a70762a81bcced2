"""`unroll.json`: what a supervisor that is up tells others about itself; starts and stops nothing."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from services.embedded.state import holder, write_private

FILE = "unroll.json"


@dataclass(frozen=True)
class Record:
    """One supervisor: where its services are and which processes it runs."""

    pid: int
    api_url: str
    inference_url: str
    database_url: str  # with its password, so the file is its owner's alone
    redis_url: str
    ports: dict[str, int]
    processes: dict[str, int]  # pids by name


def write_record(state_dir: Path, record: Record) -> None:
    write_private(state_dir / FILE, asdict(record))


def remove_record(state_dir: Path) -> None:
    (state_dir / FILE).unlink(missing_ok=True)


def read_record(state_dir: str | Path) -> Record | None:
    """The record of the supervisor that holds the directory; None when it is not up."""
    pid = holder(state_dir)
    try:
        record = Record(**json.loads((Path(state_dir) / FILE).read_text()))
    except FileNotFoundError:
        return None
    return record if record.pid == pid else None
