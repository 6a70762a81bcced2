"""Checkpoints of a running job: written, ranked, thinned out, and found again."""

from typing import Any

from sqlalchemy.orm import Session

from shared.db.blobs import BlobStore
from shared.db.checkpoints import CheckpointStore
from shared.db.engine import transaction
from shared.db.leases import LeaseStore
from shared.db.metrics import MetricStore
from shared.db.tables import CheckpointRow, JobRow
from shared.nn.checkpoint import Checkpoint, pack, unpack, weights_sha256
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
        data = pack(
            Checkpoint(self.plan.spec.network, training.network.shape, weights, tensors, facts)
        )
        with transaction() as db:
            blob_id = BlobStore(db).write([data]).id
        columns = {
            "attempt": self.lease.attempt,
            "step": training.position.step,
            "epoch": training.position.epoch,
            "metrics": metrics,
            "blob_id": blob_id,
            "weights_sha256": weights_sha256(weights),
        }
        self.lease.write(lambda db, job: self._add(db, job, columns))
        self.saved_step, self.is_evaluated = training.position.step, bool(metrics)

    def _add(self, db: Session, job: JobRow, columns: dict[str, Any]) -> None:
        store, kept = CheckpointStore(db), self.plan.spec.checkpoint
        store.forget_at(job.id, columns["step"])  # one that was saved before its evaluation
        store.add(job.id, **columns)
        store.retain(job.id, self._ranked(store, job.id)[: kept.keep_best], kept.keep_last)

    def _ranked(self, store: CheckpointStore, job_id: str) -> list[str]:
        """Checkpoints that were evaluated, the best first; earlier ones win ties."""
        monitor = self.plan.monitor
        scored = [
            (monitor.rank(row.metrics[monitor.metric]), row.step, row.id)
            for row, _ in store.of_job(job_id)
            if row.metrics.get(monitor.metric) is not None
        ]
        return [checkpoint_id for *_, checkpoint_id in sorted(scored)]

    def resume(self) -> bool:
        """Go back to the newest checkpoint of an earlier attempt, if there is one."""
        with transaction() as db:
            row = CheckpointStore(db).latest(self.lease.job_id)
            data = BlobStore(db).read_all(row.blob_id) if row else None
        if row is None or data is None:
            self.lease.write(lambda db, job: MetricStore(db).forget_after(job.id, 0))
            return False
        checkpoint = unpack(bytes(data))
        training = self.plan.training
        training.network.load_state_dict(dict(checkpoint.weights))
        restore(training, checkpoint.tensors, checkpoint.facts)
        self.plan.monitor.load(checkpoint.facts["monitor"])
        self.recorder.best = checkpoint.facts["best"]
        self.saved_step, self.is_evaluated = row.step, bool(row.metrics)
        ends_epoch = training.position.batch == 0 and training.position.step > 0
        self.owes_evaluation = ends_epoch and not row.metrics
        self.lease.write(lambda db, job: _resumed(db, job, row))
        return True


def _resumed(db: Session, job: JobRow, row: CheckpointRow) -> None:
    LeaseStore(db).resumed_from(job, row.step)
    MetricStore(db).forget_after(job.id, row.step)
