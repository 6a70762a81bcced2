"""Specs fitted to datasets of every kind of target. Stores nothing."""

import io
import json
from typing import Any

import pytest

from shared.data.build import build_dataset
from shared.data.builtin import find_builtin
from shared.data.options import DatasetOptions
from shared.data.readers import build_from_file
from shared.data.records import Record
from shared.data.table import DatasetTable
from shared.jobs.errors import InvalidSpec
from shared.jobs.resolve import (
    METRICS,
    DatasetFacts,
    estimate,
    metric_names,
    num_steps_per_epoch,
    resolve,
)
from shared.jobs.spec import JobSpec
from shared.nn.spec import Mapping

TARGETS: dict[str, Any] = {
    "class": [{"input": [1.5, 2, 3], "target": label} for label in "ab" * 10],
    "regression": [{"input": [1.5, 2, 3], "target": i / 10} for i in range(20)],
    "tags": [{"input": "xyz", "target": ["n", "v", "n"]}] * 20,
    "values": [{"input": [1.5, 2, 3 + i], "target": [1.5, 2, 3 + i]} for i in range(20)],
    "multilabel": [{"input": "xy", "target": [[0, 1], [1, 0]]}] * 20,
    "next": [{"input": "abcabc"}] * 20,
    "next numbers": [{"input": [1.5, 2, 3 + i]} for i in range(20)],
    "text": [{"input": "abc", "target": "dcbaa"}] * 20,
    "text of numbers": [{"input": [1.5, 2, 3 + i], "target": "dcbaa"} for i in range(20)],
    "series": [{"input": [1.5, 2], "target": [i, 1.5, 2][: 2 + i % 2]} for i in range(20)],
    "series of vectors": [{"input": "ab", "target": [[i, 1.5], [1, 2], [3, 4]]} for i in range(20)],
    "names": [{"input": "xyz"[i % 3], "target": "abc"} for i in range(20)],
    "captions": [{"input": [i, 2], "target": "abc"} for i in range(20)],
    "vector": [{"input": [i, 2], "target": "ab"[i % 2]} for i in range(20)],
    "category": [{"input": "xyz"[i % 3], "target": i / 3} for i in range(20)],
    "next bits": [{"input": [[0, 1], [1, 0], [1, 1]]}] * 20,
}


OPTIONS: dict[str, dict[str, str]] = {
    "text": {"target_kind": "text"},
    "text of numbers": {"target_kind": "text"},
    "series": {"target_kind": "series"},
    "series of vectors": {"target_kind": "series"},
    "names": {"input_kind": "category", "target_kind": "text"},
    "captions": {"input_kind": "vector", "target_kind": "text"},
    "vector": {"input_kind": "vector"},
    "category": {"input_kind": "category"},
}


def facts(kind: str, **options: Any) -> DatasetFacts:
    """A dataset of 20 records, or a stream of 300 characters."""
    if kind == "stream":
        built = build_from_file(io.BytesIO(b"abcdefghij" * 30), "text", DatasetOptions())
    else:
        lines = "\n".join(json.dumps(row) for row in TARGETS[kind]).encode()
        chosen = DatasetOptions.model_validate({**OPTIONS.get(kind, {}), **options})
        built = build_from_file(io.BytesIO(lines), "jsonl", chosen)
    train = DatasetTable.open(built.arrow).split("train")
    return DatasetFacts(
        id="ds_1",
        name="things",
        encoding=built.encoding,
        splits=built.splits,
        num_elements=int(train.lengths.sum()),
    )


def spec(**changes: Any) -> JobSpec:
    changes.setdefault("network", {})
    network = {"cell": "gru", "hidden_size": 8, **changes.pop("network")}
    return JobSpec.model_validate({"dataset": "things", "network": network, **changes})


KINDS = [*TARGETS, "stream"]


@pytest.mark.parametrize("kind", KINDS)
def test_resolving_leaves_nothing_open(kind: str) -> None:
    dataset = facts(kind)
    resolved = resolve(spec(), dataset)

    assert resolved.name == "things-gru"
    assert resolved.model_name == "things-gru"
    assert resolved.mapping == dataset.encoding.mapping
    assert (resolved.alignment is not None) == (resolved.mapping is Mapping.MANY_TO_MANY)
    assert resolved.alignment == dataset.encoding.alignment
    assert resolved.training.loss != "auto"
    has_no_symbols = kind in (
        "class",
        "regression",
        "values",
        "series",
        "next numbers",
        "next bits",
        "vector",
    )
    assert (resolved.network.embedding_size is None) == has_no_symbols
    assert (resolved.training.tbptt_steps is None) == (kind != "stream")


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_resolved_can_be_submitted_again(kind: str) -> None:
    dataset = facts(kind)
    resolved = resolve(spec(), dataset)
    again = JobSpec.model_validate(resolved.model_dump(mode="json"))

    assert resolve(again, dataset) == resolved


@pytest.mark.parametrize("kind", KINDS)
def test_every_target_has_metrics_that_early_stopping_can_watch(kind: str) -> None:
    dataset = facts(kind)

    for name in ("loss", *metric_names(dataset.encoding)):
        resolve(spec(training={"early_stopping": {"metric": f"val/{name}"}}), dataset)


def test_no_row_of_the_table_of_metrics_is_idle() -> None:
    used = {(f.encoding.target.kind, f.encoding.output_kind) for f in map(facts, KINDS)}

    assert used == set(METRICS)


WRONG: list[tuple[str, str, dict[str, Any], str]] = [
    ("class", "another mapping", {"mapping": "many_to_many"}, "mapping"),
    ("class", "a generated sequence", {"mapping": "one_to_many"}, "mapping"),
    ("tags", "another alignment", {"alignment": "encoder_decoder"}, "alignment"),
    ("next", "a backward direction", {"network": {"bidirectional": True}}, "network.bidirectional"),
    ("stream", "a stream read backwards", {"network": {"bidirectional": True}}, "network.bidirectional"),
    ("class", "embedded numbers", {"network": {"embedding_size": 8}}, "network.embedding_size"),
    ("tags", "a readout of every step", {"network": {"readout": "mean"}}, "network.readout"),
    ("class", "squares of classes", {"training": {"loss": "mse"}}, "training.loss"),
    ("regression", "classes of numbers", {"training": {"loss": "cross_entropy"}}, "training.loss"),
    ("multilabel", "one of several", {"training": {"loss": "cross_entropy"}}, "training.loss"),
    ("class", "a truncated whole", {"training": {"tbptt_steps": 5}}, "training.tbptt_steps"),
    (
        "tags",
        "a truncated backward direction",
        {"training": {"tbptt_steps": 5}, "network": {"bidirectional": True}},
        "training.tbptt_steps",
    ),
    ("text", "another alignment", {"alignment": "aligned"}, "alignment"),
    ("names", "an alignment of one sequence", {"alignment": "encoder_decoder"}, "alignment"),
    ("vector", "a vector read backwards", {"network": {"bidirectional": True}}, "network.bidirectional"),
    ("names", "a decoder that writes backwards", {"network": {"bidirectional": True}}, "network.bidirectional"),
    ("vector", "the gates of no cell", {"network": {"layer_norm": True}}, "network.layer_norm"),
    ("vector", "an embedded vector", {"network": {"embedding_size": 4}}, "network.embedding_size"),
    ("vector", "a readout of a vector", {"network": {"readout": "attention"}}, "network.readout"),
    ("text", "a readout of a decoder", {"network": {"readout": "mean"}}, "network.readout"),
    ("names", "attention without an encoder", {"network": {"attention": "dot"}}, "network.attention"),
    ("tags", "attention without a decoder", {"network": {"attention": "additive"}}, "network.attention"),
    ("class", "a condition without a decoder", {"network": {"condition": "every_step"}}, "network.condition"),
    ("text", "truncation of a whole", {"training": {"tbptt_steps": 5}}, "training.tbptt_steps"),
    ("tags", "own symbols without a decoder", {"training": {"teacher_forcing": 0.5}}, "training.teacher_forcing"),
    ("class", "ever fewer true symbols", {"training": {"teacher_forcing_end": 0.5}}, "training.teacher_forcing_end"),
    ("text", "squares of symbols", {"training": {"loss": "mse"}}, "training.loss"),
    ("stream", "more lanes than text", {"training": {"batch_size": 5000}}, "training.batch_size"),
    (
        "class",
        "a metric of another target",
        {"training": {"early_stopping": {"metric": "val/mse"}}},
        "training.early_stopping.metric",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "changes", "param"), [pytest.param(k, c, p, id=i) for k, i, c, p in WRONG]
)
def test_what_cannot_work_is_refused_at_its_field(
    kind: str, changes: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidSpec) as caught:
        resolve(spec(**changes), facts(kind))

    assert caught.value.param == param
    assert caught.value.message.endswith(".")


def test_all_that_cannot_work_is_told_at_once() -> None:
    wrong = spec(
        mapping="one_to_one",
        network={"embedding_size": 8},
        training={"loss": "bce", "tbptt_steps": 2},
    )

    with pytest.raises(InvalidSpec) as caught:
        resolve(wrong, facts("class"))

    params = [detail["param"] for detail in caught.value.details]
    assert params == ["mapping", "network.embedding_size", "training.loss", "training.tbptt_steps"]


def test_early_stopping_needs_a_validation_split() -> None:
    with pytest.raises(InvalidSpec) as caught:
        resolve(spec(training={"early_stopping": {}}), facts("class", split=(1.0, 0.0, 0.0)))

    assert caught.value.param == "training.early_stopping"


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 16), (3, 6), (16, 1), (1000, 1)])
def test_an_epoch_has_one_step_a_batch(batch_size: int, steps: int) -> None:
    resolved = resolve(spec(training={"batch_size": batch_size}), facts("class"))

    assert num_steps_per_epoch(resolved, facts("class")) == steps


def test_max_steps_bounds_the_estimate() -> None:
    dataset = facts("class")
    whole = estimate(resolve(spec(), dataset), dataset)
    half = estimate(resolve(spec(training={"max_steps": 5}), dataset), dataset)

    assert (whole.total_steps, half.total_steps) == (10, 5)
    assert half.flops == whole.flops / 2
    assert half.num_parameters == whole.num_parameters


def test_many_steps_of_a_tiny_network_take_longer_than_few_over_the_same_data() -> None:
    dataset = facts("class")
    fine, coarse = (
        estimate(resolve(spec(training={"batch_size": size}), dataset), dataset) for size in (1, 16)
    )

    assert fine.flops > 4 * coarse.flops


def test_a_dataset_of_another_length_needs_as_many_parameters() -> None:
    sizes = set()
    for length in (3, 30):
        built = build_dataset(
            [Record([[0.5, float(i)]] * length, i / 10, None, f"item {i}") for i in range(10)],
            DatasetOptions(),
        )
        dataset = DatasetFacts("ds_1", "x", built.encoding, built.splits, 8 * length)
        sizes.add(estimate(resolve(spec(), dataset), dataset).num_parameters)

    assert sizes == {3 * 8 * (2 + 8 + 2) + (8 + 1)}


def test_the_name_of_a_built_in_of_any_length_is_a_fine_job_name() -> None:
    builtin = find_builtin("copy-5")
    assert builtin is not None
    dataset = facts("tags")
    renamed = DatasetFacts("ds_1", builtin.name, dataset.encoding, dataset.splits, 100)

    assert resolve(spec(), renamed).model_name == "copy-5-gru"
