"""How options, a file and `--set` make a spec."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from services.client.commands.exits import Code, CommandError
from services.client.commands.spec import OPTIONS, PATHS, assign, spec_of
from shared.jobs.spec import JobSpec

LEAST = {"dataset": "surnames", "cell": "lstm"}
EVERYTHING: dict[str, Any] = {
    **LEAST,
    "name": "n",
    "mapping": "many_to_one",
    "model_name": "m",
    "priority": 7,
    "device": "cpu",
    "devices": 2,
    "metadata": ["team=nlp", "note=a=b"],
    "hidden_size": 16,
    "num_layers": 2,
    "bidirectional": True,
    "embedding_size": 8,
    "dropout": 0.1,
    "readout": "mean",
    "epochs": 3,
    "max_steps": 100,
    "batch_size": 4,
    "seed": 5,
    "tbptt_steps": 6,
    "optimizer": "sgd",
    "lr": 0.5,
    "schedule": "cosine",
    "clip_norm": 2.0,
    "patience": 9,
}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_least_that_is_asked_is_the_least_that_is_sent() -> None:
    assert spec_of(LEAST) == {"dataset": "surnames", "network": {"cell": {"type": "lstm"}}}


def test_every_option_reaches_its_field_in_a_spec_that_the_service_takes() -> None:
    spec = JobSpec.model_validate(spec_of(EVERYTHING)).model_dump(mode="json")

    assert {option.name for group in OPTIONS.values() for option in group} == {
        *PATHS,
        *("metadata", "file", "set"),
    }
    assert {name for name in EVERYTHING if name != "metadata"} == set(PATHS)
    for name, path in PATHS.items():
        found = spec
        for part in path.split("."):
            found = found[part]
        assert found == EVERYTHING[name], path
    assert spec["metadata"] == {"team": "nlp", "note": "a=b"}


def test_a_learning_rate_alone_is_that_of_the_default_optimizer() -> None:
    spec = spec_of({**LEAST, "lr": 0.1})

    assert spec["training"]["optimizer"] == {"type": "adamw", "lr": 0.1}
    assert JobSpec.model_validate(spec).training.optimizer.lr == 0.1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spec.json", '{"dataset": "d", "network": {"cell": "gru", "hidden_size": 4}}'),
        ("spec.yaml", "dataset: d\nnetwork:\n  cell: gru\n  hidden_size: 4\n"),
    ],
)
def test_options_override_a_file(tmp_path: Path, name: str, text: str) -> None:
    path = write(tmp_path, name, text)

    spec = spec_of({"file": path, "hidden_size": 8, "seed": 3})

    network = {"cell": "gru", "hidden_size": 8}
    assert spec == {"dataset": "d", "network": network, "training": {"seed": 3}}


def test_set_overrides_options_and_takes_json_or_text() -> None:
    sets = ["network.hidden_size=32", "network.merge=sum", "training.clip_norm=null"]

    spec = spec_of({**LEAST, "hidden_size": 8, "set": [*sets, 'metadata={"a": "b"}']})

    network = {"cell": {"type": "lstm"}, "hidden_size": 32, "merge": "sum"}
    assert spec["network"] == network
    assert spec["training"] == {"clip_norm": None}
    assert spec["metadata"] == {"a": "b"}


def test_an_option_of_a_cell_keeps_the_cell_that_a_file_names_in_short() -> None:
    spec: dict[str, Any] = {"network": {"cell": "lstm"}}

    assign(spec, "network.cell.forget_bias", 2)

    assert spec["network"]["cell"] == {"type": "lstm", "forget_bias": 2}


def test_another_cell_drops_the_options_of_the_former() -> None:
    spec: dict[str, Any] = {"network": {"cell": {"type": "lstm", "forget_bias": 2}}}

    assign(spec, "network.cell.type", "gru")

    assert spec["network"]["cell"] == {"type": "gru"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"give --dataset \(.+\) and --cell"),
        ({"dataset": "d"}, "give --cell"),
        ({"cell": "gru"}, "give --dataset"),
        ({**LEAST, "set": ["training=5", "training.seed=1"]}, "training is 5, which has no fields"),
        ({**LEAST, "set": ["dataset.x=1"]}, "dataset is 'surnames', which has no fields"),
    ],
)
def test_what_cannot_be_put_together_is_a_usage_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message) as refusal:
        spec_of(values)

    assert refusal.value.code is Code.USAGE


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spec.json", "{"),
        ("spec.json", "[1]"),
        ("spec.yaml", "a: [1"),
        ("spec.yaml", ""),
        ("spec.yaml", "dataset: d\nnetwork: {cell: gru, hidden_size: .nan}"),
        ("spec.yaml", "dataset: 2020-01-01\nnetwork: {cell: gru}"),
        ("spec.json", '{"dataset": "d", "network": {"cell": "gru"}, "priority": Infinity}'),
    ],
)
def test_a_file_that_is_no_spec_is_a_usage_error(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(CommandError) as refusal:
        spec_of({"file": write(tmp_path, name, text)})

    assert refusal.value.code is Code.USAGE


def test_an_experiment_is_sent_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="unroll experiments create"):
        spec_of({"file": write(tmp_path, "which.yaml", "base: {dataset: d}\nvary: {}\n")})


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nowhere\.yaml: No such file"):
        spec_of({"file": tmp_path / "nowhere.yaml"})


@pytest.mark.parametrize("option", ["set", "metadata"])
def test_a_pair_without_its_sign_is_a_usage_error(option: str) -> None:
    with pytest.raises(typer.BadParameter, match="has no '='"):
        spec_of({**LEAST, option: ["epochs"]})


def test_a_spec_is_json() -> None:
    assert json.loads(json.dumps(spec_of(EVERYTHING))) == spec_of(EVERYTHING)
