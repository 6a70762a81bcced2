"""From a job row to checkpoints and back: the only meeting of SQL and training."""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import torch
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session
from structlog.contextvars import bound_contextvars

from shared.config import get_settings
from shared.data.batching import Batch, eval_batches, sample_batches
from shared.data.table import DatasetTable
from shared.db.blobs import BlobStore
from shared.db.checkpoints import CheckpointStore
from shared.db.datasets import DatasetStore
from shared.db.engine import transaction
from shared.db.events import EventStore
from shared.db.leases import LeaseStore
from shared.db.models import ModelStore
from shared.db.tables import CheckpointRow, JobRow
from shared.jobs.errors import DatasetNotFound, ErrorClass, JobError, LeaseLost
from shared.jobs.spec import JobSpec
from shared.jobs.states import JobStatus
from shared.logging import get_logger
from shared.nn.catalog import kernel_of
from shared.nn.checkpoint import unpack_into
from shared.nn.checks import Checks, check
from shared.nn.mappings import AnyNetwork
from shared.queue import wake_workers
from workers.faults import explain
from workers.launch import RankDied, run_ranks
from workers.lease import Heart, Lease, StopAsked
from workers.plan import JobFailed, choose_device, make_plan
from workers.recorder import Recorder
from workers.saver import Saver
from workers.threads import threads_for
from workers.training.evaluation import evaluate
from workers.training.loop import Step, fit
from workers.training.team import Team

MAX_WRITTEN = 512  # texts that one evaluation writes: a symbol at a time is slow
log = get_logger(__name__)


def run_next(heart: Heart) -> None:
    """Take the most urgent job and see it to its end; nothing to take is a quiet end."""
    lease_s = get_settings().lease_s
    try:
        with transaction() as db:
            job = LeaseStore(db).claim(heart.worker, heart.device, lease_s, heart.num_gpus)
    except (OperationalError, InterfaceError) as error:
        # a wake-up follows from the sweeper
        log.warning("no job taken; the database is away", error=str(error).splitlines()[0])
        return
    if job is None:
        return
    lease = Lease(job.id, job.attempt, lease_s)
    ids = {"request_id": job.request_id, "job_id": job.id, "attempt": job.attempt}
    with bound_contextvars(**ids), heart.holding(lease):
        log.info("attempt starts")
        try:
            _settle(job, lease, heart)
        except (LeaseLost, OperationalError, InterfaceError) as error:
            log.warning("attempt abandoned", error=str(error))
        if get_settings().max_running_jobs:
            wake_workers([job.id])  # for one that the cap held back: its own found nothing


def _settle(job: JobRow, lease: Lease, heart: Heart) -> None:
    """Run the attempt and write down how it ended."""
    try:
        if job.spec["resources"]["devices"] > 1:
            run_ranks(job, lease, heart)  # the first of its processes settles what ends well
        else:
            Attempt(job, lease, choose_device(job.device)).run()
    except StopAsked as asked:
        lease.stop(asked)
    except RankDied as died:
        reason = f"lost a process on {heart.worker}"
        log.warning(reason, error=str(died))
        lease.write(lambda db, row: LeaseStore(db).lose(row, reason))
    except (LeaseLost, OperationalError, InterfaceError):
        raise
    except Exception as error:
        fault = explain(error, job.estimate["memory_bytes"])
        lease.write(lambda db, row: LeaseStore(db).fail(row, fault))
        log.warning("attempt failed", code=fault.code, error=fault.message)


class OutOfTime(JobFailed):
    def __init__(self, limit_s: float) -> None:
        message = (
            f"Training took longer than resources.max_runtime_s = {limit_s:g} s. Raise it or train "
            "fewer epochs; a retry goes on from the last checkpoint for as long again."
        )
        super().__init__(JobError("max_runtime_exceeded", ErrorClass.RESOURCE, message))


def load_table(db: Session, job: JobRow, spec: JobSpec) -> DatasetTable:
    """The job's dataset, whole.

    Raises:
        DatasetNotFound: it was deleted.
    """
    store = DatasetStore(db)
    if job.dataset_id is None:
        raise DatasetNotFound(spec.dataset)  # by its name it could be another owner's
    data = store.read(store.get(job.dataset_id))
    return DatasetTable.open(memoryview(data))


def _load_best(job_id: str, network: AnyNetwork, db: Session) -> CheckpointRow:
    """Give a network the weights of the job's best checkpoint."""
    store = CheckpointStore(db)
    best = store.best(job_id) or store.latest(job_id)
    assert best is not None
    unpack_into(network, BlobStore(db).read_checked(best.blob_id), only_weights=True)
    return best


class Attempt:
    """One worker's try at one job."""

    def __init__(
        self, job: JobRow, lease: Lease, device: torch.device, team: Team | None = None
    ) -> None:
        self.job, self.lease, self.device = job, lease, device
        self.team = team or Team()
        self.spec = JobSpec.model_validate(job.spec)
        self.started_at = time.monotonic()
        self.earlier_s = 0.0

    def run(self) -> None:
        """Train to the end and publish; raises whatever ends it before."""
        threads = threads_for(self.spec)
        torch.set_num_threads(threads)
        log.info("training starts", threads=threads)
        table = self.lease.transact(lambda db: load_table(db, self.job, self.spec))
        self.plan = make_plan(self.spec, table, self.device)
        self.plan.training.team = self.team
        self.recorder = Recorder(self.plan, self.lease, self.job.latest)
        self.saver = Saver(self.plan, self.lease, self.recorder)
        self.lease.write(self._begin)
        if self.job.attempt > 1:
            self.saver.resume()
        self.team.begin(self.plan.training.network)
        try:
            self._train()
        except (StopAsked, OutOfTime):
            self._save_if_new({})
            self.team.dismiss()
            raise
        self.team.dismiss()
        self._finish()

    def _begin(self, db: Session, job: JobRow) -> None:
        self.earlier_s = LeaseStore(db).trained_s(job)
        device = self.plan.training.device.type
        job.kernel = kernel_of(self.spec.network, device, self.spec.mapping)

    def _train(self) -> None:
        if self.saver.owes_evaluation:
            self._epoch_ended(self.plan.training.position.epoch)
        steps = fit(self.plan.training, self.spec.training.max_steps)
        metrics: dict[str, float] = {}
        if self.plan.monitor.is_exhausted():
            steps.close()  # an earlier attempt stopped between its last epoch and its end
        for step in steps:
            self.recorder.step(step)
            self._check()
            metrics = self._epoch_ended(step.epoch + 1) if step.ends_epoch else {}
            if self._is_due(step):
                self._save_if_new(metrics)
            if step.ends_epoch and self.plan.monitor.is_exhausted():
                steps.close()
        if not self.saver.has_saved(self.plan.training.position.step, evaluated=True):
            self.saver.save(metrics or self._evaluated()[0])

    def _epoch_ended(self, num_epochs: int) -> dict[str, float]:
        step = self.plan.training.position.step
        padding = {"train/padding_share": self.plan.padding_share(num_epochs - 1)}
        self.recorder.metrics(padding, step, step / self.plan.steps_per_epoch)
        metrics, is_best = self._evaluated()
        self.recorder.epoch_ended()
        if is_best or num_epochs % self.spec.checkpoint.every_epochs == 0:
            self.saver.save(metrics)
        return metrics

    def _check(self) -> None:
        """Stop when asked to; an epoch that just ended leaves its evaluation to the next attempt."""
        self.lease.check()
        limit_s = self.spec.resources.max_runtime_s
        if limit_s is None:
            return
        if self.earlier_s + time.monotonic() - self.started_at > limit_s:
            raise OutOfTime(limit_s)

    def _while_owned(self, items: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of an evaluation, which stops as promptly as training does."""
        for item in items:
            self._check()
            yield item

    def _is_due(self, step: Step) -> bool:
        every = self.spec.checkpoint.every_steps
        is_last = step.number == self.plan.total_steps  # saved with its evaluation
        return every is not None and step.number % every == 0 and not is_last

    def _save_if_new(self, metrics: dict[str, float]) -> None:
        if not self.saver.has_saved(self.plan.training.position.step):
            self.saver.save(metrics)

    def _evaluated(self) -> tuple[dict[str, float], bool]:
        """Validation metrics here and now, recorded, and whether they are the best so far."""
        self.recorder.flush()
        training = self.plan.training
        metrics = self._measure(training.network, "val") or {
            "train/loss": self.recorder.latest["train/loss"]
        }
        step = training.position.step
        epoch = step / self.plan.steps_per_epoch
        if len(self.plan.splits["val"]):
            self.recorder.metrics(metrics, step, epoch)
        monitor = self.plan.monitor
        is_best = monitor.observe(metrics, step)
        training.schedule.observe(metrics, step)
        if is_best:
            value = monitor.best_value
            self.recorder.best = {"metric": monitor.metric, "value": value, "step": step}
        self.recorder.flush()
        return metrics, is_best

    def _measure(self, network: AnyNetwork, split: str) -> dict[str, float]:
        """Metrics of a split under their names; none where it is empty."""
        data = self.plan.splits[split]
        if len(data) == 0:
            return {}
        batch_size, device = self.spec.training.batch_size, self.plan.training.device
        batches = self._while_owned(eval_batches(data, batch_size))
        sample = self._while_owned(sample_batches(data, batch_size, MAX_WRITTEN))
        measured = evaluate(network, batches, self.plan.evaluation, device, sample)
        return {f"{split}/{name}": value for name, value in measured.items()}

    def _finish(self) -> None:
        """Test and check the best network as it was stored, publish it, and end the job: all or nothing.

        One that fails its checks is not published; the job has succeeded in training, and says so.
        """
        network = self.plan.training.network  # trained to its end: its memory is free for the best
        best = self.lease.transact(partial(_load_best, self.job.id, network))
        step = self.plan.training.position.step
        test = self._measure(network, "test")
        self.recorder.metrics(test, step, step / self.plan.steps_per_epoch)
        self.recorder.flush()
        checks = check(network.cpu().eval())
        self.lease.write(lambda db, job: self._end(db, job, best, test, checks))
        log.info("attempt succeeded", checks=checks.fault or "passed")

    def _end(
        self,
        db: Session,
        job: JobRow,
        best: CheckpointRow,
        test: dict[str, float],
        checks: Checks,
    ) -> None:
        reason = None
        if checks.fault is None:
            self._publish(db, job, best, test, checks)
        else:
            reason = f"not published: {checks.fault}"
            EventStore(db).add(job.id, "log", {"level": "warning", "message": reason})
        job.weights_sha256 = best.weights_sha256
        job.progress = {**job.progress, "fraction": 1.0, "eta_s": 0.0}
        LeaseStore(db).settle(job, JobStatus.SUCCEEDED, "succeeded", reason)

    def _publish(
        self,
        db: Session,
        job: JobRow,
        best: CheckpointRow,
        test: dict[str, float],
        checks: Checks,
    ) -> None:
        table = self.plan.splits["train"].encoding
        columns: dict[str, Any] = {
            "job_id": job.id,
            "checkpoint_id": best.id,
            "dataset": self.spec.dataset,
            "network": self.spec.network.model_dump(mode="json"),
            "shape": self.plan.training.network.shape.model_dump(mode="json"),
            "encoding": table.model_dump(mode="json"),
            "metrics": {**best.metrics, **test},
            "num_parameters": job.estimate["num_parameters"],
            "blob_id": best.blob_id,
            "weights_sha256": best.weights_sha256,
            "checks": checks.to_json(),
        }
        assert job.model_name is not None
        version = ModelStore(db).publish(job.model_name, **columns)
        job.model_version = version.version
