"""Experiments over HTTP: all jobs or none, a fair order, what is ranked and what is claimed."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from scipy import stats
from sqlalchemy import update

from shared.db.engine import transaction
from shared.db.experiments import ExperimentStore
from shared.db.tables import ExperimentRow, JobRow
from shared.jobs.leaderboard import Run
from shared.jobs.states import JobStatus
from tests.integration.api.client import error_of
from tests.integration.seeding import (
    claim,
    claimed,
    count_rows,
    execute,
    fail,
    settings,
    settle,
    spec,
    write_curve,
)

VARY = {"network.cell": ["lstm", "gru"]}


def body(**changes: Any) -> dict[str, Any]:
    return {"name": "which cell", "base": spec(), "vary": VARY, "seeds": [1, 2, 3], **changes}


def create(client: TestClient, **changes: Any) -> dict[str, Any]:
    answer = client.post("/v1/experiments", json=body(**changes))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def look(client: TestClient, made: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = client.get(made["urls"]["self"], params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def train(accuracy: float, test: float | None = 0.5) -> JobRow:
    """The next job, done by a worker whose best checkpoint is at its second of three evaluations."""
    job = claimed()
    for step, value in ((10, 0.1), (20, accuracy), (30, 0.2)):
        write_curve(job, [value], "val/accuracy", first_step=step)
        write_curve(job, [1 - value], "val/loss", first_step=step)
    with transaction() as db:
        best = {"metric": "val/loss", "value": 1 - accuracy, "step": 20}
        latest = {"val/accuracy": 0.2, "test/accuracy": test}
        db.execute(update(JobRow).where(JobRow.id == job.id).values(best=best, latest=latest))
    settle(job, JobStatus.SUCCEEDED, "succeeded")
    return job


def test_the_first_seed_of_every_arm_comes_first_at_the_priority_of_the_base(
    client: TestClient,
) -> None:
    client.post("/v1/jobs", json=spec(priority=7))
    made = create(client, base=spec(priority=8, metadata={"team": "a"}))

    taken = [claimed() for _ in range(6)]

    assert made["jobs"] == [job.id for job in taken]
    assert [(job.spec["training"]["seed"], job.cell) for job in taken] == [
        (seed, cell) for seed in (1, 2, 3) for cell in ("lstm", "gru")
    ]
    assert {(job.priority, job.experiment_id) for job in taken} == {(8, made["id"])}
    assert taken[0].name == "which cell: lstm, seed 1"
    assert {job.model_name for job in taken} == {"which-cell-lstm", "which-cell-gru"}
    assert (made["status"], made["progress"]["queued"]) == ("running", 6)
    assert made["conclusion"] == "Not finished: 0 of 6 jobs have ended."
    listed = client.get("/v1/jobs", params={"experiment": made["id"]}).json()["data"]
    assert [job["id"] for job in listed] == made["jobs"][::-1]
    assert {job["experiment_id"] for job in listed} == {made["id"]}


def test_the_leaderboard_ranks_by_validation_and_tells_the_test_of_the_same_checkpoint(
    client: TestClient,
) -> None:
    made = create(client)
    values = {"lstm": [0.80, 0.84, 0.81], "gru": [0.90, 0.91, 0.93]}
    for seed in range(3):
        for cell in ("lstm", "gru"):
            train(values[cell][seed], test=0.7 + seed / 100)

    found = look(client, made)

    best, other = found["leaderboard"]
    assert (found["status"], found["metric"], found["higher_is_better"]) == (
        "succeeded",
        "val/accuracy",
        True,
    )
    assert (best["label"], best["arm"], best["values"]) == (
        "gru",
        {"network.cell": "gru"},
        values["gru"],
    )
    assert (best["index"], other["index"], other["seeds"]) == (1, 0, [1, 2, 3])
    expected = stats.ttest_rel(values["lstm"], values["gru"])
    assert other["p_value"] == pytest.approx(expected.pvalue)
    assert (best["p_value"], best["effect_size"]) == (None, None)
    assert other["effect_size"] < 0
    interval = stats.t.interval(0.95, 2, best["mean"], stats.sem(values["gru"]))
    assert best["ci95"] == pytest.approx(interval)
    assert best["test_metric"] == "test/accuracy"
    assert best["test_mean"] == pytest.approx(0.71)
    assert best["train_s"] >= 0
    assert best["parameters"] < other["parameters"]
    assert "gru has the best mean val/accuracy" in found["conclusion"]
    by_loss = look(client, made, metric="val/loss")
    assert by_loss["leaderboard"][0]["values"] == pytest.approx([0.10, 0.09, 0.07])
    assert by_loss["higher_is_better"] is False
    refused = client.get(made["urls"]["self"], params={"metric": "val/mse"})
    assert error_of(refused, 422)["param"] == "metric"


def test_no_significant_difference_is_said_when_that_is_so(client: TestClient) -> None:
    made = create(client)
    for pair in ([0.80, 0.81], [0.84, 0.80], [0.81, 0.83]):
        for value in pair:
            train(value)

    found = look(client, made)

    assert "there is no significant difference to gru (p = " in found["conclusion"]
    assert found["leaderboard"][1]["is_significant"] is False


def test_an_experiment_fails_when_an_arm_has_not_two_seeds_to_show(client: TestClient) -> None:
    made = create(client, seeds=[1, 2])
    train(0.8)
    fail(claimed())
    train(0.9)
    train(0.7)

    found = look(client, made)

    assert found["status"] == "failed"
    assert found["warnings"][0] == (
        "1 of 2 seeds of gru failed; its numbers are those of the others."
    )
    assert found["leaderboard"][1]["untested_because"] == "only one common seed"
    failed = found["leaderboard"][1]["jobs"][0]
    assert client.post(f"/v1/jobs/{failed['id']}/retry").status_code == 200
    assert look(client, made)["status"] == "running"


def test_nothing_is_stored_of_an_experiment_with_a_fault(client: TestClient) -> None:
    before = count_rows()

    faults = error_of(
        client.post(
            "/v1/experiments", json=body(vary={"network.cell": ["lstm", "nix", "gru", "nox"]})
        ),
        422,
    )
    with settings(max_queued_jobs="5"):
        error_of(client.post("/v1/experiments", json=body()), 429)
    with settings(max_experiment_jobs="5"):
        error_of(client.post("/v1/experiments", json=body()), 422)
    unknown = error_of(client.post("/v1/experiments", json=body(base=spec("nowhere"))), 404)
    for seeds in ([], [1, 1], [-1], ["x"]):
        assert error_of(client.post("/v1/experiments", json=body(seeds=seeds)), 422)

    assert faults["param"] == 'vary["network.cell"][1]'
    assert [fault["param"] for fault in faults["details"]] == [
        'vary["network.cell"][1]',
        'vary["network.cell"][3]',
    ]
    assert unknown["param"] == "base.dataset"
    assert count_rows() == before


def test_a_dry_run_lists_the_arms_and_queues_nothing(client: TestClient) -> None:
    before = count_rows()

    answer = client.post(
        "/v1/experiments?dry_run=true",
        json=body(
            base=spec("digits", network={"cell": "lstm", "hidden_size": 32}), match="parameters"
        ),
    )

    found = answer.json()
    assert answer.status_code == 200
    assert count_rows() == before
    assert (found["num_jobs"], [arm["label"] for arm in found["arms"]]) == (6, ["lstm", "gru"])
    target = found["matching"]["target"]
    for arm in found["arms"]:
        assert abs(arm["parameters"] - target) / target <= found["matching"]["largest_deviation"]
    assert found["arms"][0]["hidden_size"] == 32 < found["arms"][1]["hidden_size"]
    one = client.post("/v1/jobs?dry_run=true", json=found["arms"][1]["spec"]).json()
    assert one["num_parameters"] == found["arms"][1]["parameters"]


def test_the_same_key_gives_the_first_answer_and_makes_no_second_experiment(
    client: TestClient,
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post("/v1/experiments", json=body(), headers=headers)
    after = count_rows()
    again = client.post("/v1/experiments", json=body(), headers=headers)
    other = client.post("/v1/experiments", json=body(seeds=[1]), headers=headers)

    assert again.json() == first.json()
    assert count_rows() == after
    assert error_of(other, 409)["code"] == "idempotency_mismatch"


def test_cancelling_ends_what_has_not_ended_and_leaves_no_way_to_go_on(client: TestClient) -> None:
    made = create(client, seeds=[1, 2])
    train(0.9)
    running = claimed()

    cancelled = client.post(f"{made['urls']['self']}/cancel")
    again = client.post(f"{made['urls']['self']}/cancel")
    settle(running, JobStatus.CANCELLED, "cancelled")
    late = client.post(f"{made['urls']['self']}/cancel")

    assert (cancelled.status_code, again.status_code) == (200, 200)
    assert cancelled.json()["status"] == "cancelled"
    progress = cancelled.json()["progress"]
    assert (progress["cancelled"], progress["running"], progress["succeeded"]) == (2, 1, 1)
    error_of(late, 409)
    assert claim() is None
    error_of(client.post(f"{made['urls']['self']}/seeds", json={"seeds": [9]}), 409)
    assert look(client, made)["leaderboard"][0]["n"] == 1


def test_more_seeds_go_on_where_the_experiment_was(client: TestClient) -> None:
    made = create(client, seeds=[1, 2])
    url = f"{made['urls']['self']}/seeds"
    client.post(f"/v1/jobs/{made['jobs'][0]}/cancel")
    client.delete(f"/v1/jobs/{made['jobs'][0]}")

    twice = error_of(client.post(url, json={"seeds": [5, 2]}), 422)
    key = {"Idempotency-Key": "more"}
    answers = [client.post(url, json={"seeds": [1, 4]}, headers=key) for _ in range(2)]
    with settings(max_experiment_jobs="7"):
        refused = error_of(client.post(url, json={"seeds": [6]}), 422)

    assert twice["param"] == "seeds[1]"
    assert refused["param"] == "seeds"
    found = answers[0].json()
    assert answers[1].json() == found
    assert answers[0].status_code == 201
    assert (found["seeds"], len(found["jobs"])) == ([1, 2, 4], 6)
    assert {(j["seed"]) for row in found["leaderboard"] for j in row["jobs"]} == {1, 2, 4}


def test_an_experiment_is_deleted_once_it_has_ended_and_its_jobs_stay(client: TestClient) -> None:
    made = create(client, seeds=[1])
    refused = error_of(client.delete(made["urls"]["self"]), 409)
    client.post(f"{made['urls']['self']}/cancel")

    gone = client.delete(made["urls"]["self"])

    assert "cancel it before" in refused["message"]
    assert gone.status_code == 204
    error_of(client.get(made["urls"]["self"]), 404)
    assert client.get(f"/v1/jobs/{made['jobs'][0]}").json()["experiment_id"] is None


def test_lists_come_newest_first_page_by_page_without_leaderboards(client: TestClient) -> None:
    made = [create(client, name=f"number {n}", seeds=[1])["id"] for n in range(3)]

    page = client.get("/v1/experiments?limit=2").json()
    rest = client.get("/v1/experiments", params={"after": page["last_id"]}).json()

    assert [each["id"] for each in page["data"]] == made[:0:-1]
    assert (page["has_more"], [each["id"] for each in rest["data"]]) == (True, made[:1])
    assert page["data"][0]["progress"]["total"] == 2
    assert "leaderboard" not in page["data"][0]
    assert error_of(client.get("/v1/experiments?after=job_1"), 422)["param"] == "after"


def test_curves_are_the_mean_over_seeds_with_a_band(client: TestClient) -> None:
    made = create(client, vary={}, seeds=[1, 2])
    for shift in (0.0, 1.0):
        write_curve(claimed(), [3.0 + shift, 2.0 + shift, float("nan"), 1.0 + shift])

    def curve(**query: Any) -> dict[str, Any]:
        answer = client.get(made["urls"]["curves"], params={"metric": "train/loss", **query})
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["arms"][0])

    found = curve()
    assert found["step"] == [1, 2, 4]
    assert found["mean"] == [3.5, 2.5, 1.5]
    assert (found["low"], found["high"]) == ([3, 2, 1], [4, 3, 2])
    assert found["num_jobs"] == [2, 2, 2]
    assert curve(band="ci95")["high"][0] == pytest.approx(3.5 + stats.t.ppf(0.975, 1) * 0.5)
    assert curve(max_points=2)["step"] == [2, 4]
    assert curve(metric="val/loss")["step"] == []


@pytest.mark.parametrize("most_blocks", [100, 8])
def test_a_long_curve_is_read_from_its_blocks(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, most_blocks: int
) -> None:
    made = create(client, vary={}, seeds=[1, 2])
    for _ in range(2):
        write_curve(claimed(), [float(step % 10) for step in range(1000)])
    monkeypatch.setattr("shared.db.experiments.MOST_READ", 1000)
    monkeypatch.setattr("shared.db.experiments.MOST_BLOCKS", most_blocks)

    answer = client.get(made["urls"]["curves"], params={"metric": "train/loss", "max_points": 4})

    arm = answer.json()["arms"][0]
    assert len(arm["step"]) <= 4
    assert (set(arm["low"]), set(arm["high"]), set(arm["mean"])) == ({0.0}, {9.0}, {4.5})


def test_the_dataset_may_go_and_the_experiment_stays(client: TestClient) -> None:
    file = b'{"input": "abc", "target": "x"}\n{"input": "cba", "target": "y"}\n' * 9
    client.post("/v1/datasets", files={"file": ("f.jsonl", file)}, data={"name": "mine"})
    made = create(client, base=spec("mine"), seeds=[1])
    error_of(client.delete("/v1/datasets/mine"), 409)
    execute("UPDATE jobs SET status = 'succeeded', finished_at = now()")

    assert client.delete("/v1/datasets/mine").status_code == 204
    assert look(client, made)["dataset"] == "mine"
    error_of(client.post(f"{made['urls']['self']}/seeds", json={"seeds": [9]}), 409)


def test_a_job_that_ends_during_a_look_is_part_of_all_of_it_or_of_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create(client, vary={}, seeds=[1, 2])
    train(0.8)
    last = claimed()
    read = ExperimentStore.runs

    def read_and_wait(store: ExperimentStore, row: ExperimentRow, metric: str) -> list[Run]:
        found = read(store, row, metric)
        settle(last, JobStatus.SUCCEEDED, "succeeded")
        return found

    monkeypatch.setattr(ExperimentStore, "runs", read_and_wait)
    found = look(client, made)

    assert (found["status"], found["progress"]["ended"]) == ("running", 1)
    assert found["leaderboard"][0]["n"] == 1
