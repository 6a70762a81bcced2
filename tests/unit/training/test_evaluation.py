"""Metrics against scikit-learn and against sums by hand; losses never see padding."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from shared.data.batching import eval_batches
from shared.jobs.resolve import METRICS as METRIC_NAMES
from tests.unit.training.builders import CPU, make_table, plan_for, ragged_series
from workers.plan import Plan
from workers.training.evaluation import METRICS, evaluate
from workers.training.losses import LOSSES, real_parts


def measure(plan: Plan, split: str = "train", batch_size: int = 7) -> dict[str, float]:
    batches = eval_batches(plan.splits[split], batch_size)
    return evaluate(plan.training.network, batches, plan.evaluation, CPU)


def guesses(plan: Plan) -> tuple[list[int], list[int]]:
    """True and guessed labels, one sequence at a time."""
    truth, guess = [], []
    for batch in eval_batches(plan.splits["train"], 1):
        output, _ = plan.training.network(
            torch.from_numpy(batch.x), torch.from_numpy(batch.lengths)
        )
        guess += output.argmax(-1).ravel().tolist()
        truth += batch.y.ravel().tolist()
    return truth, guess


def test_labels_are_scored_as_scikit_learn_does() -> None:
    series = ragged_series(60)
    plan = plan_for(make_table(series, ["abc"[len(s) % 3] for s in series]))
    truth, guess = guesses(plan)

    measured = measure(plan)

    assert measured["accuracy"] == pytest.approx(accuracy_score(truth, guess))
    expected = f1_score(truth, guess, average="macro", zero_division=0)
    assert measured["f1_macro"] == pytest.approx(expected)


def test_tags_are_scored_over_real_steps_and_whole_sequences() -> None:
    words = ["abab", "b", "aab", "ba", "bbbb"] * 6
    plan = plan_for(make_table(words, [["x" if c == "a" else "y" for c in w] for w in words]))
    truth, guess = guesses(plan)

    measured = measure(plan)

    assert measured["token_accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert 0 <= measured["exact_match"] <= measured["token_accuracy"]


def test_errors_of_numbers_are_in_the_units_of_the_target() -> None:
    series = ragged_series(60)
    targets = [1000.0 + 250.0 * s[0][0] for s in series]
    plan = plan_for(make_table(series, targets))
    split = plan.splits["train"]

    measured = measure(plan)

    squared, absolute = [], []
    for batch in eval_batches(split, 1):
        output, _ = plan.training.network(
            torch.from_numpy(batch.x), torch.from_numpy(batch.lengths)
        )
        error = (output.item() - batch.y.item()) * split.encoding.target.std[0]  # type: ignore[union-attr]
        squared.append(error**2)
        absolute.append(abs(error))
    assert measured["mse"] == pytest.approx(np.mean(squared), rel=1e-5)
    assert measured["mae"] == pytest.approx(np.mean(absolute), rel=1e-5)
    assert measured["mse"] > 1000


def test_next_symbols_have_perplexity_and_bits_that_agree_with_the_loss() -> None:
    measured = measure(plan_for(make_table(["abcabc", "cab", "bcabca"] * 8)))

    assert measured["perplexity"] == pytest.approx(math.exp(measured["loss"]))
    assert measured["bits_per_token"] == pytest.approx(measured["loss"] / math.log(2))


def test_multi_label_loss_is_summed_over_features_and_averaged_over_steps() -> None:
    frames = [[[i % 2, 1, 0], [1, i % 2, 0], [0, 0, 1]] for i in range(30)]
    plan = plan_for(make_table(frames))
    split = plan.splits["train"]

    measured = measure(plan)

    total, steps = 0.0, 0
    for batch in eval_batches(split, 1):
        logits, _ = plan.training.network(
            torch.from_numpy(batch.x), torch.from_numpy(batch.lengths)
        )
        p = torch.sigmoid(logits).detach().double().numpy()
        total -= float((batch.y * np.log(p) + (1 - batch.y) * np.log(1 - p)).sum())
        steps += batch.num_elements
    assert measured["nll_per_step"] == pytest.approx(total / steps, rel=1e-5)
    assert measured["nll_per_step"] == measured["loss"]


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_the_company_in_a_batch_changes_no_metric(batch_size: int) -> None:
    plan = plan_for(make_table(ragged_series()))

    alone, together = measure(plan, batch_size=1), measure(plan, batch_size=batch_size)

    assert together == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_does_not_see_padding(name: str) -> None:
    lengths_B = torch.tensor([3, 1])
    output = torch.randn(2, 3, 4)
    target = torch.randint(0, 4, (2, 3)) if name == "cross_entropy" else torch.rand(2, 3, 4)
    noisy, noisy_target = output.clone(), target.clone()
    noisy[1, 1:], noisy_target[1, 1:] = 1e9, 0

    clean = real_parts(output, target, lengths_B, per_step=True)
    dirty = real_parts(noisy, noisy_target, lengths_B, per_step=True)

    assert torch.equal(
        LOSSES[name](clean.output, clean.target), LOSSES[name](dirty.output, dirty.target)
    )


def test_every_metric_that_a_spec_may_name_can_be_measured() -> None:
    assert {name for names in METRIC_NAMES.values() for name in names} <= set(METRICS)
