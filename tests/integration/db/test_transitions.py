"""Every change of a job's status is an event, whichever way it comes about."""

import ast
from pathlib import Path

import pytest

from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.jobs import JobStore
from shared.jobs.errors import IllegalTransition
from shared.jobs.states import LEASED, TRANSITIONS, JobStatus
from tests.integration.db.conftest import Enqueue
from tests.integration.seeding import execute

ROOT = Path(__file__).parents[3]
LEGAL = [(now, then) for now, after in TRANSITIONS.items() for then in sorted(after)]
ILLEGAL = [(now, then) for now in JobStatus for then in JobStatus if (now, then) not in LEGAL]


def put(job_id: str, status: JobStatus) -> None:
    """As if the job had come there by the moves before."""
    until = "now() + interval '1 hour'" if status in LEASED else "NULL"
    execute(
        f"UPDATE jobs SET status = :s, lease_until = {until} WHERE id = :id", s=status, id=job_id
    )


def move(job_id: str, status: JobStatus) -> None:
    with transaction() as db:
        store = JobStore(db)
        job = store.lock(job_id)
        keeps_lease = status in LEASED
        job.lease_until = job.lease_until or job.created_at if keeps_lease else None
        store.move(job, status, "because")


def said(job_id: str) -> list[tuple[str, str | None]]:
    with transaction() as db:
        events = EventStore(db).after(job_id, 0, 100)
    return [(event.data["status"], event.data.get("reason")) for event in events]


@pytest.fixture
def job_id(enqueue: Enqueue) -> str:
    return enqueue()[0]


@pytest.mark.parametrize(("now", "then"), LEGAL, ids=[f"{a} to {b}" for a, b in LEGAL])
def test_every_move_is_one_event_with_its_reason(
    job_id: str, now: JobStatus, then: JobStatus
) -> None:
    put(job_id, now)
    move(job_id, then)

    assert said(job_id) == [("queued", None), (then, "because")]


def test_a_move_that_the_table_forbids_changes_and_says_nothing(job_id: str) -> None:
    for now, then in ILLEGAL:
        put(job_id, now)
        with pytest.raises(IllegalTransition):
            move(job_id, then)

    assert said(job_id) == [("queued", None)]


def test_no_code_changes_a_status_but_the_one_that_says_so() -> None:
    """Assignments to a row's `.status`, and SQL updates of it."""
    found = [
        str(path.relative_to(ROOT))
        for folder in ("shared/db", "services", "workers")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if sets_status(node)
    ]

    assert found == ["shared/db/jobs.py"]


def sets_status(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign):
        targets = [part for target in node.targets for part in ast.walk(target)]
        return any(ast.unparse(part).endswith(".status") for part in targets if is_of_a_row(part))
    is_update = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "values"
    return is_update and any(keyword.arg == "status" for keyword in node.keywords)  # type: ignore[attr-defined]


def is_of_a_row(part: ast.AST) -> bool:
    return isinstance(part, ast.Attribute) and ast.unparse(part.value) != "self"
