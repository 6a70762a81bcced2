"""An experiment with real processes: two cells, two seeds, to the conclusion."""

from pathlib import Path

import pytest
import yaml
from scipy import stats

from services.client.client import UnrollClient
from services.standalone import Standalone

EXAMPLE = Path(__file__).parents[2] / "examples/experiment.yaml"
MORE_THAN_IS_TRAINED = list(range(3, 43))  # until the next request cancels them


def test_two_cells_with_two_seeds_are_trained_ranked_and_told_apart_or_not(
    stack: Standalone,
) -> None:
    spec = {
        "base": {
            "dataset": "digits",
            "network": {"hidden_size": 8},
            "training": {"max_steps": 20},
        },
        "vary": {"network.cell": ["gru", {"type": "elman", "activation": "tanh"}]},
        "seeds": [1, 2],
    }
    with UnrollClient(stack.api_url, inference_url=stack.inference_url) as client:
        made = client.create_experiment(spec)
        *_, found = client.follow_experiment(made.id, timeout_s=120)

        best, other = found.leaderboard
        jobs = {job.id: job for job in client.jobs(experiment=made.id)}
        curves = client.experiment_curves(made.id, metric="val/loss")
        longer = client.extend_experiment(made.id, MORE_THAN_IS_TRAINED)
        client.cancel_experiment(made.id)
        *_, ended = client.follow_experiment(made.id, timeout_s=60)

    assert found.status == "succeeded", found.raw
    assert {best.label, other.label} == {"gru", "elman(activation=tanh)"}
    assert best.mean is not None
    assert other.mean is not None
    assert best.mean >= other.mean
    for row in found.raw["leaderboard"]:
        own = [jobs[job["id"]] for job in row["jobs"]]
        assert [job.seed for job in own] == [1, 2]
        assert row["values"] == [job.latest["val/accuracy"] for job in own]  # evaluated once
        assert row["test_values"] == [job.latest["test/accuracy"] for job in own]
        assert row["train_s"] > 0
    expected = stats.ttest_rel(other.values, best.values).pvalue
    assert other.p_value == pytest.approx(expected)
    assert found.conclusion.startswith(f"{best.label} has the best mean val/accuracy")
    assert [len(arm.step) for arm in curves.arms] == [1, 1]
    assert longer.progress.total == 2 * (2 + len(MORE_THAN_IS_TRAINED))
    assert ended.status == "cancelled"
    assert ended.leaderboard[0].n >= 2


def test_the_example_is_an_experiment_that_the_service_takes(stack: Standalone) -> None:
    spec = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    with UnrollClient(stack.api_url) as client:
        plan = client.plan_experiment(spec)

    assert plan.num_jobs == 20
    assert plan.matching is not None
    assert plan.matching["largest_deviation"] < plan.matching["tolerance"]
