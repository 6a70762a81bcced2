"""Which checkpoints a job keeps, and whose bytes stay."""

import pytest

from shared.db.checkpoints import CheckpointStore
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.db.tables import JobRow
from shared.jobs.states import JobStatus
from tests.integration.db.conftest import Enqueue
from tests.integration.seeding import claimed, count_rows, execute, publish, save, settle, succeed


@pytest.fixture
def job(enqueue: Enqueue) -> JobRow:
    enqueue()
    return claimed()


def retain(job: JobRow, ranked: list[str], keep_last: int) -> list[str]:
    """What remains, newest first."""
    with transaction() as db:
        store = CheckpointStore(db)
        store.retain(job.id, ranked, keep_last)
        return [row.id for row, _ in store.of_job(job.id)]


def marks(job: JobRow) -> tuple[list[str], list[str]]:
    """Ids of the checkpoints marked best and last."""
    with transaction() as db:
        rows = [row for row, _ in CheckpointStore(db).of_job(job.id)]
    return [r.id for r in rows if r.is_best], [r.id for r in rows if r.is_last]


def test_the_best_and_the_newest_are_kept_and_the_others_leave_no_bytes(job: JobRow) -> None:
    ids = [save(job, bytes(100), step=step).id for step in range(1, 7)]
    kept = retain(job, [ids[1], ids[2]], keep_last=2)

    assert kept == [ids[5], ids[4], ids[2], ids[1]]
    assert marks(job) == ([ids[1]], [ids[5]])
    assert count_rows()["blobs"] == 3 + 4
    assert count_rows()["blob_chunks"] == 3 + 4


def test_a_checkpoint_that_is_both_best_and_newest_is_kept_once(job: JobRow) -> None:
    ids = [save(job, step=step).id for step in range(1, 4)]

    assert retain(job, [ids[2]], keep_last=1) == [ids[2]]
    assert marks(job) == ([ids[2]], [ids[2]])


def test_without_a_ranking_the_newest_are_kept_and_none_is_best(job: JobRow) -> None:
    ids = [save(job, step=step).id for step in range(1, 4)]

    assert retain(job, [], keep_last=1) == [ids[2]]
    assert marks(job) == ([], [ids[2]])


def test_the_newest_is_where_an_attempt_resumes_and_the_best_is_what_is_published(
    job: JobRow,
) -> None:
    ids = [save(job, step=step).id for step in (1, 2, 3)]
    retain(job, [ids[0]], keep_last=1)
    with transaction() as db:
        latest, best = CheckpointStore(db).latest(job.id), CheckpointStore(db).best(job.id)

    assert latest is not None
    assert best is not None
    assert (latest.id, best.id) == (ids[2], ids[0])


def test_a_job_without_checkpoints_resumes_nowhere(job: JobRow) -> None:
    with transaction() as db:
        assert CheckpointStore(db).latest(job.id) is None
        assert CheckpointStore(db).best(job.id) is None


def test_a_published_checkpoint_is_kept_beside_the_best_and_the_newest(job: JobRow) -> None:
    first = save(job, step=1)
    with transaction() as db:
        publish(db, first, job)
    ids = [first.id, *(save(job, step=step).id for step in range(2, 6))]

    assert retain(job, [ids[2]], keep_last=1) == [ids[4], ids[2], ids[0]]
    execute("DELETE FROM model_versions")
    assert retain(job, [ids[2]], keep_last=1) == [ids[4], ids[2]]


def test_bytes_that_a_model_serves_outlive_their_job(job: JobRow) -> None:
    published = succeed(job)
    num_before = count_rows()["blobs"]
    with transaction() as db:
        JobStore(db).delete(job.id)

    rows = count_rows()
    assert (rows["checkpoints"], rows["model_versions"]) == (0, 1)
    assert rows["blobs"] == num_before == 3 + 1
    assert published.blob_id


def test_a_deleted_job_frees_the_bytes_that_no_model_serves(job: JobRow) -> None:
    for step in (1, 2):
        save(job, step=step)
    settle(job, JobStatus.FAILED, "failed")
    with transaction() as db:
        JobStore(db).delete(job.id)

    assert count_rows()["blobs"] == count_rows()["blob_chunks"] == 3


def test_a_deleted_dataset_frees_its_bytes(seeded: None) -> None:
    before = count_rows()
    with transaction() as db:
        store = DatasetStore(db)
        columns = {name: getattr(store.get("digits"), name) for name in DATASET_COLUMNS}
        store.add(bytes(100), name="mine", source="upload", **columns)
    assert count_rows()["blobs"] == before["blobs"] + 1
    with transaction() as db:
        DatasetStore(db).delete("mine")

    assert count_rows() == before


DATASET_COLUMNS = [
    *("format", "sha256", "bytes", "options", "encoding", "splits", "schema", "lengths"),
    *("mappings", "about", "num_elements"),
]


def test_another_jobs_checkpoints_are_left_alone(enqueue: Enqueue) -> None:
    enqueue(2)
    one, other = claimed(), claimed()
    kept = save(other).id
    save(one)
    retain(one, [], keep_last=0)

    with transaction() as db:
        assert [row.id for row, _ in CheckpointStore(db).of_job(other.id)] == [kept]
