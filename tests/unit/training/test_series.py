"""Series of their own length are written from sequences and vectors, and end where they should."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from shared.data.batching import collate, eval_batches, sample_batches
from shared.data.table import DatasetTable
from shared.jobs.resolve import shape_of
from shared.nn.catalog import num_parameters
from shared.nn.generator import Generator
from shared.nn.series import write_series
from tests.unit.training.builders import CPU, make_table, plan_for
from workers.plan import Plan
from workers.training.evaluation import evaluate
from workers.training.loop import fit
from workers.training.losses import LOSSES, with_stop

ADAMW = {"type": "adamw", "lr": 0.01}


def countdowns() -> DatasetTable:
    """A vector says where to begin: 3 makes 3, 2, 1, 0."""
    starts = [1 + i % 5 for i in range(100)]
    return make_table(
        [[n, 1] for n in starts],
        [[float(k) for k in range(n, -1, -1)] for n in starts],
        input_kind="vector",
        target_kind="series",
    )


def echoes(num: int = 200) -> DatasetTable:
    """Series of 2 to 6 steps; their mean and its negative, three times, are to be written."""
    rng = np.random.default_rng(3)
    inputs = [rng.normal(size=rng.integers(2, 7)).tolist() for _ in range(num)]
    targets = [[[float(np.mean(x)), -float(np.mean(x))]] * 3 for x in inputs]
    return make_table(inputs, targets, target_kind="series")


def trained(table: DatasetTable, **wanted: Any) -> Plan:
    plan = plan_for(table, **wanted)
    for _ in fit(plan.training, None):
        pass
    return plan


def generator_of(plan: Plan) -> Generator:
    network = plan.training.network
    assert isinstance(network, Generator)
    return network.eval()


def measure(plan: Plan) -> dict[str, float]:
    data = plan.splits["test"]
    sample = sample_batches(data, 50, 200)
    return evaluate(plan.training.network, eval_batches(data, 50), plan.evaluation, CPU, sample)


def test_a_table_knows_whether_all_series_have_one_length() -> None:
    fixed, differing = echoes().encoding, countdowns().encoding

    assert (fixed.mapping, fixed.alignment) == ("many_to_many", "encoder_decoder")
    assert (fixed.stops, fixed.output_size) == (False, 2)
    assert (differing.mapping, differing.alignment) == ("one_to_many", None)
    assert (differing.stops, differing.output_size) == (True, 2)  # a number, and the stop


def test_a_batch_says_which_step_is_the_last_where_that_is_learnt() -> None:
    batch = collate(countdowns().split("train"), np.arange(4))

    assert batch.target_lengths is not None
    for y, length in zip(batch.y, batch.target_lengths, strict=True):
        assert y[:, 1].tolist() == [float(step == length - 1) for step in range(len(y))]
    assert collate(echoes().split("train"), np.arange(4)).y.shape == (4, 3, 2)


@pytest.mark.parametrize("attention", ["none", "additive", "dot"])
@pytest.mark.parametrize("condition", ["initial", "every_step"])
def test_the_catalog_counts_the_parameters(attention: str, condition: str) -> None:
    table = echoes(20)
    plan = plan_for(table, network={"attention": attention, "condition": condition})

    counted = num_parameters(plan.spec.network, shape_of(table.encoding))

    assert counted == sum(p.numel() for p in plan.training.network.parameters())
    assert num_parameters(
        plan_for(countdowns()).spec.network, shape_of(countdowns().encoding)
    ) == sum(p.numel() for p in plan_for(countdowns()).training.network.parameters())


def test_a_condition_decides_what_is_written_and_where_it_ends() -> None:
    training = {"epochs": 40, "batch_size": 10, "optimizer": ADAMW, "schedule": "cosine"}
    plan = trained(countdowns(), network={"hidden_size": 24}, training=training)
    encoding = plan.splits["test"].encoding

    written = write_series(
        generator_of(plan),
        torch.from_numpy(np.stack([encoding.encode_input([n, 1]) for n in range(1, 6)])),
        torch.ones(5, dtype=torch.int64),
        10,
    )

    assert written.length_B.tolist() == [2, 3, 4, 5, 6]
    for n, row, steps in zip(range(1, 6), written.values_BSV, written.length_B, strict=True):
        described = encoding.describe(row[:steps].numpy())
        assert described["values"] == pytest.approx(list(range(n, -1, -1)), abs=0.5)
    assert measure(plan)["mae"] < 0.3


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_an_encoder_and_a_decoder_learn_series_of_one_length(loss: str) -> None:
    training = {"epochs": 12, "batch_size": 8, "optimizer": ADAMW, "loss": loss}
    network = {"hidden_size": 24, "bidirectional": True, "attention": "dot"}

    fresh = measure(plan_for(echoes(), network=network))
    plan = trained(echoes(), network=network, training=training)

    assert measure(plan)["mae"] < 0.4 * fresh["mae"]


def test_errors_are_those_of_what_the_network_writes_by_itself_in_the_targets_units() -> None:
    plan = plan_for(echoes())
    network, split = generator_of(plan), plan.splits["test"]

    measured = measure(plan)

    target, errors, losses = split.encoding.target, [], []
    for batch in eval_batches(split, 1):
        x, y, lengths_B = map(torch.from_numpy, (batch.x, batch.y, batch.lengths))
        own = write_series(network, x, lengths_B, 3).values_BSV
        assert target.kind == "series"
        errors += (target.restore(own[0].numpy()) - target.restore(batch.y[0])).tolist()
        losses += functional.mse_loss(network(x, lengths_B, y), y, reduction="none").mean(-1)[0].tolist()  # fmt: skip
    assert measured["mse"] == pytest.approx(np.square(errors).mean(), rel=1e-4)
    assert measured["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert measured["loss"] == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_learnt_end_adds_its_cross_entropy() -> None:
    output, target = torch.randn(6, 3), torch.tensor([[0.5, 1.0, 0.0]] * 5 + [[0.1, 0.2, 1.0]])

    found = with_stop(LOSSES["mae"])(output, target)

    stop = functional.binary_cross_entropy_with_logits(output[:, 2], target[:, 2], reduction="none")
    torch.testing.assert_close(found, (output - target)[:, :2].abs().mean(-1) + stop)


def test_reading_own_numbers_step_by_step_is_what_writing_does() -> None:
    plan = plan_for(countdowns())
    network = generator_of(plan)
    batch = next(eval_batches(plan.splits["train"], 8))
    x, y, lengths_B = map(torch.from_numpy, (batch.x, batch.y, batch.lengths))

    untaught = network(x, lengths_B, torch.zeros_like(y[..., :1]), teacher_forcing=0.0)

    written = write_series(network, x, lengths_B, y.shape[1]).values_BSV
    torch.testing.assert_close(untaught[..., :1], written)
