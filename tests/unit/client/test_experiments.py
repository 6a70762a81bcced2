"""Experiments through the client and the command, against a stub."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.client.client import TimedOut, UnrollClient
from services.client.commands.experiments import interval_bar
from services.client.experiment_views import Standing
from shared.jobs.experiments import ExperimentSpec
from tests.unit.client.conftest import Result
from tests.unit.client.stub import CREATED, Answer, Stub, listing

Unroll = Callable[..., Result]
ROOT = Path(__file__).parents[3]
PATH = "/v1/experiments/exp_1"
BEST = {
    "index": 1,
    "arm": {"network.cell": "gru"},
    "label": "gru",
    "is_best": True,
    "mean": 0.9,
    "std": 0.01,
    "ci95": [0.85, 0.95],
    "n": 2,
    "values": [0.89, 0.91],
    "test_mean": 0.88,
    "parameters": 1234,
    "train_s": 61.0,
}
OTHER = {
    "index": 0,
    "arm": {"network.cell": "lstm"},
    "label": "lstm",
    "is_best": False,
    "n": 0,
    "values": [],
    "parameters": 1300,
}


def experiment(status: str = "succeeded", ended: int = 4) -> dict[str, Any]:
    progress = {"total": 4, "ended": ended, "failed": 1, "fraction": ended / 4}
    return {
        "id": "exp_1",
        "name": "which",
        "status": status,
        "dataset": "digits",
        "seeds": [1, 2],
        "num_arms": 2,
        "metric": "val/accuracy",
        "higher_is_better": True,
        "progress": progress,
        "created_at": CREATED,
        "jobs": ["job_1"],
        "leaderboard": [BEST, OTHER],
        "conclusion": "gru has the best mean.",
        "warnings": ["1 of 2 seeds of lstm failed."],
    }


def test_creating_prints_the_id_alone_under_a_key_of_its_own(
    stub: Stub, unroll: Unroll, tmp_path: Path
) -> None:
    stub.on("POST", "/v1/experiments", Answer(201, experiment("running", 0)))
    (tmp_path / "e.yaml").write_text("{base: {dataset: digits}, vary: {network.cell: [gru]}}")

    result = unroll("experiments", "create", "e.yaml")

    assert (result.code, result.out) == (0, "exp_1\n")
    assert "2 arms, 4 jobs" in result.err
    [asked] = stub.requests
    assert asked.json == {"base": {"dataset": "digits"}, "vary": {"network.cell": ["gru"]}}
    assert asked.headers["Idempotency-Key"]
    assert unroll("experiments", "create", "nowhere.yaml").code == 2


def test_a_dry_run_lists_the_arms(stub: Stub, unroll: Unroll, tmp_path: Path) -> None:
    arm = {"label": "gru", "parameters": 99, "steps": 7, "estimated_duration_s": 61}
    plan = {"arms": [arm], "seeds": [1, 2], "num_jobs": 2, "metric": "val/mse"}
    matching = {"target": 100, "tolerance": 0.05, "largest_deviation": 0.01}
    stub.on("POST", "/v1/experiments", {**plan, "matching": matching, "estimated_duration_s": 122})
    (tmp_path / "e.json").write_text("{}")

    result = unroll("experiments", "create", "e.json", "--dry-run")

    assert result.out.splitlines()[1:] == ["gru\t99\t7\t1 min 1 s"]
    assert "2 jobs (seeds 1, 2), ranked by val/mse, 2 min 2 s of training" in result.err
    assert "1.0% of the base's parameters" in result.err
    assert stub.requests[0].query == {"dry_run": ["true"]}


def test_the_leaderboard_is_data_and_what_it_means_a_note(stub: Stub, unroll: Unroll) -> None:
    stub.on("GET", PATH, experiment("failed"))

    shown = unroll("experiments", "show", "exp_1", "--metric", "val/loss", "--exit-status")
    raw = unroll("experiments", "show", "exp_1", "--json")

    assert stub.requests[0].query == {"metric": ["val/loss"]}
    rows = [row.split("\t") for row in shown.out.splitlines()[1:]]
    assert rows[0][:-1] == ["1", "gru", "0.9", "0.01", "2", "-", "-", "0.88", "1234", "1 min 1 s"]
    assert rows[1][1:3] == ["lstm", "-"]
    assert "failed: gru has the best mean." in shown.err
    assert "Mind: 1 of 2 seeds of lstm failed." in shown.err
    assert (shown.code, json.loads(raw.out)) == (10, experiment("failed"))


def test_watching_ends_with_the_experiment(
    stub: Stub, unroll: Unroll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.client.experiments.POLL_S", 0)
    stub.on("GET", PATH, experiment("running", 1), experiment("running", 1), experiment())

    result = unroll("experiments", "watch", "exp_1")

    assert result.err.splitlines()[:2] == [
        "which: 1 of 4 ended, 1 failed",
        "which: 4 of 4 ended, 1 failed",
    ]
    assert result.out.splitlines()[1].startswith("1\tgru")
    stub.on("GET", PATH, experiment("running", 1))
    assert unroll("experiments", "watch", "exp_1", "--wait-s", "0").code == 7


def test_following_gives_every_state_and_gives_up_in_time(
    stub: Stub, client: UnrollClient, pauses: list[float]
) -> None:
    stub.on("GET", PATH, experiment("running", 1), experiment("cancelled", 4))

    assert [e.status for e in client.follow_experiment("exp_1")] == ["running", "cancelled"]
    assert len(pauses) == 1
    stub.on("GET", PATH, experiment("running", 1))
    with pytest.raises(TimedOut, match="has not ended within 0 s"):
        list(client.follow_experiment("exp_1", timeout_s=0))


def test_an_experiment_is_extended_cancelled_deleted_and_listed(stub: Stub, unroll: Unroll) -> None:
    stub.on("POST", f"{PATH}/seeds", Answer(201, experiment("running", 2)))
    stub.on("POST", f"{PATH}/cancel", experiment("cancelled", 3))
    stub.on("DELETE", PATH, Answer(204, b""))
    stub.on("GET", "/v1/experiments", listing(experiment()))
    curve = {"label": "gru", "step": [5, 9], "mean": [2.0, 1.0], "low": [1.5, 0.5]}
    curve |= {"high": [2.5, 1.5], "num_jobs": [2, 2]}
    curves = {"metric": "val/loss", "band": "range", "arms": [curve]}
    stub.on("GET", f"{PATH}/curves", curves)

    assert "status\trunning" in unroll("experiments", "extend", "exp_1", "4", "5").out
    assert stub.requests[0].json == {"seeds": [4, 5]}
    assert "status\tcancelled" in unroll("experiments", "cancel", "exp_1").out
    assert unroll("experiments", "delete", "exp_1").code == 0
    row = unroll("experiments", "list").out.splitlines()[1].split("\t")
    assert row[:7] == ["exp_1", "which", "succeeded", "2", "2", "100%", "val/accuracy"]
    shown = unroll("experiments", "curves", "exp_1").out.splitlines()[1]
    assert shown == "gru\t2\t9\t1\t0.5\t1.5\t2"


@pytest.mark.parametrize(
    ("ends", "mean", "bar"),
    [
        ((0.0, 1.0), 0.5, "─────●─────"),
        ((0.8, 1.0), 0.9, "        ─●─"),
        ((0.0, 0.0), 0.0, "●"),
    ],
)
def test_intervals_are_drawn_on_one_scale(ends: tuple[float, float], mean: float, bar: str) -> None:
    standing = Standing.model_validate({**BEST, "mean": mean, "ci95": ends})

    assert interval_bar(standing, 0, 1, 11) == bar


def test_the_example_is_an_experiment() -> None:
    import yaml

    body = yaml.safe_load((ROOT / "examples/experiment.yaml").read_text())

    spec = ExperimentSpec.model_validate(body)
    assert spec.base.network.cell.type == "lstm"
    assert len(spec.vary["network.cell"]) * len(spec.seeds) == 20
