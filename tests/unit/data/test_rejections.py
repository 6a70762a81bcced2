"""Every fault of an upload is refused with its place and its field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from shared.data.options import DatasetOptions
from tests.unit.data.builders import faults_of, row_faults

RECORD_FAULTS: list[tuple[str, str, str, str | None, str]] = [
    ("NaN in the input", '{"input": [1, NaN]}', "line 2", "input[1]", "finite"),
    ("infinity by overflow", '{"input": [1, 1e999]}', "line 2", "input[1]", "finite"),
    (
        "-Infinity in the target",
        '{"input": [1, 2], "target": -Infinity}',
        "line 2",
        "target",
        "finite",
    ),
    ("ragged features", '{"input": [[1, 2], [3]]}', "line 2", "input[1]", "ragged"),
    ("an empty sequence", '{"input": []}', "line 2", "input", "empty"),
    ("empty text", '{"input": ""}', "line 2", "input", "empty"),
    ("no JSON", "{nonsense", "line 2", None, "not JSON"),
    ("no object", "[1, 2]", "line 2", None, "expected an object"),
    ("depth", "[" * 100_000, "line 2", None, "nested too deeply"),
    ("a huge integer", '{"input": [' + "9" * 5000 + "]}", "line 2", None, "too many digits"),
    ("no input", '{"target": "x"}', "line 2", "input", "missing"),
    ("an unknown field", '{"input": [1], "targte": "x"}', "line 2", "targte", "unknown field"),
    (
        "an unknown split",
        '{"input": [1, 2], "split": "dev"}',
        "line 2",
        "split",
        "train, val or test",
    ),
    (
        "a split that is no string",
        '{"input": [1, 2], "split": 3}',
        "line 2",
        "split",
        "train, val or test",
    ),
    ("a single number", '{"input": 3}', "line 2", "input", "one-to-many"),
    ("a boolean", '{"input": [1, true]}', "line 2", "input[1]", "write 1"),
    ("a boolean alone", '{"input": true}', "line 2", "input", "got true or false"),
    (
        "a boolean target",
        '{"input": [1, 2], "target": true}',
        "line 2",
        "target",
        "got true or false",
    ),
    ("an object", '{"input": {"a": 1}}', "line 2", "input", "got an object"),
    ("numbers among strings", '{"input": ["a", 1]}', "line 2", "input[1]", "expected a string"),
    ("an object as target", '{"input": [1, 2], "target": {}}', "line 2", "target", "got an object"),
    ("an empty target", '{"input": [1, 2], "target": []}', "line 2", "target", "empty"),
    ("a NUL character", '{"input": "a\\u0000b"}', "line 2", "input[1]", "NUL"),
    ("half a surrogate pair", '{"input": "a\\ud800"}', "line 2", "input[1]", "surrogate"),
]


@pytest.mark.parametrize(
    ("line", "where", "field", "words"),
    [pytest.param(*fault[1:], id=fault[0]) for fault in RECORD_FAULTS],
)
def test_a_faulty_record_is_refused_with_its_line_and_field(
    line: str, where: str, field: str | None, words: str
) -> None:
    [fault] = faults_of("\n" + line + "\n")

    assert (fault.where, fault.field) == (where, field)
    assert words in fault.message


BAD_DATASETS: list[tuple[str, list[dict[str, Any]], dict[str, Any], str, str, str]] = [
    (
        "features that differ",
        [{"input": [[1, 2]]}, {"input": [1]}],
        {},
        "line 2",
        "input[0]",
        "ragged",
    ),
    ("forms that differ", [{"input": "ab"}, {"input": [1]}], {}, "line 2", "input", "first record"),
    (
        "targets that differ",
        [{"input": "ab", "target": "x"}, {"input": "ab", "target": 3}],
        {},
        "line 2",
        "target",
        "a number where the first record has a string",
    ),
    (
        "a target missing",
        [{"input": "ab", "target": "x"}, {"input": "ab"}],
        {},
        "line 2",
        "target",
        "no target where",
    ),
    (
        "a split missing",
        [{"input": "ab", "split": "train"}, {"input": "ab"}],
        {},
        "line 2",
        "split",
        "all records",
    ),
    ("no training record", [{"input": "ab", "split": "val"}], {}, "file", "split", "training"),
    (
        "a label only in test",
        [
            {"input": "ab", "target": "x", "split": "train"},
            {"input": "ab", "target": "y", "split": "test"},
        ],
        {},
        "line 2",
        "target",
        "'y' occurs in no training record",
    ),
    (
        "a tag only in val",
        [
            {"input": "ab", "target": ["x", "x"], "split": "train"},
            {"input": "ab", "target": ["x", "y"], "split": "val"},
        ],
        {},
        "line 2",
        "target",
        "'y' occurs in no training record",
    ),
    (
        "tags of another length",
        [{"input": "ab", "target": ["x", "y", "z"]}],
        {},
        "line 1",
        "target",
        "3 tags for an input of 2 steps",
    ),
    (
        "numbers of many lengths",
        [{"input": "ab", "target": [1, 2]}, {"input": "ab", "target": [1, 2, 3]}],
        {},
        "line 2",
        "target",
        "3 values for an input of 2 steps",
    ),
    (
        "vectors of many lengths",
        [{"input": "ab", "target": [1]}, {"input": "ab", "target": [1, 2]}],
        {"target_kind": "regression"},
        "line 2",
        "target",
        "one size",
    ),
    (
        "answers of many sizes",
        [{"input": "ab", "target": [[1], [0]]}, {"input": "ab", "target": [[1, 0], [0, 0]]}],
        {},
        "line 2",
        "target[0]",
        "2 numbers a step",
    ),
    (
        "answers other than yes and no",
        [{"input": "ab", "target": [[1], [2]]}],
        {"target_kind": "multilabel"},
        "line 1",
        "target",
        "only 0 and 1",
    ),
    (
        "fractional tags",
        [{"input": "ab", "target": [1, 2.5]}],
        {"target_kind": "tags"},
        "line 1",
        "target",
        "whole number",
    ),
    (
        "a kind that does not fit",
        [{"input": "ab", "target": "x"}],
        {"target_kind": "regression"},
        "options",
        "target_kind",
        "use auto or class",
    ),
    (
        "a kind without targets",
        [{"input": "ab"}],
        {"target_kind": "class"},
        "options",
        "target_kind",
        "there are no targets",
    ),
    (
        "text as target",
        [{"input": "ab", "target": f"text {i}"} for i in range(30)],
        {},
        "file",
        "target",
        "encoder-decoder",
    ),
    (
        "one step to predict from",
        [{"input": "ab"}, {"input": "a"}],
        {},
        "line 2",
        "input",
        "at least 2",
    ),
    (
        "nothing short enough",
        [{"input": "abc"}],
        {"max_length": 2},
        "options",
        "max_length",
        "nothing left",
    ),
    (
        "nothing frequent enough",
        [{"input": "abc"}],
        {"min_count": 2},
        "options",
        "min_count",
        "nothing left",
    ),
    (
        "a csv option",
        [{"input": "abc"}],
        {"window": 3},
        "options",
        "window",
        "tables (csv, parquet) only",
    ),
]


@pytest.mark.parametrize(
    ("rows", "options", "where", "field", "words"),
    [pytest.param(*case[1:], id=case[0]) for case in BAD_DATASETS],
)
def test_records_that_make_no_dataset_are_refused_with_the_place(
    rows: list[dict[str, Any]], options: dict[str, Any], where: str, field: str, words: str
) -> None:
    [fault] = row_faults(rows, **options)

    assert (fault.where, fault.field) == (where, field)
    assert words in fault.message


def test_bytes_that_are_no_utf8_are_refused_with_their_line() -> None:
    [jsonl] = faults_of(b'{"input": "ab"}\n{"input": "\xff"}\n')
    [text] = faults_of(b"good\nbad \xe9\n", "text")
    [csv] = faults_of(b"a,b\n1,\xe9\n", "csv", window=1)

    assert [fault.where for fault in (jsonl, text, csv)] == ["line 2"] * 3
    assert all("UTF-8" in fault.message for fault in (jsonl, text, csv))


def test_all_faults_of_a_file_are_told_together_and_at_most_twenty() -> None:
    bad = json.dumps({"input": []})

    assert len(faults_of("\n".join([bad] * 3))) == 3
    assert len(faults_of("\n".join([bad] * 50))) == 20


@pytest.mark.parametrize(
    ("content", "format_name"), [("", "jsonl"), ("\n\n", "jsonl"), ("", "text")]
)
def test_a_file_without_records_is_refused(content: str, format_name: str) -> None:
    [fault] = faults_of(content, format_name)

    assert "no records" in fault.message


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({}, "input", "only 4 symbols"),
        ({"max_length": 5}, "max_length", "one long text"),
        ({"target_kind": "class"}, "target_kind", "one long text"),
        ({"window": 3}, "window", "tables (csv, parquet) only"),
    ],
)
def test_a_text_that_makes_no_stream_is_refused(
    options: dict[str, Any], field: str, words: str
) -> None:
    [fault] = faults_of("abcd", "text", **options)

    assert fault.field == field
    assert words in fault.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": (0.5, 0.1, 0.1)}, "sum to 1"),
        ({"split": (0, 0.5, 0.5)}, "train share"),
        ({"split": (1.5, -0.5, 0)}, "0 or more"),
        ({"split": (float("nan"), 0.5, 0.5)}, "0 or more"),
        ({"horizon": 2}, "horizon needs window"),
        ({"stride": 2}, "stride needs window"),
        ({"input_column": "a", "input_columns": ("b",)}, "exclude each other"),
        ({"input_column": "a", "window": 3}, "window cuts numeric columns"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        DatasetOptions(**options)
