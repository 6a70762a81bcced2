"""Every schedule gives the learning rates of torch's own, and warms up where that makes sense."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import optim
from torch.optim import lr_scheduler

from shared.jobs.schedules import ScheduleSpec
from tests.unit.training.builders import make_table, plan_for, ragged_series
from workers.training.loop import fit
from workers.training.schedules import SHAPES, Schedule, build_schedule

LR, NUM_STEPS, WARMUP, STEPS_AN_EPOCH = 0.1, 60, 8, 10
Scheduler = Callable[[optim.Optimizer], lr_scheduler.LRScheduler]
LOSSES = [3.0, 2.0, 2.5, 2.2, 2.1, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 0.5]


def schedule_of(type_: str, **options: Any) -> Schedule:
    """With the defaults of its spec."""
    spec = TypeAdapter[Any](ScheduleSpec).validate_python({"type": type_, **options})
    return build_schedule(spec.model_dump(), LR, NUM_STEPS)


def rates(schedule: Schedule) -> list[float]:
    return [schedule.lr_at(n + 1, n // STEPS_AN_EPOCH) for n in range(NUM_STEPS)]


def optimizer_of_torch() -> optim.Optimizer:
    return optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)


def rates_of_torch(build: Scheduler, num_steps: int, steps_between: int = 1) -> list[float]:
    """The scheduler moves once in `steps_between` steps."""
    optimizer = optimizer_of_torch()
    scheduler, found = build(optimizer), list[float]()
    for number in range(1, num_steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if number % steps_between == 0 and number < num_steps:
            scheduler.step()
    return found


BEHIND_WARMUP = NUM_STEPS - WARMUP
ORACLES: list[tuple[str, dict[str, Any], Scheduler]] = [
    ("constant", {}, lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    ("linear", {}, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, BEHIND_WARMUP)),
    ("cosine", {}, lambda o: lr_scheduler.CosineAnnealingLR(o, BEHIND_WARMUP)),
    (
        "step",
        {"every": 7, "unit": "steps", "gamma": 0.6},
        lambda o: lr_scheduler.StepLR(o, 7, 0.6),
    ),
]


@pytest.mark.parametrize(("name", "options", "oracle"), ORACLES, ids=[row[0] for row in ORACLES])
def test_a_schedule_warms_up_and_then_goes_as_torch_does(
    name: str, options: dict[str, Any], oracle: Scheduler
) -> None:
    up = rates_of_torch(lambda o: lr_scheduler.LinearLR(o, 1 / WARMUP, 1.0, WARMUP - 1), WARMUP)
    after = rates_of_torch(oracle, BEHIND_WARMUP)

    found = rates(schedule_of(name, warmup_steps=WARMUP, **options))

    assert found == pytest.approx([*up, *after], rel=1e-9)


def test_drops_by_epochs_are_those_of_a_scheduler_that_moves_once_an_epoch() -> None:
    expected = rates_of_torch(lambda o: lr_scheduler.StepLR(o, 2, 0.3), NUM_STEPS, STEPS_AN_EPOCH)

    assert rates(schedule_of("step", every=2, gamma=0.3)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_one_cycle_is_that_of_torch(share: float) -> None:
    wanted = {"initial_div": 10.0, "final_div": 100.0}
    expected = rates_of_torch(
        lambda o: lr_scheduler.OneCycleLR(
            o,
            0.5,
            total_steps=NUM_STEPS,
            pct_start=share,
            div_factor=10.0,
            final_div_factor=100.0,
            cycle_momentum=False,
        ),
        NUM_STEPS,
    )

    found = rates(schedule_of("one_cycle", max_lr=0.5, warmup_share=share, **wanted))

    assert found == pytest.approx(expected, rel=1e-9)


def test_the_peak_of_one_cycle_is_the_optimizers_rate_unless_another_is_named() -> None:
    assert max(rates(schedule_of("one_cycle"))) == pytest.approx(LR)
    assert max(rates(schedule_of("one_cycle", max_lr=0.7))) == pytest.approx(0.7)


@pytest.mark.parametrize(("mode", "sign"), [("min", 1.0), ("max", -1.0)])
def test_a_plateau_drops_as_torch_does_and_not_below_its_floor(mode: str, sign: float) -> None:
    optimizer = optimizer_of_torch()
    theirs = lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode,  # type: ignore[arg-type]
        factor=0.2,
        patience=1,  # drops when there are more, ours when there are as many
        threshold=0.0,
        min_lr=0.001,
    )
    ours = schedule_of("plateau", mode=mode, factor=0.2, patience=2, min_lr=0.001)
    expected, found = [], []
    for epoch, loss in enumerate(LOSSES):
        ours.observe({"val/loss": sign * loss}, epoch)
        theirs.step(sign * loss)
        found.append(ours.lr_at(epoch + 1, epoch))
        expected.append(optimizer.param_groups[0]["lr"])

    assert found == pytest.approx(expected, rel=1e-9)
    assert found[0] == LR
    assert found[-1] == 0.001


def test_a_plateau_warms_up_first() -> None:
    schedule = schedule_of("plateau", warmup_steps=4)

    assert [schedule.lr_at(step, 0) for step in (1, 4, 5)] == pytest.approx([LR / 4, LR, LR])


@pytest.mark.parametrize("name", sorted(SHAPES))
@pytest.mark.parametrize("num_steps", [1, 2])
def test_the_shortest_training_has_a_rate_for_each_step_and_one_more(
    name: str, num_steps: int
) -> None:
    spec = TypeAdapter[Any](ScheduleSpec).validate_python(name)
    schedule = build_schedule(spec.model_dump(), LR, num_steps)

    assert all(0 <= schedule.lr_at(step, 0) <= LR for step in range(1, num_steps + 2))
    assert schedule.lr_at(1, 0) > 0


def test_the_rate_of_a_step_is_what_the_optimizer_took_and_what_the_step_tells() -> None:
    schedule = {"type": "one_cycle", "max_lr": 0.02}
    training = plan_for(make_table(ragged_series()), training={"schedule": schedule}).training

    for step in fit(training, None):
        taken = training.optimizer.param_groups[0]["lr"]
        assert step.lr == taken == training.schedule.lr_at(step.number, step.epoch)
