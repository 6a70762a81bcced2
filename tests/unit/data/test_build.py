"""Datasets from records: what is inferred, how it is split, what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data.table import SPLITS
from tests.unit.data.builders import build, build_rows, table_of

ROOT = Path(__file__).parents[3]
SHAPES: list[tuple[dict[str, Any], str, str]] = [
    ({"input": "abba", "target": "x"}, "class", "many_to_one"),
    ({"input": [1.5, 2.5], "target": 3}, "class", "many_to_one"),
    ({"input": [1.5, 2.5], "target": 3.5}, "regression", "many_to_one"),
    ({"input": [1.5, 2.5], "target": [1, 2, 3]}, "regression", "many_to_one"),
    ({"input": [[1.5, 0], [2.5, 0]], "target": [1, 2]}, "values", "many_to_many"),
    ({"input": [1.5, 2.5], "target": [[1, 2], [3, 4]]}, "values", "many_to_many"),
    ({"input": ["a", "b"], "target": ["N", "V"]}, "tags", "many_to_many"),
    ({"input": "ab", "target": [[1, 0], [0, 0]]}, "multilabel", "many_to_many"),
    ({"input": "ab"}, "next", "many_to_many"),
    ({"input": [[0, 1], [1, 1]]}, "next", "many_to_many"),
]


@pytest.mark.parametrize(("row", "kind", "mapping"), SHAPES)
def test_the_form_of_the_records_decides_the_kind_of_target(
    row: dict[str, Any], kind: str, mapping: str
) -> None:
    built = build_rows([row] * 10)

    assert built.encoding.target.kind == kind
    assert built.mappings == [mapping]
    assert built.splits == {"train": 8, "val": 1, "test": 1}


@pytest.mark.parametrize(("row", "kind", "mapping"), SHAPES)
def test_the_preview_shows_records_as_they_were_written(
    row: dict[str, Any], kind: str, mapping: str
) -> None:
    table = table_of(build_rows([row] * 10))
    wanted = dict(row)
    if kind == "class":
        wanted["target"] = str(row["target"])

    assert table.preview("train", 3) == [wanted] * 3
    assert table.preview("val", 3) == [wanted]


@pytest.mark.parametrize(
    ("asked", "row", "labels"),
    [
        ("class", {"input": "ab", "target": 3}, ("3",)),
        ("tags", {"input": "ab", "target": [10, 9]}, ("9", "10")),
        ("regression", {"input": "ab", "target": 3}, None),
        ("regression", {"input": "ab", "target": [1, 2]}, None),
        ("values", {"input": "ab", "target": [[0], [1]]}, None),
    ],
)
def test_a_kind_can_be_asked_for(
    asked: str, row: dict[str, Any], labels: tuple[str, ...] | None
) -> None:
    target = build_rows([row] * 10, target_kind=asked).encoding.target

    assert target.kind == asked
    assert getattr(target, "labels", None) == labels


def test_one_fractional_target_makes_all_whole_ones_numbers() -> None:
    built = build_rows([{"input": "ab", "target": t} for t in [1, 2, 2.5, 3]])

    assert built.encoding.target.kind == "regression"


def test_whole_number_labels_are_ordered_by_size_and_text_by_code_point() -> None:
    whole = build_rows([{"input": "ab", "target": t} for t in [10, 9, 2]])
    text = build_rows([{"input": "ab", "target": t} for t in ["10", "9", "2"]])

    assert whole.encoding.labels == ("2", "9", "10")
    assert text.encoding.labels == ("10", "2", "9")


def test_arrays_have_the_dtypes_and_shapes_that_training_expects() -> None:
    shapes = {}
    for row, kind, _ in SHAPES[:-1]:
        split = table_of(build_rows([row] * 10)).split("train")
        target = split.target(0)
        assert split.lengths.dtype == np.int64
        assert split.lengths.tolist() == [len(row["input"])] * len(split)
        shapes[kind] = target if target is None else (str(target.dtype), target.shape)

    assert shapes == {
        "class": ("int64", ()),
        "regression": ("float32", (3,)),
        "values": ("float32", (2, 2)),
        "tags": ("int64", (2,)),
        "multilabel": ("float32", (2, 2)),
        "next": None,
    }


def test_a_stored_input_is_what_encoding_the_raw_input_gives() -> None:
    for rows in (
        [{"input": [[1, 5.5], [i, 2]]} for i in range(9)],
        [{"input": "abc"[i % 3 :] + "zz"} for i in range(9)],
    ):
        table = table_of(build_rows(rows))
        for name in SPLITS:
            split = table.split(name)
            for index, shown in enumerate(table.preview(name, 9)):
                np.testing.assert_array_equal(
                    split.input(index), table.encoding.encode_input(shown["input"])
                )


def test_statistics_come_from_the_train_split_alone() -> None:
    rows = [{"input": [0, 2], "target": 5.0, "split": "train"}] * 3
    rows += [{"input": [1000, 1000], "target": 900.0, "split": "test"}]

    encoding = build_rows(rows).encoding

    assert encoding.input.model_dump()["mean"] == (1.0,)
    assert encoding.input.model_dump()["std"] == (1.0,)
    assert encoding.target.model_dump()["mean"] == (5.0,)
    assert encoding.target.model_dump()["std"] == (1.0,)  # constant in train


def test_a_constant_feature_keeps_deviation_1_in_spite_of_rounding() -> None:
    part = build_rows(
        [{"input": [[0.1, i], [0.1, 2.5]], "target": "x"} for i in range(9)]
    ).encoding.input

    assert part.model_dump()["std"][0] == 1.0


def test_zeros_and_ones_in_several_features_are_binary_and_left_as_they_are() -> None:
    rows = [{"input": [[0, 1], [1, 1]]}] * 5
    binary = build_rows(rows).encoding.input
    real = build_rows([*rows, {"input": [[0, 0.5], [1, 1]]}]).encoding.input
    single = build_rows([{"input": [0, 1]}] * 5).encoding.input

    assert binary.model_dump() == {
        "kind": "numeric",
        "size": 2,
        "mean": (0.0, 0.0),
        "std": (1.0, 1.0),
        "binary": True,
    }
    assert not real.model_dump()["binary"]
    assert not single.model_dump()["binary"]


def test_the_vocabulary_is_the_train_splits_most_frequent_first_ties_by_code_point() -> None:
    rows = [{"input": "bbac", "split": "train"}, {"input": "zz", "split": "val"}]

    built = build_rows(rows)

    assert built.encoding.labels == ("<unk>", "b", "a", "c")
    assert table_of(built).split("val").input(0).tolist() == [0, 0]
    assert table_of(built).preview("val", 1) == [{"input": "<unk><unk>"}]


def test_symbols_rarer_than_min_count_become_unknown() -> None:
    built = build_rows([{"input": "aab", "split": "train"}], min_count=2)

    assert built.encoding.labels == ("<unk>", "a")


def test_longer_records_are_left_out() -> None:
    built = build_rows([{"input": "a" * n} for n in range(2, 12)], max_length=6)

    assert sum(built.splits.values()) == 5
    assert built.lengths == {"min": 2, "median": 4, "p95": 6, "max": 6}


def test_the_schema_says_kinds_and_sizes() -> None:
    text = build_rows([{"input": "ab", "target": t} for t in "xyz"]).schema
    series = build_rows([{"input": [[1, 2], [3, 4]]}] * 3).schema

    assert text == {
        "input": {"kind": "tokens", "tokens": "char", "vocabulary_size": 3},
        "target": {"kind": "class", "size": 3, "labels": ["x", "y", "z"]},
    }
    assert series["input"] == {"kind": "numeric", "size": 2, "binary": False}
    assert series["target"] == {"kind": "next", "size": 2}


def test_the_balance_of_classes_counts_every_split() -> None:
    built = build_rows([{"input": "ab", "target": "xy"[i % 5 == 0]} for i in range(10)])

    assert built.class_balance == {"x": 8, "y": 2}


def test_text_is_one_stream_cut_in_order() -> None:
    text = "".join(f"line {i}\n" for i in range(40))
    built = build(text, "text")
    table = table_of(built)

    parts = [
        table.encoding.input.model_dump()["symbols"][i]
        for s in SPLITS
        for i in table.split(s).input(0)
    ]

    assert "".join(parts) == text
    assert table.encoding.stream
    assert built.splits == {"train": 248, "val": 31, "test": 31}
    assert [len(table.split(name)) for name in SPLITS] == [1, 1, 1]
    assert "".join(row["input"] for row in table.preview("train", 100)) == text[:248]


def test_text_without_a_test_share_has_no_test_sequence() -> None:
    table = table_of(build("abcdefghij", "text", split=(0.5, 0.5, 0)))

    assert len(table.split("test")) == 0
    assert table.split("val").lengths.tolist() == [5]


def test_words_of_a_stream_stand_between_white_space() -> None:
    built = build("the cat  sat\n\non the mat\n" * 4, "text", tokens="word")

    assert built.splits == {"train": 20, "val": 2, "test": 2}
    assert built.encoding.labels[:2] == ("<unk>", "the")
    assert table_of(built).preview("val", 1) == [{"input": "sat on"}]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from("uvwxyz"), min_size=3, max_size=40),
    st.integers(0, 5),
    st.sampled_from([(0.8, 0.1, 0.1), (0.34, 0.33, 0.33), (0.1, 0.45, 0.45), (1.0, 0.0, 0.0)]),
)
def test_a_shuffled_split_is_a_partition_that_shows_training_every_class(
    targets: list[str], seed: int, shares: tuple[float, float, float]
) -> None:
    rows = [{"input": [i, i], "target": t} for i, t in enumerate(targets)]
    built = build_rows(rows, seed=seed, split=shares, target_kind="class")
    table = table_of(built)
    shown = {name: table.preview(name, 100) for name in SPLITS}

    found = sorted((row["input"][0], row["target"]) for name in SPLITS for row in shown[name])

    assert found == [(float(i), t) for i, t in enumerate(targets)]
    assert {row["target"] for row in shown["train"]} == set(targets)


@pytest.mark.parametrize("total", [3, 4, 10, 100])
def test_val_and_test_get_a_record_each_from_three_records_on(total: int) -> None:
    splits = build_rows([{"input": [1, i], "target": 0.5} for i in range(total)]).splits

    assert splits["val"] == splits["test"] == max(1, total // 10)


def test_one_record_trains() -> None:
    assert build_rows([{"input": "ab"}]).splits == {"train": 1, "val": 0, "test": 0}


def test_the_seed_decides_the_shuffle() -> None:
    rows = [{"input": [1, i], "target": 0.5} for i in range(50)]

    assert build_rows(rows, seed=1).arrow == build_rows(rows, seed=1).arrow
    assert build_rows(rows, seed=1).arrow != build_rows(rows, seed=2).arrow


def test_named_splits_are_kept_and_val_may_be_left_out() -> None:
    rows = [{"input": f"a{i}", "split": s} for i, s in enumerate(["test", "train", "train"])]

    table = table_of(build_rows(rows))

    assert [len(table.split(name)) for name in SPLITS] == [2, 0, 1]
    assert table.preview("test", 5) == [{"input": "a<unk>"}]


def test_a_byte_order_mark_is_no_text() -> None:
    assert build(b'\xef\xbb\xbf{"input": "ab"}\n').splits["train"] == 1
    assert (
        "\ufeff" not in build(b"\xef\xbb\xbfabcdefghijkl", "text", split=(1, 0, 0)).encoding.labels
    )


def test_reading_and_building_datasets_loads_no_torch() -> None:
    code = (
        "import sys, shared.data.readers, shared.data.builtin, shared.data.table;"
        "print(sorted({'torch', 'sklearn', 'faker', 'pygments', 'statsmodels'} & set(sys.modules)))"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert answer.stdout.strip() == "[]"
