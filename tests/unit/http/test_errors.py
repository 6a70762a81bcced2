"""How faults become one envelope with paths a client would write. Asks no server."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from services.http.errors import MAX_FAULTS, STATUS, refusal, validation_refusal
from shared.jobs import errors
from shared.jobs.spec import JobSpec
from shared.jobs.wording import path_of


def refused(body: Any) -> dict[str, Any]:
    """The error that this body of a job earns."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(JobSpec).validate_python(body)
    answer: dict[str, Any] = json.loads(bytes(validation_refusal(caught.value.errors(), body).body))
    return answer["error"]  # type: ignore[no-any-return]


def subclasses(kind: type[errors.Fact]) -> list[type[errors.Fact]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in subclasses(sub))]


def test_every_fact_has_a_status() -> None:
    kinds = set(subclasses(errors.Fact)) - {errors.Fact}

    assert len(kinds) > 10
    assert all(any(base in STATUS for base in kind.__mro__) for kind in kinds)


def test_the_tag_of_a_union_is_no_part_of_the_path() -> None:
    body = {"dataset": "x", "network": {"cell": {"type": "lstm", "forget_bias": "much"}}}

    assert refused(body)["param"] == "network.cell.forget_bias"


def test_a_type_that_is_not_there_is_told_which_are() -> None:
    unknown = refused({"dataset": "x", "network": {"cell": "lstn"}})
    none = refused({"dataset": "x", "network": {"cell": {"peephole": True}}})

    assert unknown["message"].startswith("network.cell: 'lstn' is none of 'elman', 'jordan', ")
    assert none["message"] == "network.cell: This needs a type"


def test_a_field_that_is_named_like_a_place_of_the_request_keeps_its_name() -> None:
    assert list(path_of(("body", "query", "body"), {"query": {}})) == ["query", "body"]


def test_an_index_is_a_part_of_the_path() -> None:
    assert list(path_of(("body", "inputs", 3, "x"), {"inputs": [0, 1, 2, {}]})) == [
        "inputs", 3, "x",
    ]  # fmt: skip


def test_all_faults_are_told_and_the_first_one_is_the_message() -> None:
    error = refused({"network": {"cell": "lstm", "hidden_size": 0}, "priority": 10})

    assert [detail["param"] for detail in error["details"]] == [
        "dataset",
        "network.hidden_size",
        "priority",
    ]
    assert error["param"] == "dataset"
    assert error["message"] == "dataset: This is required"


def test_more_faults_than_anyone_reads_are_cut_off() -> None:
    error = refused({f"field{number}": 0 for number in range(1000)})

    assert len(error["details"]) == MAX_FAULTS


@pytest.mark.parametrize("body", [[1], "text", 3, None])
def test_a_body_of_the_wrong_kind_is_told_what_it_should_be(body: Any) -> None:
    error = refused(body)

    assert error["param"] is None
    assert error["message"] == "The body: Input should be a JSON object"


def test_only_what_may_help_later_is_to_be_tried_again() -> None:
    headers = {
        status: dict(refusal(status, "code", "message").headers) for status in (404, 409, 503)
    }

    assert headers[409]["x-should-retry"] == "false"
    assert int(headers[503]["retry-after"]) > 0
    assert not {"x-should-retry", "retry-after"} & headers[404].keys()
