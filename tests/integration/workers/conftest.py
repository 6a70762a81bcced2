"""A worker's process without Celery: a heart that does not beat by itself, and jobs to run."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from shared.db.datasets import DatasetStore, facts_of
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.seed import ensure_builtin
from shared.db.tables import JobRow
from shared.jobs.resolve import estimate, resolve
from shared.jobs.spec import JobSpec
from tests.conftest import forget_settings
from workers.lease import Heart
from workers.runner import run_next

torch.set_num_threads(1)  # see tests/unit/nn/conftest.py
Submit = Callable[..., str]


@pytest.fixture
def heart(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Heart:
    monkeypatch.setenv("UNROLL_LEASE_S", "600")  # longer than any attempt, on whatever machine
    forget_settings()
    return Heart("test-worker", "cpu")


@pytest.fixture
def submit(database_url: str) -> Submit:
    """Queue a job on a built-in dataset; returns its id."""

    def queue(dataset: str = "copy-3", **wanted: Any) -> str:
        network = {"cell": "gru", "hidden_size": 8, **wanted.pop("network", {})}
        training = {"epochs": 2, "batch_size": 500, **wanted.pop("training", {})}
        body = {"dataset": dataset, "network": network, "training": training, **wanted}
        with transaction() as db:
            if DatasetStore(db).find(dataset) is None:
                ensure_builtin(db, dataset)
            facts = facts_of(DatasetStore(db).get(dataset))
            spec = resolve(JobSpec.model_validate(body), facts)
            return JobStore(db).add(spec, facts.id, estimate(spec, facts)).id

    return queue


@pytest.fixture
def finished(submit: Submit, heart: Heart) -> Callable[..., JobRow]:
    """Queue a job, run it to its end, and give its row."""

    def run(*args: Any, **wanted: Any) -> JobRow:
        job_id = submit(*args, **wanted)
        run_next(heart)
        return job_row(job_id)

    return run


def job_row(job_id: str) -> JobRow:
    with transaction() as db:
        return JobStore(db).get(job_id)
