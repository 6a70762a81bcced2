"""What a user asks of a training job. Frozen, strict, and the same on both sides of the queue."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from shared.jobs.schedules import MAX_STEPS, ConstantSpec, ScheduleSpec, ValMetric
from shared.nn.spec import Alignment, Mapping, NetworkSpec, Spec

MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored; leave it out")
    return text


Storable = AfterValidator(_without_nul)
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Storable
]
ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME)]
Priority = Annotated[int, Field(ge=0, le=9)]


def _stringified(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: str(v) if isinstance(v, int | float) else v for k, v in value.items()}
    return value


Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64), Storable],
        Annotated[str, StringConstraints(max_length=512), Storable],
    ],
    Field(max_length=32),
    BeforeValidator(_stringified),
]


class SgdSpec(Spec):
    type: Literal["sgd"] = "sgd"
    lr: Annotated[float, Field(gt=0, le=1000)] = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0


class _AdaptiveSpec(Spec):
    lr: Annotated[float, Field(gt=0, le=1000)] = 0.001
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0


class AdamSpec(_AdaptiveSpec):
    type: Literal["adam"] = "adam"


class AdamWSpec(_AdaptiveSpec):
    type: Literal["adamw"] = "adamw"


class RmspropSpec(_AdaptiveSpec):
    type: Literal["rmsprop"] = "rmsprop"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0


OPTIMIZER_SPECS: dict[str, type[Spec]] = {
    "adamw": AdamWSpec,
    "adam": AdamSpec,
    "sgd": SgdSpec,
    "rmsprop": RmspropSpec,
}


def _expand_type(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


OptimizerSpec = Annotated[
    Annotated[AdamWSpec | AdamSpec | SgdSpec | RmspropSpec, Field(discriminator="type")],
    BeforeValidator(_expand_type),
]


class EarlyStoppingSpec(Spec):
    metric: ValMetric = "val/loss"
    """A validation metric; it also chooses the best checkpoint."""
    patience: Annotated[int, Field(ge=1, le=10_000)] = 5
    """Epochs without an improvement before training ends."""
    mode: Literal["min", "max"] = "min"
    """Whether smaller or larger is better."""


LossName = Literal["auto", "cross_entropy", "mse", "mae", "huber", "bce"]


class TrainingSpec(Spec):
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Passes over the training split."""
    max_steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    """Optimizer steps after which training ends, whatever the epoch."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Sequences of a step (for a stream: parallel lanes)."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Decides initial weights, order and dropout."""
    tbptt_steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Truncated back-propagation: sequence elements between two optimizer steps (aligned only)."""
    teacher_forcing: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of true symbols that a decoder reads; the others are its own. Generated texts only."""
    teacher_forcing_end: Annotated[float, Field(ge=0, le=1)] | None = None
    """That share at the last step, reached in a straight line; null = it stays."""
    loss: LossName = "auto"
    """auto: cross entropy for labels, binary cross entropy for multi-label, MSE for numbers."""
    optimizer: OptimizerSpec = AdamWSpec()
    schedule: ScheduleSpec = ConstantSpec()
    """How the learning rate moves from step to step."""
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the whole gradient; null = not clipped."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: matrix products outside of recurrences are lowered, on CUDA only; weights, states, losses
    and evaluations stay in fp32."""
    early_stopping: EarlyStoppingSpec | None = None


class CheckpointSpec(Spec):
    every_steps: Annotated[int, Field(ge=1)] | None = None
    """Also save after so many steps."""
    every_epochs: Annotated[int, Field(ge=1)] = 1
    """Save after so many epochs."""
    keep_best: Annotated[int, Field(ge=1, le=100)] = 1
    """Checkpoints kept for their validation metric."""
    keep_last: Annotated[int, Field(ge=1, le=100)] = 2
    """Newest checkpoints kept."""


class ResourcesSpec(Spec):
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where the worker has it, else the CPU."""
    devices: Annotated[int, Field(ge=1, le=8)] = 1
    """Processes that train together, each on a GPU of its own, or on its share of the cores."""
    max_runtime_s: Annotated[float, Field(gt=0)] | None = None
    """Seconds that all attempts together may take; more fails the job. A retry grants them anew."""


class JobSpec(Spec):
    """A training job: only `dataset` and `network.cell` are required."""

    name: Name | None = None
    dataset: Annotated[str, StringConstraints(min_length=1, max_length=200), Storable]
    """Name or id of a dataset."""
    mapping: Mapping | None = None
    """Default: what the dataset serves."""
    alignment: Alignment | None = None
    """many_to_many only; default: what the dataset serves."""
    network: NetworkSpec
    training: TrainingSpec = TrainingSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()
    resources: ResourcesSpec = ResourcesSpec()
    priority: Priority = 5
    """0-9; a higher one is taken first."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """Tries after lost workers and servers; a fault of spec or data is never tried again."""
    model_name: ModelName | None = None
    """Where the trained network is published; default: from the name."""
    metadata: Metadata = Field(default_factory=dict)

    @field_validator("alignment")
    @classmethod
    def _alignment_needs_two_sequences(
        cls, alignment: Alignment | None, info: ValidationInfo
    ) -> Alignment | None:
        mapping = info.data.get("mapping")
        if alignment is not None and mapping not in (None, Mapping.MANY_TO_MANY):
            raise ValueError(f"alignment belongs to many_to_many; leave it out for {mapping}")
        return alignment


def _unsent() -> Any:
    return None


class JobChanges(Spec):
    """What may be changed of a job that exists; what is left out stays as it is."""

    priority: Priority = Field(default_factory=_unsent)
    """Moves a waiting job in the queue."""
    name: Name = Field(default_factory=_unsent)
    metadata: Metadata = Field(default_factory=_unsent)
    """Takes the place of all that the job had."""

    def sent(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)


def model_name_from(name: str) -> str:
    """A name fit for a URL path: what is not a letter, digit, `-`, `_` or `.` becomes `-`."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    return cleaned[:128] or "model"
