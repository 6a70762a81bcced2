"""Realistic mistakes in an upload: each is told at its place and leaves no row anywhere."""

import gzip
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integration.api.client import error_of
from tests.integration.seeding import count_rows

GOOD = b'{"input": "abab", "target": "x"}\n{"input": "baba", "target": "y"}\n' * 5
CSV = b"year,count,text\n2001,5,a\n2002,7,b\n2003,8,c\n2004,9,d\n"


def rows(*records: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(record) for record in records).encode()


def upload(client: TestClient, content: bytes, filename: str = "a.jsonl", **form: str) -> Any:
    return client.post(
        "/v1/datasets", files={"file": (filename, content)}, data={"name": "mine", **form}
    )


FILES: list[tuple[str, str, bytes, dict[str, Any], str, str | None]] = [
    # what it is, file name, content, options, where, words of the message
    ("ragged features", "a.jsonl", rows({"input": [[1, 2], [3]]}), {}, "line 1", "ragged"),
    ("another number of features", "a.jsonl", rows({"input": [[1, 2]]}, {"input": [[1]]}), {}, "line 2", "ragged"),
    ("NaN", "a.jsonl", b'{"input": [1, 2]}\n{"input": [1, NaN]}', {}, "line 2", "finite"),
    ("Infinity", "a.jsonl", b'{"input": [1, -Infinity]}', {}, "line 1", "finite"),
    ("an empty sequence", "a.jsonl", rows({"input": "ab"}, {"input": ""}), {}, "line 2", "empty"),
    ("an empty list", "a.jsonl", rows({"input": []}), {}, "line 1", "empty"),
    ("an empty file", "a.jsonl", b"", {}, "file", "no records"),
    ("blank lines alone", "a.jsonl", b"\n\n  \n", {}, "file", "no records"),
    ("a line that is no JSON", "a.jsonl", GOOD + b"{nonsense\n", {}, "line 11", "not JSON"),
    ("a line cut off", "a.jsonl", GOOD[:-10], {}, "line 10", "not JSON"),
    ("a JSON list", "a.jsonl", b"[1, 2, 3]", {}, "line 1", "object"),
    ("Latin-1", "a.jsonl", '{"input": "é"}'.encode("latin-1"), {}, "line 1", "UTF-8"),
    ("UTF-16", "a.jsonl", '{"input": "abc"}'.encode("utf-16"), {}, "line 1", "UTF-8"),
    ("a misspelt field", "a.jsonl", rows({"inptu": "ab"}), {}, "line 1", "unknown field"),
    ("no input", "a.jsonl", rows({"target": "x"}), {}, "line 1", "missing"),
    ("an unknown split", "a.jsonl", rows({"input": "ab", "split": "dev"}), {}, "line 1", "train, val or test"),
    ("a split here and there", "a.jsonl", rows({"input": "ab", "split": "train"}, {"input": "ab"}), {}, "line 2", "split"),
    ("labels only in test", "a.jsonl", rows({"input": "ab", "target": "x", "split": "train"}, {"input": "ab", "target": "y", "split": "test"}), {}, "line 2", "no training record"),
    ("one tag too few", "a.jsonl", rows({"input": "abc", "target": ["n", "v"]}), {}, "line 1", "2 tags for an input of 3 steps"),
    ("targets of two kinds", "a.jsonl", rows({"input": "ab", "target": "x"}, {"input": "ab", "target": [1]}), {}, "line 2", "first record"),
    ("NUL in text", "a.jsonl", b'{"input": "a\\u0000b"}', {}, "line 1", "NUL"),
    ("half a surrogate pair", "a.jsonl", b'{"input": "a\\ud800b"}', {}, "line 1", "surrogate"),
    ("depth", "a.jsonl", b'{"input": ' + b"[" * 100_000, {}, "line 1", "nested"),
    ("binary junk as JSON Lines", "a.jsonl", bytes(range(128, 256)) * 50, {}, "line 1", "UTF-8"),
    ("binary junk as text", "a.txt", bytes(range(128, 256)) * 50, {}, "line 1", "UTF-8"),
    ("a compressed file", "a.txt", gzip.compress(GOOD * 50), {}, "line 1", "UTF-8"),
    ("a text of three letters", "a.txt", b"abc", {}, "file", "only 3 symbols"),
    ("a row of two cells", "a.csv", CSV + b"2005,3\n", {"input_column": "text"}, "row 5 (line 6)", None),
    ("a word among numbers", "a.csv", CSV + b"2005,many,e\n", {"input_columns": ["count"]}, "row 5 (line 6)", None),
    ("a hole among numbers", "a.csv", CSV + b"2005,,e\n", {"input_columns": ["count"]}, "row 5 (line 6)", None),
    ("a row without target", "a.csv", CSV + b"2005,,e\n", {"input_column": "text", "target_column": "count"}, "row 5 (line 6)", None),
    ("a column twice", "a.csv", b"a,a\n1,2\n", {"input_columns": ["a"]}, "line 1", None),
    ("windows too few to split", "a.csv", CSV, {"input_columns": ["count"], "window": 2}, "file", "too few"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("filename", "content", "options", "where", "words"),
    [pytest.param(*case[1:], id=case[0]) for case in FILES],
)
def test_a_faulty_file_is_refused_with_its_place_and_leaves_nothing(
    shared_client: TestClient,
    filename: str,
    content: bytes,
    options: dict[str, Any],
    where: str,
    words: str | None,
) -> None:
    before = count_rows()
    error = error_of(upload(shared_client, content, filename, options=json.dumps(options)), 422)

    assert error["code"] == "invalid_dataset"
    assert error["param"] == "file"
    assert error["details"][0]["where"] == where
    assert error["message"].startswith(where)
    assert words is None or words in error["message"]
    assert count_rows() == before


FORMS: list[tuple[str, dict[str, str], str]] = [
    ("options that are no JSON", {"options": "{window: 3}"}, "options"),
    ("options in a list", {"options": "[]"}, "options"),
    ("an unknown option", {"options": '{"windw": 3}'}, "options.windw"),
    ("an option of the wrong kind", {"options": '{"window": "three"}'}, "options.window"),
    ("a window of nothing", {"options": '{"window": 0}'}, "options.window"),
    ("shares in excess", {"options": '{"split": [0.9, 0.2, 0.1]}'}, "options"),
    ("two shares", {"options": '{"split": [0.9, 0.1]}'}, "options.split.2"),
    ("nothing to train on", {"options": '{"split": [0, 0.5, 0.5]}'}, "options"),
    ("an unknown kind of target", {"options": '{"target_kind": "number"}'}, "options.target_kind"),
    ("a kind that does not fit", {"options": '{"target_kind": "regression"}'}, "options.target_kind"),
    ("an option of csv", {"options": '{"window": 3}'}, "options.window"),
    ("nothing left", {"options": '{"max_length": 2}'}, "options.max_length"),
    ("no row after another", {"options": '{"stride": 0}'}, "options.stride"),
    ("options of 20 kB", {"options": json.dumps({"x": "y" * 20_000})}, "options"),
    ("an unknown format", {"format": "xlsx"}, "format"),
    ("a format in capitals", {"format": "JSONL"}, "format"),
    ("a taken name", {"name": "digits"}, "name"),
    ("the name of a built-in nobody used", {"name": "adding-77"}, "name"),
    ("an empty name", {"name": ""}, "name"),
    ("a name with a slash", {"name": "a/b"}, "name"),
    ("a name that climbs", {"name": "../x"}, "name"),
    ("a name of 200 letters", {"name": "n" * 200}, "name"),
    ("a name like an id", {"name": "ds_1"}, "name"),
    ("a name with NUL", {"name": "a\0b"}, "name"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "param"), [pytest.param(f, p, id=i) for i, f, p in FORMS])
def test_a_faulty_field_beside_the_file_is_told_and_leaves_nothing(
    shared_client: TestClient, form: dict[str, str], param: str
) -> None:
    before = count_rows()
    response = upload(shared_client, GOOD, **form)

    assert response.status_code in (409, 422), response.text
    assert response.json()["error"]["param"] == param
    assert count_rows() == before


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({}, "options.input_column", "the columns are year, count, text"),
        ({"input_column": "txt"}, "options.input_column", "year, count, text"),
        ({"input_column": "text", "target_column": "nothing"}, "options.target_column", "year"),
        ({"input_columns": ["count", "nothing"]}, "options.input_columns", "year, count, text"),
        ({"input_columns": ["count"], "window": 50}, "options.window", "4"),
    ],
)
def test_what_a_sheet_does_not_have_is_told_with_what_it_has(
    shared_client: TestClient, options: dict[str, Any], param: str, words: str
) -> None:
    before = count_rows()
    error = error_of(upload(shared_client, CSV, "a.csv", options=json.dumps(options)), 422)

    assert error["param"] == param
    assert words in error["message"]
    assert count_rows() == before


@pytest.mark.parametrize(("filename", "head"), [("a.npz", b"PK\x03\x04"), ("a.parquet", b"PAR1")])
def test_a_file_that_begins_like_its_format_and_goes_on_otherwise_is_refused(
    shared_client: TestClient, filename: str, head: bytes
) -> None:
    before = count_rows()
    error = error_of(upload(shared_client, head + bytes(100), filename), 422)

    assert error["param"] == "file"
    assert "file that can be read" in error["message"]
    assert count_rows() == before


def test_all_faults_of_a_file_are_told_up_to_twenty(shared_client: TestClient) -> None:
    three = error_of(upload(shared_client, rows({"input": ""}, {"input": []}, {"inptu": 1})), 422)
    many = error_of(upload(shared_client, rows(*[{"input": ""}] * 1000)), 422)

    assert [d["where"] for d in three["details"]] == ["line 1", "line 2", "line 3"]
    assert len(many["details"]) == 20


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"data": {"name": "mine"}}, "file"),
        ({"files": {"file": ("a.jsonl", GOOD)}}, "name"),
        ({"files": {"file": ("", GOOD)}, "data": {"name": "mine"}}, "file"),
        ({"files": {"data": ("a.jsonl", GOOD)}, "data": {"name": "mine"}}, "file"),
        ({"data": {"name": "mine", "file": "a.jsonl"}}, "file"),
        ({"json": {"name": "mine"}}, "url"),
        ({}, "file"),
    ],
    ids=["no file", "no name", "no file name", "another field", "a path", "JSON", "nothing"],
)
def test_a_form_that_lacks_something_is_told_what(
    shared_client: TestClient, arguments: dict[str, Any], param: str
) -> None:
    before = count_rows()
    error = error_of(shared_client.post("/v1/datasets", **arguments), 422)

    assert error["param"] == param
    assert "class" not in error["message"]
    assert count_rows() == before


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_form_that_is_no_form_is_malformed(shared_client: TestClient, content_type: str) -> None:
    response = shared_client.post(
        "/v1/datasets", content=b"garbage", headers={"Content-Type": content_type}
    )

    assert error_of(response, 400)["code"] == "malformed"
