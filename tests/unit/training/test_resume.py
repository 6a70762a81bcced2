"""A training stopped at any batch and restored from its checkpoint ends with the same weights."""

from typing import Any

import pytest
import torch

from shared.data.table import DatasetTable
from shared.nn.checkpoint import Checkpoint, pack, unpack_into, weights_sha256
from tests.unit.nn.builders import CELLS
from tests.unit.training.builders import (
    builtin_table,
    make_table,
    plan_for,
    ragged_series,
    reversed_words,
)
from workers.plan import Plan
from workers.training.loop import Step, fit
from workers.training.state import capture, restore


def labelled_series() -> DatasetTable:
    series = ragged_series()
    return make_table(series, ["up" if s[0][0] > 0 else "down" for s in series])


def measured(plan: Plan, step: Step) -> None:
    """What the end of an epoch tells the schedule; it never improves, so that a plateau drops."""
    if step.ends_epoch:
        plan.training.schedule.observe({"val/loss": float(-step.epoch)}, step.number)


def finish(plan: Plan) -> str:
    for step in fit(plan.training, None):
        measured(plan, step)
    return weights_sha256(plan.training.network.state_dict())


def stop_and_resume(table: DatasetTable, num_steps: int, wanted: dict[str, Any]) -> str:
    """Through the bytes of a checkpoint, as a second worker would."""
    plan = plan_for(table, **wanted)
    steps = fit(plan.training, None)
    for _ in range(num_steps):
        measured(plan, next(steps))
    steps.close()
    tensors, facts = capture(plan.training)
    network = plan.training.network
    checkpoint = Checkpoint(network.spec, network.shape, network.state_dict(), tensors, facts)
    data = b"".join(pack(checkpoint))

    torch.rand(7)  # another job ran in between and used the generator
    again = plan_for(table, **wanted)
    found = unpack_into(again.training.network, [data])
    restore(again.training, found.tensors, found.facts)
    return finish(again)


@pytest.mark.parametrize("num_steps", [1, 7, 8, 13])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_every_cell_with_dropout_and_ragged_batches(cell: dict[str, Any], num_steps: int) -> None:
    table = labelled_series()
    wanted = {
        "network": {"cell": cell, "num_layers": 2, "dropout": 0.3, "bidirectional": True},
        "training": {"schedule": {"type": "cosine", "warmup_steps": 5}},
    }

    assert stop_and_resume(table, num_steps, wanted) == finish(plan_for(table, **wanted))


@pytest.mark.parametrize("num_steps", [1, 7])
@pytest.mark.parametrize("cell", ["jordan", "lstm", "gru"])
def test_recurrent_dropout_and_normalised_residual_layers(cell: str, num_steps: int) -> None:
    table = labelled_series()
    options = {"recurrent_dropout": 0.3, "layer_norm": True, "residual": True, "num_layers": 2}
    wanted = {"network": {"cell": cell, **options}}

    assert stop_and_resume(table, num_steps, wanted) == finish(plan_for(table, **wanted))


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "rmsprop"])
def test_every_optimizer(optimizer: str) -> None:
    table = labelled_series()
    wanted = {"training": {"optimizer": optimizer}}

    assert stop_and_resume(table, 5, wanted) == finish(plan_for(table, **wanted))


SCHEDULES: list[dict[str, Any]] = [
    {"type": "constant", "warmup_steps": 4},
    {"type": "linear"},
    {"type": "cosine", "warmup_steps": 4},
    {"type": "step", "every": 3, "unit": "steps", "gamma": 0.5, "warmup_steps": 2},
    {"type": "step", "every": 1, "unit": "epochs", "gamma": 0.5},
    {"type": "plateau", "patience": 1, "mode": "max"},
    {"type": "one_cycle", "max_lr": 0.01},
]


@pytest.mark.parametrize("num_steps", [1, 9, 18])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_every_schedule(schedule: dict[str, Any], num_steps: int) -> None:
    table = labelled_series()
    wanted = {"training": {"schedule": schedule, "epochs": 3}}

    assert stop_and_resume(table, num_steps, wanted) == finish(plan_for(table, **wanted))


@pytest.mark.parametrize("num_steps", [1, 2, 3, 9])
def test_truncated_back_propagation_carries_its_state_over(num_steps: int) -> None:
    table = make_table(ragged_series())
    wanted = {"training": {"tbptt_steps": 3}}

    assert stop_and_resume(table, num_steps, wanted) == finish(plan_for(table, **wanted))


def test_a_stream_goes_on_in_the_middle_of_its_lanes() -> None:
    table = builtin_table("pydocs")
    wanted = {"training": {"batch_size": 512, "epochs": 1}, "network": {"cell": "gru"}}

    assert stop_and_resume(table, 4, wanted) == finish(plan_for(table, **wanted))


@pytest.mark.parametrize("num_steps", [1, 13, 19])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_decoder_that_is_taught_less_and_less(cell: dict[str, Any], num_steps: int) -> None:
    table = reversed_words()
    network = {"cell": cell, "bidirectional": True, "attention": "additive", "dropout": 0.2}
    taught = {"teacher_forcing": 0.9, "teacher_forcing_end": 0.2}
    wanted = {"network": network, "training": taught}

    assert stop_and_resume(table, num_steps, wanted) == finish(plan_for(table, **wanted))


@pytest.mark.parametrize("num_steps", [1, 7, 13])
def test_a_decoder_of_series_that_reads_its_own_numbers(num_steps: int) -> None:
    table = make_table(ragged_series(), ragged_series()[::-1], target_kind="series")
    network = {"bidirectional": True, "attention": "dot", "dropout": 0.2}
    wanted = {"network": network, "training": {"teacher_forcing": 0.5}}

    assert stop_and_resume(table, num_steps, wanted) == finish(plan_for(table, **wanted))


def test_a_decoder_of_a_condition_and_a_feed_forward_stack() -> None:
    words = ["left", "right", "up"] * 10
    written = make_table(words, [word[:2] for word in words], input_kind="category", target_kind="text")  # fmt: skip
    read = make_table([[i, 1.5] for i in range(30)], words, input_kind="vector")
    wanted = {"network": {"dropout": 0.3, "num_layers": 2}}

    for table in (written, read):
        assert stop_and_resume(table, 7, wanted) == finish(plan_for(table, **wanted))
