"""From a checkpoint to a version of a model, which inference checks before it serves it."""

from typing import Any

from sqlalchemy.orm import Session

from services.api.views import version_view
from services.http.idempotency import once
from shared.data.encoding import Encoding
from shared.db.checkpoints import CheckpointStore
from shared.db.jobs import JobStore
from shared.db.models import PENDING, ModelStore
from shared.db.tables import DatasetRow, JobRow, ModelVersionRow
from shared.jobs.errors import Conflict
from shared.jobs.resolve import shape_of
from shared.logging import get_logger

log = get_logger(__name__)


def publish(name: str, checkpoint_id: str, idempotency: dict[str, str] | None) -> dict[str, Any]:
    """The new version as JSON, or the first answer to the same Idempotency-Key."""

    def make(db: Session) -> dict[str, Any]:
        return version_view(_add_version(db, name, checkpoint_id), {}).model_dump(mode="json")

    answer = once(idempotency, make)
    if answer.is_first:
        version = answer.body["version"]
        log.info("checkpoint published", model=name, version=version, checkpoint_id=checkpoint_id)
    return answer.body


def _add_version(db: Session, name: str, checkpoint_id: str) -> ModelVersionRow:
    checkpoints = CheckpointStore(db)
    found, _ = checkpoints.get(checkpoint_id)
    job = JobStore(db).lock(found.job_id)  # else its worker could thin this checkpoint out
    checkpoint, _ = checkpoints.get(checkpoint_id)
    encoding = _encoding_of(db, job)
    return ModelStore(db).publish(
        name,
        job_id=job.id,
        checkpoint_id=checkpoint.id,
        dataset=job.spec["dataset"],
        network=job.spec["network"],
        shape=shape_of(Encoding.model_validate(encoding)).model_dump(mode="json"),
        encoding=encoding,
        metrics=checkpoint.metrics,
        num_parameters=job.estimate["num_parameters"],
        blob_id=checkpoint.blob_id,
        weights_sha256=checkpoint.weights_sha256,
        checks={"status": PENDING},
    )


def _encoding_of(db: Session, job: JobRow) -> dict[str, Any]:
    """How inputs and outputs of the job's network are read.

    Raises:
        Conflict: its dataset was deleted, and nothing that it published tells.
    """
    dataset = db.get(DatasetRow, job.dataset_id) if job.dataset_id else None
    source = dataset or ModelStore(db).of_job(job.id)
    if source is None:
        raise Conflict(
            f"The dataset of job {job.id} was deleted, and with it how the network's inputs are "
            "read; its checkpoints can be downloaded, but not published."
        )
    return source.encoding
