"""Realistic mistakes in a job spec: each is told at its field and leaves no row anywhere."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integration.api.client import error_of
from tests.integration.seeding import count_rows, spec

Changes = dict[str, Any]


def network(**changes: Any) -> Changes:
    return {"network": {"cell": "lstm", **changes}}


def training(**changes: Any) -> Changes:
    return {"training": changes}


MISTAKES: list[tuple[str, Changes, str]] = [
    ("an unknown cell", network(cell="transformer"), "network.cell"),
    ("a cell without its type", network(cell={"peephole": True}), "network.cell"),
    ("an option of another cell", network(cell={"type": "gru", "forget_bias": 1}), "network.cell.forget_bias"),
    ("an unknown activation", network(cell={"type": "elman", "activation": "gelu"}), "network.cell.activation"),
    ("a number as cell", network(cell=3), "network.cell"),
    ("no units", network(hidden_size=0), "network.hidden_size"),
    ("negative units", network(hidden_size=-128), "network.hidden_size"),
    ("too many units", network(hidden_size=10**6), "network.hidden_size"),
    ("half a unit", network(hidden_size=12.5), "network.hidden_size"),
    ("units in words", network(hidden_size="many"), "network.hidden_size"),
    ("no layers", network(num_layers=0), "network.num_layers"),
    ("all dropped", network(dropout=1.0), "network.dropout"),
    ("percent", network(dropout=20), "network.dropout"),
    ("an unknown merge", network(merge="stack"), "network.merge"),
    ("a misspelt field", network(hiden_size=8), "network.hiden_size"),
    ("embedded numbers", network(embedding_size=16), "network.embedding_size"),
    ("a network in a list", {"network": ["lstm"]}, "network"),
    ("no network", {"network": None}, "network"),
    ("a mapping of another dataset", {"mapping": "many_to_many"}, "mapping"),
    ("an unknown mapping", {"mapping": "sequence"}, "mapping"),
    ("alignment of one output", {"mapping": "many_to_one", "alignment": "aligned"}, "alignment"),
    ("an alignment of another dataset", {"alignment": "encoder_decoder"}, "alignment"),
    ("no epochs", training(epochs=0), "training.epochs"),
    ("no batch", training(batch_size=0), "training.batch_size"),
    ("a negative rate", training(optimizer={"type": "adam", "lr": -0.1}), "training.optimizer.lr"),
    ("a rate of zero", training(optimizer={"type": "sgd", "lr": 0}), "training.optimizer.lr"),
    ("a rate in words", training(optimizer={"type": "sgd", "lr": "fast"}), "training.optimizer.lr"),
    ("an unknown optimizer", training(optimizer="adagrad"), "training.optimizer"),
    ("an option of another optimizer", training(optimizer={"type": "adam", "momentum": 0.9}), "training.optimizer.momentum"),
    ("an unknown schedule", training(schedule="warp"), "training.schedule"),
    ("a negative warm-up", training(schedule={"type": "linear", "warmup_steps": -1}), "training.schedule.warmup_steps"),
    ("a warm-up of one cycle", training(schedule={"type": "one_cycle", "warmup_steps": 5}), "training.schedule.warmup_steps"),
    ("an option of another schedule", training(schedule={"type": "cosine", "gamma": 0.5}), "training.schedule.gamma"),
    ("drops that raise", training(schedule={"type": "step", "gamma": 2}), "training.schedule.gamma"),
    ("drops every half epoch", training(schedule={"type": "step", "every": 0.5}), "training.schedule.every"),
    ("a plateau of training", training(schedule={"type": "plateau", "metric": "train/loss"}), "training.schedule.metric"),
    ("a plateau of another target", training(schedule={"type": "plateau", "metric": "val/mse"}), "training.schedule.metric"),
    ("a floor above the rate", training(schedule={"type": "plateau", "min_lr": 1.0}), "training.schedule.min_lr"),
    ("a warm-up in percent", training(schedule={"type": "one_cycle", "warmup_share": 30}), "training.schedule.warmup_share"),
    ("a wrong loss", training(loss="mse"), "training.loss"),
    ("an unknown loss", training(loss="hinge"), "training.loss"),
    ("a truncated whole", training(tbptt_steps=10), "training.tbptt_steps"),
    ("a bad name of a metric", training(early_stopping={"metric": "Accuracy"}), "training.early_stopping.metric"),
    ("a metric of training", training(early_stopping={"metric": "train/loss"}), "training.early_stopping.metric"),
    ("a metric of another target", training(early_stopping={"metric": "val/perplexity"}), "training.early_stopping.metric"),
    ("no patience", training(early_stopping={"patience": 0}), "training.early_stopping.patience"),
    ("half precision", training(precision="fp16"), "training.precision"),
    ("bf16 on a CPU", {"training": {"precision": "bf16"}, "resources": {"device": "cpu"}}, "training.precision"),
    ("a negative seed", training(seed=-1), "training.seed"),
    ("a seed of 64 bits", training(seed=2**63), "training.seed"),
    ("a huge number", training(max_steps=10**40), "training.max_steps"),
    ("a clip of zero", training(clip_norm=0), "training.clip_norm"),
    ("nothing kept", {"checkpoint": {"keep_last": 0}}, "checkpoint.keep_last"),
    ("an unknown device", {"resources": {"device": "tpu"}}, "resources.device"),
    ("no devices", {"resources": {"devices": 0}}, "resources.devices"),
    ("too many devices", {"resources": {"devices": 9}}, "resources.devices"),
    (
        "fewer rows than devices",
        {"resources": {"devices": 4}, "training": {"batch_size": 3}},
        "training.batch_size",
    ),
    ("no time", {"resources": {"max_runtime_s": 0}}, "resources.max_runtime_s"),
    ("priority 11", {"priority": 11}, "priority"),
    ("a negative priority", {"priority": -1}, "priority"),
    ("a priority in words", {"priority": "high"}, "priority"),
    ("no attempt", {"max_attempts": 0}, "max_attempts"),
    ("a model name with a slash", {"model_name": "team/model"}, "model_name"),
    ("a model name that climbs", {"model_name": ".."}, "model_name"),
    ("a model name with a newline", {"model_name": "model\n"}, "model_name"),
    ("an empty name", {"name": "   "}, "name"),
    ("a name of 300 letters", {"name": "n" * 300}, "name"),
    ("a name with NUL", {"name": "a\0b"}, "name"),
    ("a number as name", {"name": 5}, "name"),
    ("metadata in a list", {"metadata": ["a"]}, "metadata"),
    ("metadata in a tree", {"metadata": {"a": {"b": 1}}}, "metadata.a"),
    ("metadata with NUL", {"metadata": {"a": "b\0"}}, "metadata.a"),
    ("a long value in metadata", {"metadata": {"a": "b" * 600}}, "metadata.a"),
    ("too much metadata", {"metadata": {str(n): "" for n in range(40)}}, "metadata"),
    ("an unknown field", {"gpu": True}, "gpu"),
    ("a field of another level", {"epochs": 5}, "epochs"),
    ("no dataset", {"dataset": None}, "dataset"),
    ("a dataset with NUL", {"dataset": "digits\0"}, "dataset"),
    ("a dataset of 300 letters", {"dataset": "d" * 300}, "dataset"),
    ("an id of a job as dataset", {"dataset": 7}, "dataset"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "param"), [pytest.param(c, p, id=name) for name, c, p in MISTAKES]
)
@pytest.mark.parametrize("query", ["", "?dry_run=true"], ids=["submitted", "dry run"])
def test_a_mistake_is_told_at_its_field_and_leaves_nothing(
    shared_client: TestClient, changes: Changes, param: str, query: str
) -> None:
    before = count_rows()
    error = error_of(shared_client.post(f"/v1/jobs{query}", json=spec(**changes)), 422)

    assert error["param"] == param
    assert error["details"][0]["param"] == param
    assert error["code"] == "invalid_spec"
    assert count_rows() == before


OF_OTHER_DATASETS: list[tuple[str, str, Changes, str]] = [
    ("readout of every step", "copy-5", network(readout="mean"), "network.readout"),
    ("tags by squares", "copy-5", training(loss="mse"), "training.loss"),
    ("truncation in two directions", "copy-5", {**network(bidirectional=True), **training(tbptt_steps=4)}, "training.tbptt_steps"),
    ("numbers by classes", "adding-10", training(loss="cross_entropy"), "training.loss"),
    ("accuracy of numbers", "adding-10", training(early_stopping={"metric": "val/accuracy"}), "training.early_stopping.metric"),
    ("the next step, seen from behind", "pydocs", network(bidirectional=True), "network.bidirectional"),
    ("a vector read backwards", "digits-flat", network(bidirectional=True), "network.bidirectional"),
    ("a name written backwards", "names-by-locale", network(bidirectional=True), "network.bidirectional"),
    ("attention without an encoder", "names-by-locale", network(attention="dot"), "network.attention"),
    ("an unknown attention", "dates", network(attention="soft"), "network.attention"),
    ("truncation of a text", "dates", training(tbptt_steps=4), "training.tbptt_steps"),
    ("taught beyond measure", "dates", training(teacher_forcing=1.5), "training.teacher_forcing"),
    ("aligned dates", "dates", {"alignment": "aligned"}, "alignment"),
    ("tags taught their own", "copy-5", training(teacher_forcing=0.5), "training.teacher_forcing"),
    ("more lanes than text", "pydocs", training(batch_size=65_536 * 2), "training.batch_size"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dataset", "changes", "param"),
    [pytest.param(d, c, p, id=i) for i, d, c, p in OF_OTHER_DATASETS],
)
def test_what_a_dataset_cannot_serve_is_told_and_leaves_nothing(
    shared_client: TestClient, dataset: str, changes: Changes, param: str
) -> None:
    before = count_rows()
    error = error_of(shared_client.post("/v1/jobs", json=spec(dataset, **changes)), 422)

    assert error["param"] == param
    assert count_rows() == before


LITERALS = {
    "NaN": ('"training": {"optimizer": {"type": "adam", "lr": NaN}}', "training.optimizer.lr"),
    "Infinity": ('"training": {"clip_norm": Infinity}', "training.clip_norm"),
    "overflow": ('"resources": {"max_runtime_s": 1e999}', "resources.max_runtime_s"),
    "half a surrogate pair": ('"name": "\\ud83d"', "name"),
    "half a pair in a key": ('"metadata": {"\\ud83d": "x"}', "metadata.[key]"),
    "half a pair in a value": ('"metadata": {"x": "\\udc00"}', "metadata.x"),
    "half a pair as cell": ('"network": {"cell": "\\ud83d"}', "network.cell"),
    "depth": ('"metadata": {"x": ' + "[" * 60 + "]" * 60 + "}", "metadata.x"),
    "a number of 4000 digits": ('"priority": ' + "9" * 4000, "priority"),
}


@pytest.mark.parametrize(("text", "param"), LITERALS.values(), ids=LITERALS)
def test_what_only_json_text_can_hold_is_told_at_its_field(
    shared_client: TestClient, text: str, param: str
) -> None:
    before = count_rows()
    rest = {k: v for k, v in spec().items() if f'"{k}"' not in text.split(":", maxsplit=1)[0]}
    body = f"{json.dumps(rest)[:-1]}, {text}}}"
    response = shared_client.post(
        "/v1/jobs", content=body, headers={"Content-Type": "application/json"}
    )

    assert error_of(response, 422)["param"] == param
    assert count_rows() == before


def test_half_a_surrogate_pair_as_a_field_is_refused(shared_client: TestClient) -> None:
    response = shared_client.post(
        "/v1/jobs",
        content=json.dumps(spec())[:-1] + ', "\\ud83d": 1}',
        headers={"Content-Type": "application/json"},
    )

    error_of(response, 422)


def test_a_dataset_that_is_not_there_is_404_at_its_field(shared_client: TestClient) -> None:
    before = count_rows()
    error = error_of(shared_client.post("/v1/jobs", json=spec("nothing")), 404)

    assert error["param"] == "dataset"
    assert "GET /v1/datasets" in error["message"]
    assert count_rows() == before


def test_all_mistakes_are_told_at_once(shared_client: TestClient) -> None:
    wrong = spec(priority=11, colour="red", **training(epochs=0))
    error = error_of(shared_client.post("/v1/jobs", json=wrong), 422)

    assert [d["param"] for d in error["details"]] == ["training.epochs", "priority", "colour"]
    assert all(d["message"] for d in error["details"])


@pytest.mark.parametrize(
    ("headers", "query", "param"),
    [
        ({"Idempotency-Key": ""}, "", "idempotency-key"),
        ({"Idempotency-Key": "k" * 201}, "", "idempotency-key"),
        ({}, "?dry_run=perhaps", "dry_run"),
    ],
)
def test_mistakes_beside_the_spec_are_told_too(
    shared_client: TestClient, headers: dict[str, str], query: str, param: str
) -> None:
    before = count_rows()
    response = shared_client.post(f"/v1/jobs{query}", json=spec(), headers=headers)

    assert error_of(response, 422)["param"] == param
    assert count_rows() == before
