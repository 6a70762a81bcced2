"""The certificate of resuming: struck at any batch, a training ends as one that ran through."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from shared.data.batching import eval_batches
from shared.data.table import DatasetTable
from shared.nn.checkpoint import Checkpoint, pack, unpack_into, weights_sha256
from shared.nn.spec import CELL_SPECS, WITHOUT_RECURRENT_PRODUCT
from tests.unit.training.builders import CPU, make_table, plan_for, ragged_series
from tests.unit.training.test_resume import SCHEDULES
from workers.plan import Plan
from workers.training.evaluation import evaluate
from workers.training.loop import fit
from workers.training.state import capture, restore

LATER = 3  # steps that a killed worker still took after its last checkpoint


def marked_series() -> DatasetTable:
    """Sequences of many lengths, so that batches are grouped by length, with a label a step."""
    series = ragged_series(num=20, longest=9)
    return make_table(
        series,
        [["up" if step[0] > 0 else "down" for step in one] for one in series],
        target_kind="tags",
    )


def wanted_for(cell: str, schedule: dict[str, Any]) -> dict[str, Any]:
    network: dict[str, Any] = {"cell": cell, "num_layers": 2, "dropout": 0.3}
    if cell not in WITHOUT_RECURRENT_PRODUCT:
        network["recurrent_dropout"] = 0.3
    stopping = {"metric": "val/loss", "patience": 1, "mode": "max"}
    training = {"epochs": 4, "tbptt_steps": 3, "schedule": schedule, "early_stopping": stopping}
    return {"network": network, "training": training}


def steps_of(plan: Plan) -> Iterator[int]:
    """Train with an evaluation after each epoch, which schedule and early stopping hear of."""
    training = plan.training
    steps = fit(training, None)
    for step in steps:
        if step.ends_epoch:
            batches = eval_batches(plan.splits["val"], 4)
            measured = evaluate(training.network, batches, plan.evaluation, CPU, iter(()))
            metrics = {f"val/{name}": value for name, value in measured.items()}
            plan.monitor.observe(metrics, step.number)
            training.schedule.observe(metrics, step.number)
        yield step.number
        if step.ends_epoch and plan.monitor.is_exhausted():
            steps.close()


def saved(plan: Plan) -> bytes:
    tensors, facts = capture(plan.training)
    facts |= {"monitor": plan.monitor.to_json()}
    network = plan.training.network
    return b"".join(
        pack(Checkpoint(network.spec, network.shape, network.state_dict(), tensors, facts))
    )


def resumed(plan: Plan, data: bytes) -> Plan:
    found = unpack_into(plan.training.network, [data])
    restore(plan.training, found.tensors, found.facts)
    plan.monitor.load(found.facts["monitor"])
    return plan


def sha256_of(plan: Plan) -> str:
    return weights_sha256(plan.training.network.state_dict())


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("cell", CELL_SPECS)
def test_a_training_killed_at_any_batch_ends_with_the_weights_of_an_undisturbed_one(
    cell: str, schedule: dict[str, Any]
) -> None:
    table, wanted = marked_series(), wanted_for(cell, schedule)
    calm = plan_for(table, **wanted)
    last = list(steps_of(calm))[-1]
    seed = random.randrange(2**32)
    struck_after = random.Random(seed).randrange(1, last)

    killed = plan_for(table, **wanted)
    steps = steps_of(killed)
    while next(steps) < struck_after:
        pass
    checkpoint = saved(killed)
    for _ in range(LATER):
        next(steps, None)  # all this is lost
    again = resumed(plan_for(table, **wanted), checkpoint)
    numbers = list(steps_of(again))

    facts = f"{cell}, {schedule}: killed after step {struck_after} of {last} (seed {seed})"
    assert numbers == list(range(struck_after + 1, last + 1)), facts
    assert again.monitor == calm.monitor, facts
    assert sha256_of(again) == sha256_of(calm), facts
    assert calm.monitor.is_exhausted(), facts
