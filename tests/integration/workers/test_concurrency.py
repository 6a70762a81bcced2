"""Several jobs at a time on one machine: real processes under one command."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from sqlalchemy import text

from shared.db.engine import transaction
from tests.integration.workers.commands import (
    statuses,
    wait_for_workers,
    wake,
    worker_command,
    workers,
)
from tests.integration.workers.conftest import Submit
from tests.servers import children_of, wait_for

LARGE = {
    "network": {"cell": "elman", "hidden_size": 40},
    "training": {"epochs": 100_000, "batch_size": 500},
}


def lines_of(log: Path, event: str) -> list[dict[str, Any]]:
    whole = log.read_text().split("\n")[:-1]
    lines = [json.loads(line) for line in whole if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


def test_two_jobs_at_once_share_the_cores_and_are_handed_back_together(
    submit: Submit, redis_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    jobs = [submit(**LARGE), submit(**LARGE)]
    with worker_command(log, "--concurrency", "2", "--device", "cpu") as command:
        found = wait_for_workers(2)
        wake(*jobs)
        assert wait_for(lambda: statuses() == ["running", "running"], 120)
        assert wait_for(lambda: None not in {row.job_id for row in workers()})
        busy = {row.name: row.job_id for row in workers()}
        assert wait_for(lambda: len(lines_of(log, "training starts")) == 2)
        threads = sum(line["threads"] for line in lines_of(log, "training starts"))

        command.send_signal(signal.SIGTERM)

        assert command.wait(120) == 0
    host = f"{os.uname().nodename}-{command.pid}"
    assert [(row.name, row.device) for row in found] == [(f"{host}.1", "cpu"), (f"{host}.2", "cpu")]
    assert sorted(map(str, busy.values())) == sorted(jobs)
    assert threads <= max(2, len(os.sched_getaffinity(0)))
    assert statuses() == ["queued", "queued"]
    assert workers() == []
    with transaction() as db:
        outcomes = db.execute(text("SELECT outcome FROM attempts")).scalars().all()
    assert outcomes == ["released", "released"]


def test_a_process_is_replaced_after_its_jobs_and_keeps_its_name(
    submit: Submit, redis_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with worker_command(log, "--device", "cpu", UNROLL_JOBS_PER_PROCESS="1") as command:
        wait_for_workers(1)
        first = children_of(command.pid)
        wake(submit(network={"cell": "elman"}))
        assert wait_for(lambda: statuses() == ["succeeded"], 120)
        assert wait_for(lambda: children_of(command.pid) not in ([], first), 120)
        wake(submit(network={"cell": "elman"}))
        assert wait_for(lambda: statuses() == ["succeeded", "succeeded"], 120)

    with transaction() as db:
        names = db.execute(text("SELECT DISTINCT worker FROM attempts")).scalars().all()
    assert names == [f"{os.uname().nodename}-{command.pid}.1"]
