"""What a job spec takes and refuses before any dataset is known."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.jobs.spec import MODEL_NAME, JobSpec, model_name_from

SMALLEST = {"dataset": "digits", "network": {"cell": "lstm"}}


def spec(**changes: Any) -> JobSpec:
    return JobSpec.model_validate({**SMALLEST, **changes})


def test_only_a_dataset_and_a_cell_are_required() -> None:
    for missing in SMALLEST:
        with pytest.raises(ValidationError, match=missing):
            JobSpec.model_validate({k: v for k, v in SMALLEST.items() if k != missing})

    assert spec().network.cell.type == "lstm"


def test_a_bare_name_is_short_for_the_type_of_cells_optimizers_and_schedules() -> None:
    short = spec(training={"optimizer": "sgd", "schedule": "cosine"})
    long = spec(
        network={"cell": {"type": "lstm"}},
        training={"optimizer": {"type": "sgd"}, "schedule": {"type": "cosine"}},
    )

    assert short == long


def test_a_spec_survives_json() -> None:
    wanted = spec(name="  a name ", training={"optimizer": "rmsprop", "early_stopping": {}})

    assert JobSpec.model_validate(wanted.model_dump(mode="json")) == wanted
    assert wanted.name == "a name"


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec().priority = 9  # type: ignore[misc]


def test_metadata_takes_numbers_as_text() -> None:
    assert spec(metadata={"run": 7, "lr": 0.5}).metadata == {"run": "7", "lr": "0.5"}


@pytest.mark.parametrize("mapping", [None, "many_to_many"])
def test_alignment_belongs_to_many_to_many(mapping: str | None) -> None:
    assert spec(mapping=mapping, alignment="aligned").alignment == "aligned"


@given(st.text(min_size=1, max_size=300))
def test_any_name_makes_a_model_name(name: str) -> None:
    assert spec(model_name=model_name_from(name)).model_name == model_name_from(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", "a"),
        ("My net / 2", "My-net-2"),
        ("../../etc", "etc"),
        ("模型", "model"),
        ("v1.0_a-b", "v1.0_a-b"),
    ],
)
def test_a_model_name_keeps_what_a_url_can_show(name: str, expected: str) -> None:
    assert model_name_from(name) == expected


def test_the_pattern_of_model_names_admits_no_slash() -> None:
    assert "/" not in MODEL_NAME
    with pytest.raises(ValidationError, match="model_name"):
        spec(model_name="a/b")
