"""From a job's spec and data to a training that is ready to begin. Knows no SQL."""

from dataclasses import dataclass

import torch

from shared.data.batching import epoch_batches, num_batches, padding_share
from shared.data.encoding import Encoding, TextTarget
from shared.data.table import DatasetTable, Split
from shared.jobs.errors import ErrorClass, JobError
from shared.jobs.resolve import metric_names, shape_of
from shared.jobs.spec import JobSpec
from shared.nn.mappings import make_network
from workers.training.evaluation import Evaluation
from workers.training.loop import EpochBatches, Training
from workers.training.losses import LOSSES, Loss, with_stop
from workers.training.monitor import Monitor
from workers.training.optimizers import OptimizerPlan, build_optimizer
from workers.training.passes import TeacherForcing
from workers.training.schedules import build_schedule


class JobFailed(Exception):
    """Why the attempt failed is known; the error's class says whether trying again can help."""

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one attempt needs."""

    spec: JobSpec
    splits: dict[str, Split]
    training: Training
    evaluation: Evaluation
    monitor: Monitor
    steps_per_epoch: int
    total_steps: int

    def padding_share(self, epoch: int) -> float:
        """Of an epoch of training."""
        wanted = self.spec.training
        return padding_share(self.splits["train"], wanted.batch_size, wanted.seed, epoch)


def choose_device(wanted: str, num_devices: int = 1) -> torch.device:
    """`auto` takes CUDA where there is one.

    Raises:
        JobFailed: there is no CUDA, or there are fewer GPUs than wanted.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        _check_gpus(num_devices, torch.cuda.device_count())
        return torch.device("cuda")
    if wanted == "cuda":
        message = "The job asks for CUDA, which this worker does not have; use device auto or cpu."
        raise JobFailed(JobError("no_cuda", ErrorClass.RESOURCE, message))
    return torch.device("cpu")


def _check_gpus(wanted: int, found: int) -> None:
    if wanted > found:
        message = (
            f"The job asks for {wanted} GPUs and this worker has {found}: lower resources.devices, "
            "set resources.device to cpu, or give a worker more GPUs (--concurrency 1)."
        )
        raise JobFailed(JobError("too_few_gpus", ErrorClass.RESOURCE, message))


def make_plan(spec: JobSpec, table: DatasetTable, device: torch.device) -> Plan:
    """Seed everything, build the network, and lay out the epochs.

    Raises:
        JobFailed: the device cannot do what the spec asks for.
    """
    encoding, wanted = table.encoding, spec.training
    if wanted.precision == "bf16" and device.type == "cpu":
        message = (
            "The job asks for bf16, which needs CUDA, and this worker has none; "
            "set training.precision to fp32, or run it on a worker that has a GPU."
        )
        raise JobFailed(JobError("no_cuda", ErrorClass.RESOURCE, message))
    splits = {name: table.split(name) for name in ("train", "val", "test")}
    per_epoch = num_batches(splits["train"], wanted.batch_size, wanted.tbptt_steps, wanted.seed)
    total = wanted.epochs * per_epoch
    total_steps = min(total, wanted.max_steps or total)
    torch.manual_seed(wanted.seed)
    network = make_network(spec.network, shape_of(encoding)).to(device)
    return Plan(
        spec=spec,
        splits=splits,
        training=Training(
            network=network,
            optimizer=build_optimizer(network.parameters(), _optimizer_plan(spec)),
            schedule=build_schedule(wanted.schedule.model_dump(), wanted.optimizer.lr, total_steps),
            loss=_loss(spec, encoding),
            batches=_epochs_of(splits["train"], spec),
            epochs=wanted.epochs,
            clip_norm=wanted.clip_norm,
            device=device,
            precision=wanted.precision,
            teacher_forcing=_teacher_forcing(spec, total_steps),
        ),
        evaluation=_evaluation(spec, encoding),
        monitor=_monitor(spec, has_val=len(splits["val"]) > 0),
        steps_per_epoch=per_epoch,
        total_steps=total_steps,
    )


def _epochs_of(split: Split, spec: JobSpec) -> EpochBatches:
    wanted = spec.training
    return lambda epoch: epoch_batches(
        split, wanted.batch_size, wanted.tbptt_steps, wanted.seed, epoch
    )


def _optimizer_plan(spec: JobSpec) -> OptimizerPlan:
    optimizer = spec.training.optimizer
    return OptimizerPlan(
        type=optimizer.type,
        lr=optimizer.lr,
        weight_decay=optimizer.weight_decay,
        momentum=getattr(optimizer, "momentum", 0.0),
    )


def _evaluation(spec: JobSpec, encoding: Encoding) -> Evaluation:
    scaled = encoding.input if encoding.target.kind == "next" else encoding.target
    return Evaluation(
        loss=_loss(spec, encoding),
        names=metric_names(encoding),
        adder=_ADDERS[encoding.generates, encoding.output_kind],
        scale=getattr(scaled, "std", None) if encoding.output_kind == "real" else None,
        max_length=encoding.target.longest if isinstance(encoding.target, TextTarget) else 0,
    )


_ADDERS = {  # of a sequence of its own length or not, and the kind of its output
    (False, "categorical"): "labels",
    (False, "real"): "numbers",
    (False, "binary"): "nothing",
    (True, "categorical"): "symbols",
    (True, "real"): "nothing",  # only what the network writes by itself is compared
}


def _loss(spec: JobSpec, encoding: Encoding) -> Loss:
    loss = LOSSES[spec.training.loss]
    return with_stop(loss) if encoding.stops else loss


def _teacher_forcing(spec: JobSpec, total_steps: int) -> TeacherForcing:
    wanted = spec.training
    end = (
        wanted.teacher_forcing if wanted.teacher_forcing_end is None else wanted.teacher_forcing_end
    )
    return TeacherForcing(wanted.teacher_forcing, end, total_steps)


def _monitor(spec: JobSpec, *, has_val: bool) -> Monitor:
    stopping = spec.training.early_stopping
    if stopping is not None:
        return Monitor(stopping.metric, stopping.mode, stopping.patience)
    return Monitor("val/loss" if has_val else "train/loss", "min", None)
