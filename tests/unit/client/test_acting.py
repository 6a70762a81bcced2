"""The verbs on jobs against a stub: what travels, what is printed, what is never sent twice."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from services.client.client import Conflict, Unreachable, UnrollClient
from tests.unit.client.conftest import Result
from tests.unit.client.stub import Answer, Stub, error, job_json

Unroll = Callable[..., Result]
JOB = "/v1/jobs/job_1"
LEADS_TO = {"cancel": "cancelling", "pause": "pausing", "resume": "queued", "retry": "queued"}
EMPTY = Answer(204, b"")


@pytest.mark.parametrize(("verb", "status"), LEADS_TO.items())
def test_a_verb_is_posted_to_its_job_and_gives_the_job_back(
    stub: Stub, client: UnrollClient, verb: str, status: str
) -> None:
    stub.on("POST", f"{JOB}/{verb}", job_json(status))

    job = getattr(client, verb)("job_1")

    assert (job.id, job.status) == ("job_1", status)
    assert [(sent.method, sent.path, sent.body) for sent in stub.requests] == [
        ("POST", f"{JOB}/{verb}", b"")
    ]


@pytest.mark.parametrize("verb", LEADS_TO)
def test_a_verb_that_may_have_been_heard_is_not_said_again(
    stub: Stub, client: UnrollClient, verb: str
) -> None:
    stub.on("POST", f"{JOB}/{verb}", Answer(breaks_off=True))

    with pytest.raises(Unreachable):
        getattr(client, verb)("job_1")

    assert len(stub.requests) == 1


@pytest.mark.parametrize("verb", LEADS_TO)
def test_a_verb_that_was_refused_for_now_is_said_again(
    stub: Stub, client: UnrollClient, verb: str
) -> None:
    busy = error(429, "too_many_requests", "Slower.", headers={"Retry-After": "0"})
    stub.on("POST", f"{JOB}/{verb}", busy, job_json())

    assert getattr(client, verb)("job_1").status == "queued"
    assert len(stub.requests) == 2


def test_a_change_sends_what_is_given_and_may_be_repeated(stub: Stub, client: UnrollClient) -> None:
    stub.on("PATCH", JOB, Answer(breaks_off=True), job_json(name="other"))

    assert client.change_job("job_1", name="other").name == "other"
    assert [sent.json for sent in stub.requests] == [{"name": "other"}] * 2


def test_a_deletion_answers_nothing_and_one_that_does_not_fit_is_a_conflict(
    stub: Stub, client: UnrollClient
) -> None:
    refusal = error(409, "conflict", "Job job_1 is running; cancel it before you delete it.")
    stub.on("DELETE", JOB, refusal, EMPTY)

    with pytest.raises(Conflict, match="cancel it before you delete it"):
        client.delete_job("job_1")
    client.delete_job("job_1")

    assert len(stub.asked("DELETE", JOB)) == 2


@pytest.mark.parametrize(("verb", "status"), LEADS_TO.items())
def test_a_verb_prints_the_new_status_or_the_whole_job(
    stub: Stub, unroll: Unroll, verb: str, status: str
) -> None:
    stub.on("POST", f"{JOB}/{verb}", job_json(status))
    place = "queue position\t1\n" if status == "queued" else ""

    plain, as_json = unroll(verb, "job_1"), unroll(verb, "job_1", "--json")

    assert (plain.code, plain.out) == (0, f"id\tjob_1\nstatus\t{status}\n{place}")
    assert (as_json.code, json.loads(as_json.out)) == (0, job_json(status))


@pytest.mark.parametrize("verb", LEADS_TO)
def test_a_verb_that_does_not_fit_ends_with_its_code_and_its_sentence(
    stub: Stub, unroll: Unroll, verb: str
) -> None:
    why = "Job job_1 is succeeded; only a job that is running can be so."
    stub.on("POST", f"{JOB}/{verb}", error(409, "illegal_transition", why))

    result = unroll(verb, "job_1")

    assert (result.code, result.out) == (5, "")
    assert why in result.err
    assert unroll(verb, "job_2").code == 3
    assert unroll(verb).code == 2


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (("--priority", "0"), {"priority": 0}),
        (("--name", "two words"), {"name": "two words"}),
        (("--metadata", "a=b", "--metadata", "c=d=e"), {"metadata": {"a": "b", "c": "d=e"}}),
        (
            ("--priority", "9", "--name", "n", "--metadata", "a="),
            {"priority": 9, "name": "n", "metadata": {"a": ""}},
        ),
    ],
)
def test_set_sends_what_is_given_and_nothing_else(
    stub: Stub, unroll: Unroll, arguments: tuple[str, ...], sent: dict[str, Any]
) -> None:
    stub.on("PATCH", JOB, job_json())

    result = unroll("set", "job_1", *arguments)

    assert (result.code, stub.requests[0].json) == (0, sent)
    assert result.out == "id\tjob_1\nstatus\tqueued\nqueue position\t1\n"
    assert json.loads(unroll("set", "job_1", *arguments, "--json").out) == job_json()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give --priority, --name or --metadata"),
        (("--metadata", "nonsense"), "write key=value"),
        (("--priority", "soon"), "--priority"),
    ],
)
def test_set_that_says_nothing_usable_asks_no_service(
    stub: Stub, unroll: Unroll, arguments: tuple[str, ...], says: str
) -> None:
    result = unroll("set", "job_1", *arguments)

    assert (result.code, result.out, stub.requests) == (2, "", [])
    assert says in result.err


def test_set_shows_which_value_the_service_refuses(stub: Stub, unroll: Unroll) -> None:
    why = "priority: Input should be less than or equal to 9"
    stub.on("PATCH", JOB, error(422, "invalid_spec", why, param="priority"))

    result = unroll("set", "job_1", "--priority", "10")

    assert result.code == 6
    assert why in result.err


def test_rm_deletes_each_job_and_says_so_on_stderr(stub: Stub, unroll: Unroll) -> None:
    stub.on("DELETE", JOB, EMPTY)
    stub.on("DELETE", "/v1/jobs/job_2", EMPTY)

    result = unroll("rm", "job_1", "job_2")

    assert (result.code, result.out) == (0, "")
    assert result.err == "job_1 is deleted.\njob_2 is deleted.\n"
    assert unroll("rm").code == 2


def test_rm_stops_at_what_cannot_be_deleted_and_says_what_was(stub: Stub, unroll: Unroll) -> None:
    stub.on("DELETE", JOB, EMPTY)
    stub.on("DELETE", "/v1/jobs/job_2", error(409, "conflict", "Job job_2 is running."))

    result = unroll("rm", "job_1", "job_2", "job_3")

    assert result.code == 5
    assert result.err == "job_1 is deleted.\nError: Job job_2 is running.\n"
    assert stub.asked("DELETE", "/v1/jobs/job_3") == []
