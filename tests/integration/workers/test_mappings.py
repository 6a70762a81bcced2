"""A job of every mapping is trained, published and asked by HTTP for what it was trained for."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.inference.app import create_app
from shared.data.build import build_dataset
from shared.data.options import DatasetOptions
from shared.data.records import Record
from shared.db.engine import transaction
from shared.db.seed import add_dataset
from shared.db.tables import JobRow
from tests.integration.api.client import error_of

Finished = Callable[..., JobRow]
Answer = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def inference(database_url: str) -> Iterator[TestClient]:
    app = create_app()
    app.state.registry.lookup_s = 0.0  # a new version is asked for at once
    with TestClient(app) as client:
        yield client


@pytest.fixture
def answers(inference: TestClient) -> Answer:
    """Ask a model of this name."""

    def ask(model: str, inputs: list[Any], **options: Any) -> list[dict[str, Any]]:
        body = {"inputs": inputs, "options": options}
        response = inference.post(f"/v1/models/{model}/predict", json=body)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["outputs"]
        return found

    return ask


@pytest.fixture
def train(finished: Finished) -> Callable[..., JobRow]:
    """A few steps on a dataset, published as `model`."""

    def run(dataset: str, **wanted: Any) -> JobRow:
        training = {"epochs": 1, "max_steps": 3, "batch_size": 64, **wanted.pop("training", {})}
        job = finished(dataset, training=training, model_name="model", **wanted)
        assert (job.status, job.error) == ("succeeded", None)
        return job

    return run


def test_a_vector_gets_a_label_from_a_feed_forward_stack(
    train: Callable[..., JobRow], answers: Answer
) -> None:
    job = train("digits-flat")

    [output] = answers("model", [[0.0] * 64])

    assert (job.spec["mapping"], job.spec["alignment"]) == ("one_to_one", None)
    assert job.kernel == "torch.nn.Linear"
    assert set(output["probabilities"]) == set("0123456789")


def test_a_category_gets_a_text_that_the_seed_decides(
    train: Callable[..., JobRow], answers: Answer
) -> None:
    job = train("names-by-locale", network={"condition": "every_step"})
    locales = ["it_IT", "it_IT", "de_DE", "it_IT"]

    drawn = answers("model", locales, temperature=1.0, seed=7, max_length=6)
    again = answers("model", locales, temperature=1.0, seed=7, max_length=6)
    first_two = answers("model", locales[:2], temperature=1.0, seed=7, max_length=6)
    other = answers("model", locales, temperature=1.0, seed=8, max_length=6)
    unseeded = [answers("model", locales, temperature=1.0, max_length=6) for _ in range(2)]

    assert job.spec["mapping"] == "one_to_many"
    assert drawn == again
    assert [o["text"] for o in first_two] == [o["text"] for o in drawn[:2]]
    assert drawn != other
    assert unseeded[0] != unseeded[1]
    assert len({output["text"] for output in drawn}) > 1
    assert all(len(output["text"]) <= 6 and output["score"] < 0 for output in drawn)


def test_a_sequence_gets_a_text_greedily_and_by_beams(
    train: Callable[..., JobRow], answers: Answer
) -> None:
    network = {"attention": "dot", "bidirectional": True}
    job = train("dates", network=network, training={"teacher_forcing": 0.5})
    written = ["3 March 1994", "the 1st of May 2001", "12.12.2012"]

    together = answers("model", written)
    alone = [answers("model", [text])[0] for text in written]
    narrow = answers("model", written, beam_size=1)
    wide = answers("model", written, beam_size=4, max_length=10)

    assert (job.spec["mapping"], job.spec["alignment"]) == ("many_to_many", "encoder_decoder")
    assert {"val/exact_match", "val/edit_rate", "val/perplexity"} <= set(job.latest)
    assert [o["text"] for o in together] == [o["text"] for o in alone]
    assert narrow == together
    assert [set(output) for output in wide] == [{"text", "score"}] * 3
    assert all(math.isfinite(output["score"]) for output in wide)


def test_a_model_of_next_symbols_labels_its_input_or_goes_on_from_it(
    train: Callable[..., JobRow], answers: Answer
) -> None:
    train("pydocs")

    [labelled] = answers("model", ["The "])
    short, long, same = answers("model", ["The ", "A longer beginning", "The "], max_length=12)
    [drawn] = answers("model", ["The "], max_length=12, temperature=1, seed=1)

    assert len(labelled["labels"]) == 4
    assert (len(short["text"]), len(long["text"])) == (12, 12)
    assert short == same
    assert len(drawn["text"]) == 12


def store(name: str, records: list[dict[str, Any]], **options: Any) -> None:
    entries = [Record(r["input"], r["target"], None, f"item {i}") for i, r in enumerate(records)]
    wanted = DatasetOptions(**options)
    built, sizes = build_dataset(entries, wanted), {"num_bytes": 1, "digest": "0" * 64}
    with transaction() as db:
        add_dataset(db, built, name=name, source="upload", format_name="jsonl", options=wanted, about={}, **sizes)  # fmt: skip


def test_a_series_is_written_as_numbers_of_its_own_length(
    train: Callable[..., JobRow], answers: Answer, inference: TestClient
) -> None:
    fixed = [{"input": [i, 1.5, 2], "target": [[i, 0.5], [1.5, 2]]} for i in range(60)]
    differing = [{"input": [i, 1.5], "target": [i, 0.5, 2][: 1 + i % 3]} for i in range(60)]
    store("fixed", fixed, target_kind="series")
    store("differing", differing, target_kind="series", input_kind="vector")

    job = train("fixed", network={"attention": "additive"})
    pairs = answers("model", [[1, 2, 3], [4, 5]])
    [cut] = answers("model", [[1, 2, 3]], max_length=1)
    other = train("differing")
    [single] = answers("model", [[1, 2]], max_length=2)
    body = {"inputs": [[1, 2]], "options": {"temperature": 1.0}}
    error = error_of(inference.post("/v1/models/model/predict", json=body), 422)

    assert job.spec["alignment"] == "encoder_decoder"
    assert {"val/mse", "val/mae", "test/mae"} <= set(job.latest)
    assert [[len(step) for step in output["values"]] for output in pairs] == [[2, 2], [2, 2]]
    assert cut["values"][0] == pytest.approx(pairs[0]["values"][0])
    assert len(cut["values"]) == 1
    assert other.spec["mapping"] == "one_to_many"
    assert set(single) == {"values"}
    assert 1 <= len(single["values"]) <= 2
    assert all(math.isfinite(value) for value in single["values"])
    assert error["param"] == "options.temperature"


WRONG: list[tuple[str, str, dict[str, Any], str]] = [
    ("an unknown category", "names-by-locale", {"inputs": ["xx_XX"]}, "inputs.0"),
    ("a beam that draws", "names-by-locale", {"options": {"beam_size": 2, "seed": 1}}, "options"),
    ("no temperature", "names-by-locale", {"options": {"temperature": 0}}, "options.temperature"),
    ("more than all", "names-by-locale", {"options": {"top_p": 1.5}}, "options.top_p"),
    ("no symbol", "names-by-locale", {"options": {"top_k": 0}}, "options.top_k"),
    ("nothing written", "names-by-locale", {"options": {"max_length": 0}}, "options.max_length"),
    ("an unknown option", "names-by-locale", {"options": {"beams": 2}}, "options.beams"),
    ("a text of a class", "digits-flat", {"inputs": [[0] * 64], "options": {"seed": 1}}, "options.seed"),
    ("a short vector", "digits-flat", {"inputs": [[0] * 63]}, "inputs.0"),
    ("a continuation of no length", "pydocs", {"options": {"seed": 1}}, "options.max_length"),
]  # fmt: skip


@pytest.mark.parametrize("dataset", sorted({dataset for _, dataset, _, _ in WRONG}))
def test_what_a_model_cannot_do_is_told_at_its_field(
    dataset: str, train: Callable[..., JobRow], inference: TestClient
) -> None:
    train(dataset)

    for name, of, changes, param in WRONG:
        if of != dataset:
            continue
        body = {"inputs": ["it_IT"], **changes}
        error = error_of(inference.post("/v1/models/model/predict", json=body), 422)
        assert error["param"] == param, name


def test_more_symbols_than_allowed_are_refused_at_once(
    train: Callable[..., JobRow], inference: TestClient
) -> None:
    train("names-by-locale")
    body = {"inputs": ["it_IT"] * 10, "options": {"beam_size": 64, "max_length": 100_000}}

    error = error_of(inference.post("/v1/models/model/predict", json=body), 413)

    assert error["param"] == "options"
