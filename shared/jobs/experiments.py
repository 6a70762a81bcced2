"""What a user asks of an experiment: one job spec, what varies in it, over which seeds."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shared.jobs.schedules import ValMetric
from shared.jobs.spec import JobSpec, Name
from shared.nn.spec import Spec

MAX_PATHS, MAX_VALUES, MAX_SEEDS = 8, 50, 100
MAX_ARMS = 64  # more are no comparison that Holm's correction would leave a chance
CELL = "network.cell"


def _without_twins(seeds: list[int]) -> list[int]:
    twins = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twins:
        raise ValueError(f"seed {twins[0]} is there twice; each seed counts once")
    return seeds


Path = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100)
]
Seeds = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**63)]],
    Field(min_length=1, max_length=MAX_SEEDS),
    AfterValidator(_without_twins),
]


class ExperimentSpec(Spec):
    """Jobs that differ in what is compared and in their seeds, and in nothing else."""

    name: Name | None = None
    base: JobSpec
    """What all jobs have in common; `network.cell` may be left out where it varies."""
    vary: Annotated[
        dict[Path, Annotated[list[Any], Field(min_length=1, max_length=MAX_VALUES)]],
        Field(max_length=MAX_PATHS),
    ] = Field(default_factory=dict)
    """Dotted paths of the spec and the values that each takes; every combination is an arm."""
    seeds: Seeds = Field(default_factory=lambda: [1, 2, 3])
    """Every arm is trained once with each."""
    match: Literal["none", "parameters"] = "none"
    """parameters: each arm gets the hidden size that brings it nearest to the base's parameters."""
    metric: ValMetric | None = None
    """What arms are ranked by; default: the first metric of the target, such as val/accuracy."""

    @model_validator(mode="before")
    @classmethod
    def _cell_that_varies(cls, value: Any) -> Any:
        """The base is of the first cell where it names none."""
        if not isinstance(value, dict):
            return value
        base, vary = value.get("base"), value.get("vary")
        cells = vary.get(CELL) if isinstance(vary, dict) else None
        network = base.get("network", {}) if isinstance(base, dict) else None
        if not (isinstance(base, dict) and isinstance(network, dict) and isinstance(cells, list)):
            return value
        return {**value, "base": {**base, "network": {"cell": next(iter(cells), None), **network}}}


class SeedsSpec(Spec):
    """More seeds for an experiment that exists."""

    seeds: Seeds
