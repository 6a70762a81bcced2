"""Inputs without an axis of time, and texts as targets: how they are read, stored and refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from shared.data.batching import collate, eval_batches, sample_batches
from shared.data.encoding import CategoryInput, InvalidInput, TextTarget, VectorInput
from shared.data.options import DatasetOptions
from tests.unit.data.builders import build, build_rows, faults_of, row_faults, table_of

Rows = list[dict[str, Any]]

LOCALES: Rows = [{"input": f"l{i % 3}", "target": "ab"[: 1 + i % 2]} for i in range(30)]
VECTORS: Rows = [{"input": [i, 1.5], "target": "ab"[i % 2]} for i in range(20)]
GROWING: Rows = [{"input": [i, 1.5], "target": [0.5 * i, 2.5, 3.5][: 1 + i % 3]} for i in range(30)]
PAIRS: Rows = [{"input": "ab", "target": [[i, 0.5], [1.0, 2.5], [3.5, 4.0]]} for i in range(20)]
DATES: Rows = [{"input": f"{i} May", "target": f"05-{i}"} for i in range(10, 30)]


@pytest.mark.parametrize(
    ("rows", "options", "mapping", "alignment"),
    [
        (LOCALES, {"input_kind": "category", "target_kind": "text"}, "one_to_many", None),
        (LOCALES, {"input_kind": "category"}, "one_to_one", None),
        (VECTORS, {"input_kind": "vector"}, "one_to_one", None),
        (VECTORS, {"input_kind": "vector", "target_kind": "text"}, "one_to_many", None),
        (DATES, {"target_kind": "text"}, "many_to_many", "encoder_decoder"),
        (DATES, {"target_kind": "class", "split": (1.0, 0.0, 0.0)}, "many_to_one", None),
        (VECTORS, {"input_kind": "sequence"}, "many_to_one", None),
        (VECTORS, {"target_kind": "text"}, "many_to_many", "encoder_decoder"),
        ([{"input": 3, "target": ["a", "b"]}, {"input": 4, "target": ["a"]}] * 5, {"input_kind": "category"}, "one_to_many", None),
        ([{"input": 3, "target": [i, 2]} for i in range(9)], {"input_kind": "category"}, "one_to_one", None),
        ([{"input": "ab", "target": ["x", "y", "x"]}] * 9, {"target_kind": "text"}, "many_to_many", "encoder_decoder"),
        (GROWING, {"target_kind": "series"}, "many_to_many", "encoder_decoder"),
        (GROWING, {"target_kind": "series", "input_kind": "vector"}, "one_to_many", None),
    ],
)  # fmt: skip
def test_kinds_of_input_and_target_decide_the_mapping(
    rows: Rows, options: dict[str, Any], mapping: str, alignment: str | None
) -> None:
    built = build_rows(rows, **options)

    assert built.mappings == [mapping]
    assert built.encoding.alignment == alignment


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (LOCALES, {"input_kind": "category", "target_kind": "text"}),
        (VECTORS, {"input_kind": "vector"}),
        ([{"input": [i % 2, 1], "target": "x"} for i in range(9)], {"input_kind": "vector"}),
        (DATES, {"target_kind": "text", "target_tokens": "char"}),
        ([{"input": "a b", "target": "c d e"}] * 9, {"target_kind": "text", "target_tokens": "word"}),
        ([{"input": "ab", "target": ["x y", "z", "x y"]}] * 9, {"target_kind": "text"}),
        (GROWING, {"target_kind": "series"}),
        (PAIRS, {"target_kind": "series"}),
    ],
)  # fmt: skip
def test_records_come_back_as_they_were_written(rows: Rows, options: dict[str, Any]) -> None:
    table = table_of(build_rows(rows, **options))
    shown = [row for name in ("train", "val", "test") for row in table.preview(name, 100)]  # type: ignore[arg-type]

    assert len(shown) == len(rows)
    for row in shown:
        assert row in rows


def test_every_category_has_an_example_in_training() -> None:
    rows = [{"input": f"c{i}", "target": "xy"[i % 2]} for i in range(12)]

    built = build_rows(rows, input_kind="category")

    assert isinstance(built.encoding.input, CategoryInput)
    assert set(built.encoding.input.symbols) == {"<unk>", *(f"c{i}" for i in range(12))}


def test_a_category_may_be_a_number_and_an_unknown_one_is_refused() -> None:
    encoding = build_rows([{"input": 3, "target": "a"}] * 9, input_kind="category").encoding

    assert encoding.encode_input(3).tolist() == encoding.encode_input("3").tolist() == [1]
    with pytest.raises(InvalidInput, match="an unknown category: use one of 3"):
        encoding.encode_input("4")


def test_a_vector_is_normalised_by_its_train_statistics() -> None:
    encoding = build_rows(VECTORS, input_kind="vector").encoding
    part = encoding.input

    assert isinstance(part, VectorInput)
    assert encoding.encode_input([part.mean[0], part.mean[1]]).tolist() == [[0.0, 0.0]]
    with pytest.raises(InvalidInput, match="expected 2 numbers, got 3"):
        encoding.encode_input([1, 2, 3])


def test_a_text_target_knows_its_symbols_and_how_long_texts_get() -> None:
    target = build_rows(DATES, target_kind="text", split=(1.0, 0.0, 0.0)).encoding.target

    assert isinstance(target, TextTarget)
    assert target.symbols[:3] == ("<unk>", "<start>", "<stop>")
    assert set(target.symbols[3:]) == set("-0123456789")
    assert target.longest == 5
    assert target.describe(np.array([target.symbols.index(s) for s in "05-7"])) == {"text": "05-7"}


def test_rare_symbols_of_a_text_become_unknown() -> None:
    rows = [{"input": "a", "target": "bb"}] * 9 + [{"input": "a", "target": "bz", "split": "train"}]
    rows = [{**row, "split": "train"} for row in rows]

    table = table_of(build_rows(rows, target_kind="text", min_count=2))

    assert table.preview("train", 10)[-1]["target"] == "b<unk>"


def test_batches_end_every_text_with_a_stop_and_count_it() -> None:
    split = table_of(build_rows(LOCALES, input_kind="category", target_kind="text")).split("train")

    batch = collate(split, np.arange(len(split)))

    assert batch.target_lengths is not None
    assert batch.x.shape == (len(split), 1)
    for row, length in zip(batch.y, batch.target_lengths, strict=True):
        assert row[length - 1] == 2
        assert (row[: length - 1] > 2).all()
        assert (row[length:] == 0).all()
    assert split.num_elements == len(split) + int((batch.target_lengths - 1).sum())


def test_batches_group_equal_inputs_then_texts_of_equal_length() -> None:
    rows = [
        {"input": "x" * (1 + i % 4), "target": "y" * (1 + i // 4), "split": "train"}
        for i in range(16)
    ]
    split = table_of(build_rows(rows, target_kind="text")).split("train")

    batches = list(eval_batches(split, 4))

    assert [set(batch.lengths.tolist()) for batch in batches] == [{1}, {2}, {3}, {4}]
    assert [b.target_lengths.tolist() for b in batches if b.target_lengths is not None] == [
        [2, 3, 4, 5]
    ] * 4


def test_a_sample_is_drawn_evenly_from_short_to_long() -> None:
    rows = [{"input": "x" * (1 + i), "target": "y", "split": "train"} for i in range(100)]
    split = table_of(build_rows(rows, target_kind="text")).split("train")

    lengths = [n for batch in sample_batches(split, 4, 10) for n in batch.lengths.tolist()]
    everything = [n for batch in sample_batches(split, 7, 100) for n in batch.lengths.tolist()]

    assert lengths == [1, 12, 23, 34, 45, 56, 67, 78, 89, 100]
    assert everything == list(range(1, 101))


@pytest.mark.parametrize(
    ("rows", "options", "field", "words"),
    [
        ([{"input": [1], "target": "a"}], {"input_kind": "category"}, "input", "expected a category"),
        ([{"input": "", "target": "a"}], {"input_kind": "category"}, "input", "needs a name"),
        ([{"input": True, "target": "a"}], {"input_kind": "category"}, "input", "got true or false"),
        ([{"input": 1, "target": "a"}], {"input_kind": "vector"}, "input", "expected a list of numbers"),
        ([{"input": [], "target": "a"}], {"input_kind": "vector"}, "input", "empty vector"),
        ([{"input": [[1]], "target": "a"}], {"input_kind": "vector"}, "input[0]", "expected a number"),
        ([{"input": [1, 2], "target": "a"}, {"input": [1], "target": "a"}], {"input_kind": "vector"}, "input[0]", "ragged"),
        ([{"input": "a"}], {"input_kind": "category"}, "input_kind", "every record needs a target"),
        ([{"input": "a", "target": ["b"]}], {"input_kind": "category", "target_kind": "tags"}, "input_kind", "no steps"),
        ([{"input": [1], "target": [[1]]}], {"input_kind": "vector"}, "input_kind", "no steps"),
        ([{"input": "ab", "target": ""}], {"target_kind": "text"}, "target", "empty sequence"),
        ([{"input": "ab", "target": 3}], {"target_kind": "text"}, "target_kind", "use auto or class"),
        ([{"input": 3, "target": "a"}], {}, "input", "set input_kind to category"),
        ([{"input": "ab", "target": f"t{i}"} for i in range(20)], {}, "target", "set target_kind to text"),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_kind_is_refused_with_the_remedy(
    rows: Rows, options: dict[str, Any], field: str, words: str
) -> None:
    [fault] = row_faults(rows, **options)

    assert fault.field == field
    assert words in fault.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_kind": "category", "tokens": "word"}, "tokens splits text"),
        ({"input_kind": "vector", "window": 3}, "window cuts series"),
        ({"target_tokens": "word"}, "target_tokens needs target_kind text"),
    ],
)
def test_options_of_kinds_that_contradict_each_other_are_refused(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        DatasetOptions(**options)


def test_one_long_text_takes_no_kind_of_input() -> None:
    [fault] = faults_of("a b c d e f g h i j k l", "text", input_kind="category")

    assert (fault.where, fault.field) == ("options", "input_kind")


def test_rows_of_a_sheet_may_be_categories_vectors_and_texts() -> None:
    rows = "".join(f"l{i % 3},{i},{i / 2},{100 + i}\n" for i in range(30))
    sheet = f"home,a,b,name\n{rows}"

    names = build(
        sheet, "csv", input_column="home", target_column="name", input_kind="category", target_kind="text"
    )  # fmt: skip
    vectors = build(
        sheet, "csv", input_columns=("a", "b"), target_column="home", input_kind="vector"
    )

    assert (names.mappings, vectors.mappings) == (["one_to_many"], ["one_to_one"])
    assert table_of(names).preview("train", 1)[0]["target"].isdigit()


def test_a_series_has_one_length_or_learns_where_it_ends() -> None:
    growing, pairs = (build_rows(rows, target_kind="series") for rows in (GROWING, PAIRS))

    assert growing.schema["target"] == {"kind": "series", "size": 1, "length": None}
    assert pairs.schema["target"] == {"kind": "series", "size": 2, "length": 3}
    assert (growing.encoding.output_size, pairs.encoding.output_size) == (2, 2)


def test_numbers_of_another_length_than_their_input_say_what_they_may_be() -> None:
    [message, *_] = [fault.message for fault in row_faults(GROWING)]

    assert "set target_kind to text (lists of strings) or series (lists of numbers)" in message
