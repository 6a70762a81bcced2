"""The loop learns, clips and stops where it was told to."""

import itertools
import math

import pytest

from tests.unit.training.builders import builtin_table, make_table, plan_for, ragged_series
from workers.training.loop import fit
from workers.training.monitor import Monitor
from workers.training.optimizers import OPTIMIZERS


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_training_lowers_the_loss_with_every_optimizer(optimizer: str) -> None:
    series = ragged_series(64)
    table = make_table(series, ["up" if s[-1][0] > 0 else "down" for s in series])
    lr = 0.3 if optimizer == "sgd" else 0.02
    wanted = {"epochs": 25, "optimizer": {"type": optimizer, "lr": lr}}
    plan = plan_for(table, training=wanted)

    losses = [step.loss.item() for step in fit(plan.training, None)]

    per_epoch = plan.steps_per_epoch
    assert sum(losses[-per_epoch:]) < 0.5 * sum(losses[:per_epoch])


def test_the_loop_stops_after_max_steps_and_says_where_epochs_end() -> None:
    plan = plan_for(make_table(ragged_series()), training={"epochs": 5})
    per_epoch = plan.steps_per_epoch

    steps = list(fit(plan.training, per_epoch + 2))

    assert [step.number for step in steps] == list(range(1, per_epoch + 3))
    assert [step.number for step in steps if step.ends_epoch] == [per_epoch]
    assert (plan.training.position.epoch, plan.training.position.batch) == (1, 2)


def test_the_gradient_is_clipped_to_its_norm() -> None:
    free = plan_for(make_table(ragged_series()), training={"clip_norm": None})
    clipped = plan_for(make_table(ragged_series()), training={"clip_norm": 1e-4})
    before = clipped.training.network.head.bias.detach().clone()
    sgd = {"type": "sgd", "lr": 1.0, "momentum": 0.0}
    tiny = plan_for(make_table(ragged_series()), training={"clip_norm": 1e-4, "optimizer": sgd})

    free_norm = next(fit(free.training, 1)).grad_norm
    assert next(fit(clipped.training, 1)).grad_norm == free_norm  # reported before clipping
    next(fit(tiny.training, 1))
    moved = (tiny.training.network.head.bias - before).norm()
    assert 0 < moved <= 1.001e-4


def test_truncation_takes_a_step_a_chunk() -> None:
    table = make_table([[[float(i), 1.0]] * 10 for i in range(20)])
    whole = plan_for(table, training={"epochs": 1})
    cut = plan_for(table, training={"epochs": 1, "tbptt_steps": 3})

    num_whole, num_cut = (len(list(fit(plan.training, None))) for plan in (whole, cut))

    assert num_cut == 3 * num_whole  # nine predicted steps in chunks of three
    assert cut.steps_per_epoch == num_cut


def test_the_same_seed_gives_the_same_losses() -> None:
    table = builtin_table("copy-2")
    first, second = (
        [s.loss.item() for s in itertools.islice(fit(plan_for(table).training, None), 5)]
        for _ in range(2)
    )

    assert first == second


def test_the_monitor_keeps_the_best_and_loses_patience() -> None:
    monitor = Monitor("val/loss", "min", patience=2)

    seen = [
        monitor.observe({"val/loss": value}, step)
        for step, value in enumerate([3.0, math.nan, 2.0, 2.5, 2.0])
    ]

    assert seen == [True, False, True, False, False]
    assert (monitor.best_value, monitor.best_step) == (2.0, 2)
    assert monitor.is_exhausted()


def test_a_larger_accuracy_is_better() -> None:
    monitor = Monitor("val/accuracy", "max", patience=None)

    assert [monitor.observe({"val/accuracy": v}, 0) for v in (0.5, 0.4, 0.6)] == [True, False, True]
    assert not monitor.is_exhausted()
