"""How a learning rate may be asked to move: one strict spec a schedule; what each computes, workers know."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from shared.nn.spec import Spec

MAX_STEPS = 10**9
ValMetric = Annotated[str, StringConstraints(pattern=r"^val/[a-z0-9_]+$")]


class _WarmedSpec(Spec):
    warmup_steps: Annotated[int, Field(ge=0, le=MAX_STEPS)] = 0
    """Steps over which the learning rate rises in a straight line to the optimizer's lr."""


class ConstantSpec(_WarmedSpec):
    type: Literal["constant"] = "constant"


class LinearSpec(_WarmedSpec):
    """A straight line from the end of the warm-up to zero at the end of training."""

    type: Literal["linear"] = "linear"


class CosineSpec(_WarmedSpec):
    """Half a cosine from the end of the warm-up to zero at the end of training."""

    type: Literal["cosine"] = "cosine"


class StepSpec(_WarmedSpec):
    """A drop every so often."""

    type: Literal["step"] = "step"
    every: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 10
    """Epochs, or optimizer steps after the warm-up, from one drop to the next."""
    unit: Literal["epochs", "steps"] = "epochs"
    """What `every` counts."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What each drop multiplies the learning rate by."""


class PlateauSpec(_WarmedSpec):
    """A drop whenever a validation metric has stopped improving."""

    type: Literal["plateau"] = "plateau"
    metric: ValMetric = "val/loss"
    """The validation metric that is watched."""
    mode: Literal["min", "max"] = "min"
    """Whether smaller or larger is better."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """What each drop multiplies the learning rate by."""
    patience: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Epochs without an improvement before a drop, and before the next one."""
    min_lr: Annotated[float, Field(ge=0)] = 0.0
    """What the learning rate never drops below."""


class OneCycleSpec(Spec):
    """Up to a peak and down to almost nothing, each in half a cosine (Smith & Topin 2017)."""

    type: Literal["one_cycle"] = "one_cycle"
    max_lr: Annotated[float, Field(gt=0, le=1000)] | None = None
    """The peak, in place of the optimizer's lr; null = that one."""
    warmup_share: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Share of all steps spent on the way up."""
    initial_div: Annotated[float, Field(ge=1, le=1e12)] = 25.0
    """The first learning rate is the peak divided by this."""
    final_div: Annotated[float, Field(ge=1, le=1e12)] = 10_000.0
    """The last learning rate is the first one divided by this."""


SCHEDULE_SPECS: dict[str, type[Spec]] = {
    "constant": ConstantSpec,
    "linear": LinearSpec,
    "cosine": CosineSpec,
    "step": StepSpec,
    "plateau": PlateauSpec,
    "one_cycle": OneCycleSpec,
}


def _complete(value: Any) -> Any:
    """A bare name is short for its type; options without a type belong to a constant rate."""
    if isinstance(value, str):
        return {"type": value}
    return {"type": "constant", **value} if isinstance(value, dict) else value


ScheduleSpec = Annotated[
    Annotated[
        ConstantSpec | LinearSpec | CosineSpec | StepSpec | PlateauSpec | OneCycleSpec,
        Field(discriminator="type"),
    ],
    BeforeValidator(_complete),
]
