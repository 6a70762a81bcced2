"""Checkpoints of a running job: written, ranked, thinned out, and found again."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from shared.db.blobs import BlobStore
from shared.db.checkpoints import CheckpointStore
from shared.db.counters import CounterStore
from shared.db.leases import LeaseStore
from shared.db.metrics import MetricStore
from shared.db.tables import CheckpointRow, JobRow
from shared.nn.checkpoint import Checkpoint, pack, unpack_into, weights_sha256
from workers.lease import Lease
from workers.plan import Plan
from workers.recorder import Recorder
from workers.training.state import capture, restore


class Saver:
    def __init__(self, plan: Plan, lease: Lease, recorder: Recorder) -> None:
        self.plan, self.lease, self.recorder = plan, lease, recorder
        self.saved_step = -1
        self.is_evaluated = False  # whether the checkpoint of that step has its metrics
        self.owes_evaluation = False

    def has_saved(self, step: int, *, evaluated: bool = False) -> bool:
        """Whether the newest checkpoint is of this step, and has been evaluated if that is asked."""
        return self.saved_step == step and (self.is_evaluated or not evaluated)

    def save(self, metrics: dict[str, float]) -> None:
        """Write a checkpoint of the present position; `metrics` are those evaluated here."""
        self.recorder.flush()
        training = self.plan.training
        weights = training.network.state_dict()
        tensors, facts = capture(training)
        facts |= {"monitor": self.plan.monitor.to_json(), "best": self.recorder.best}
        spec, shape = self.plan.spec.network, training.network.shape
        found = Checkpoint(spec, shape, weights, tensors, facts)
        blob = self.lease.transact(lambda db: BlobStore(db).write(pack(found)))
        columns = {
            "attempt": self.lease.attempt,
            "step": training.position.step,
            "epoch": training.position.epoch,
            "metrics": metrics,
            "blob_id": blob.id,
            "weights_sha256": weights_sha256(weights),
        }
        self.lease.write(lambda db, job: self._add(db, job, blob.bytes, columns))
        self.saved_step, self.is_evaluated = training.position.step, bool(metrics)

    def _add(self, db: Session, job: JobRow, num_bytes: int, columns: dict[str, Any]) -> None:
        store, kept = CheckpointStore(db), self.plan.spec.checkpoint
        if store.is_there(columns["blob_id"]):
            return  # the first try was committed and only its answer was lost
        store.forget_at(job.id, columns["step"])  # one that was saved before its evaluation
        store.add(job.id, **columns)
        store.retain(job.id, self._ranked(store, job.id)[: kept.keep_best], kept.keep_last)
        CounterStore(db).add("checkpoints")
        CounterStore(db).add("checkpoint_bytes", by=num_bytes)

    def _ranked(self, store: CheckpointStore, job_id: str) -> list[str]:
        """Checkpoints that were evaluated, the best first; earlier ones win ties."""
        monitor = self.plan.monitor
        scored = [
            (monitor.rank(row.metrics[monitor.metric]), row.step, row.id)
            for row, _ in store.of_job(job_id)
            if row.metrics.get(monitor.metric) is not None
        ]
        return [checkpoint_id for *_, checkpoint_id in sorted(scored)]

    def resume(self) -> None:
        """Go back to the newest checkpoint of an earlier attempt, if there is one."""
        found = self.lease.transact(lambda db: load_latest(db, self.lease.job_id, self.plan))
        if found is None:
            self.lease.write(lambda db, job: MetricStore(db).forget_after(job.id, 0))
            return
        row, facts = found
        self.plan.monitor.load(facts["monitor"])
        self.recorder.best = facts["best"]
        self.saved_step, self.is_evaluated = row.step, bool(row.metrics)
        position = self.plan.training.position
        ends_epoch = position.batch == 0 and position.step > 0
        self.owes_evaluation = ends_epoch and not row.metrics
        self.lease.write(lambda db, job: _resumed(db, job, row))


def load_latest(
    db: Session, job_id: str, plan: Plan
) -> tuple[CheckpointRow, Mapping[str, Any]] | None:
    """Bring the training to where the job's newest checkpoint is, if it has one; with its facts."""
    row = CheckpointStore(db).latest(job_id)
    if row is None:
        return None
    chunks = BlobStore(db).read_checked(row.blob_id)
    checkpoint = unpack_into(plan.training.network, chunks)
    restore(plan.training, checkpoint.tensors, checkpoint.facts)
    return row, checkpoint.facts


def _resumed(db: Session, job: JobRow, row: CheckpointRow) -> None:
    LeaseStore(db).resumed_from(job, row.step)
    MetricStore(db).forget_after(job.id, row.step)
