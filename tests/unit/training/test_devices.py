"""A training takes the same course on every device here, whatever computes its cells there."""

from typing import Any

import pytest
import torch

from shared.data.table import DatasetTable
from tests.unit.nn.builders import CELLS
from tests.unit.nn.test_devices import DEVICES
from tests.unit.training.builders import make_spec, make_table, ragged_series
from workers.plan import choose_device, make_plan
from workers.training.loop import fit


def losses(table: DatasetTable, cell: dict[str, Any], device: torch.device) -> list[float]:
    """Of the first ten steps."""
    spec = make_spec(table, network={"cell": cell, "hidden_size": 20, "bidirectional": True})
    plan = make_plan(spec, table, device)
    assert plan.training.device.type == device.type
    return [step.loss.item() for step in fit(plan.training, 10)]


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_a_training_takes_the_same_course_on_every_device(
    device: str, cell: dict[str, Any]
) -> None:
    series = ragged_series()
    table = make_table(series, ["up" if s[-1][0] > 0 else "down" for s in series])

    here, again = (losses(table, cell, torch.device(device)) for _ in range(2))

    assert here == again
    assert len(set(here)) == len(here)
    assert here == pytest.approx(losses(table, cell, torch.device("cpu")), abs=1e-3)


def test_a_job_that_leaves_it_open_trains_on_the_gpu_where_there_is_one() -> None:
    assert choose_device("auto").type == DEVICES[-1]
