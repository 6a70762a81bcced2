"""What a dataset says of itself, and splits that let nothing leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data.table import SPLITS, SplitName
from tests.unit.data.builders import build, build_rows, faults_of, row_faults, table_of


def split_rows(**texts: list[str]) -> list[dict[str, Any]]:
    return [
        {"input": text, "target": "x", "split": split}
        for split, found in texts.items()
        for text in found
    ]


def test_duplicates_are_counted_within_and_across_splits() -> None:
    built = build_rows(
        split_rows(train=["aa", "aa", "ab", "ac"], val=["aa", "ad"], test=["aa", "ab"])
    )

    assert built.statistics["duplicates"] == {
        "within": {"train": 1, "val": 0, "test": 0},
        "across": {"train_val": 1, "train_test": 2, "val_test": 1},
    }
    assert built.warnings[:3] == [
        "1 item is in train and val",
        "2 items are in train and test",
        "1 item is in val and test",
    ]


def test_equal_inputs_of_other_targets_are_no_duplicates() -> None:
    rows = [{"input": [1, 2], "target": t, "split": "train"} for t in (0.5, 1.5, 1.5)]

    assert build_rows(rows).statistics["duplicates"]["within"]["train"] == 1


def test_a_small_class_is_warned_of_with_its_share() -> None:
    rows = [{"input": "ab", "target": "pt" if i < 4 else "de"} for i in range(1000)]

    built = build_rows(rows)

    assert "class pt has 4 items (0.4 %)" in built.warnings
    assert built.statistics["class_balance"] == {
        "num_classes": 2,
        "most_frequent": [{"label": "de", "count": 996}, {"label": "pt", "count": 4}],
    }


def test_classes_alike_are_not_warned_of() -> None:
    rows = [{"input": f"a{i:03}", "target": "ab"[i % 2]} for i in range(200)]

    assert not [w for w in build_rows(rows).warnings if w.startswith("class")]


def test_the_vocabulary_counts_what_training_does_not_show() -> None:
    rows = split_rows(train=["aab", "aac"], val=["aa"], test=["zzza"])

    built = build_rows(rows)

    assert built.statistics["vocabulary"] == {
        "size": 4,
        "most_frequent": [
            {"symbol": "a", "count": 7},
            {"symbol": "b", "count": 1},
            {"symbol": "c", "count": 1},
        ],
        "unknown": {"train": 0, "val": 0, "test": 3},
    }
    assert "75.0 % of the symbols in test are not known from train" in built.warnings


def test_features_are_those_of_the_train_split_in_original_units() -> None:
    rows = [
        {"input": [[1, 7], [3, 7]], "target": 0.5, "split": "train"},
        {"input": [[100, 8]], "target": 2.5, "split": "test"},
    ]

    built = build_rows(rows)

    assert built.statistics["features"] == [
        {"mean": 2.0, "std": 1.0, "min": 1.0, "max": 3.0},
        {"mean": 7.0, "std": 0.0, "min": 7.0, "max": 7.0},
    ]
    assert built.statistics["target_features"][0]["mean"] == 0.5
    assert "feature 2 of the input never changes in train" in built.warnings


def test_the_histogram_holds_every_length() -> None:
    rows = [{"input": "a" * (2 + i % 50), "target": "x"} for i in range(200)]

    histogram = build_rows(rows).statistics["lengths"]

    assert sum(histogram["counts"]) == 200
    assert (histogram["edges"][0], histogram["edges"][-1]) == (2, 52)
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1 == 21


def test_records_that_are_in_no_split_are_counted() -> None:
    rows = [{"input": "a" * n, "target": "x"} for n in (2, 3, 4, 9)]
    windows = build("t\n" + "\n".join(map(str, range(60))), "csv", window=5)

    assert build_rows(rows, max_length=3).statistics["missing"] == {
        "longer_than_max_length": 2,
        "between_splits": 0,
    }
    assert windows.statistics["missing"]["between_splits"] == 8


def test_a_stream_has_a_vocabulary_and_no_items_that_repeat() -> None:
    built = build("abababababababababab" * 3, "text")

    assert built.statistics["duplicates"] is None
    assert built.statistics["vocabulary"]["most_frequent"] == [
        {"symbol": "a", "count": 30},
        {"symbol": "b", "count": 30},
    ]


def inputs_of(built: Any) -> dict[SplitName, list[str]]:
    table = table_of(built)
    return {name: [row["input"] for row in table.preview(name, 10_000)] for name in SPLITS}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=30), st.integers(0, 5), st.booleans())
def test_no_group_is_in_two_splits_and_shares_are_near(
    sizes: list[int], seed: int, with_labels: bool
) -> None:
    rows = [
        {
            "input": f"{group:02}/{item:02}",
            "group": group,
            **({"target": "ab"[item % 2]} if with_labels else {}),
        }
        for group, size in enumerate(sizes)
        for item in range(size)
    ]

    found = inputs_of(build_rows(rows, seed=seed, min_count=1))

    groups = {name: {text[:2] for text in texts} for name, texts in found.items()}
    assert sum(map(len, groups.values())) == len(sizes)
    assert sum(map(len, found.values())) == len(rows)
    assert groups["train"]
    if len(sizes) >= 5:
        assert groups["val"]
        assert groups["test"]
        assert abs(len(found["train"]) - 0.8 * len(rows)) <= 2 * max(sizes) + 2


def test_groups_and_named_splits_must_agree() -> None:
    rows = [
        {"input": "ab", "group": "p", "split": "train"},
        {"input": "ab", "group": 7, "split": "train"},
        {"input": "ab", "group": "p", "split": "test"},
    ]

    [fault] = row_faults(rows)

    assert (fault.where, fault.field) == ("line 3", "group")
    assert "line 1" in fault.message


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({}, "all records must name"),
        ({"group": 1.5}, "whole number"),
        ({"group": [1]}, "got a list"),
    ],
)
def test_a_group_that_is_none_is_refused(second: dict[str, Any], words: str) -> None:
    [fault] = row_faults([{"input": "ab", "group": "p"}, {"input": "ab", **second}])

    assert (fault.where, fault.field) == ("line 2", "group")
    assert words in fault.message


PATIENTS = "who,value\n" + "\n".join(f"p{i // 10},{100 + i}" for i in range(100))


def test_a_column_keeps_the_rows_of_a_group_together() -> None:
    options = {"input_column": "value", "group_column": "who"}

    found = inputs_of(build(PATIENTS, "csv", **options))

    tens = {name: {int(text) // 10 for text in texts} for name, texts in found.items()}
    assert sum(map(len, tens.values())) == 10
    assert (len(found["train"]), len(found["val"]), len(found["test"])) == (80, 10, 10)


def test_no_window_holds_rows_of_two_groups() -> None:
    built = build(PATIENTS, "csv", window=4, target_column="value", group_column="who")

    for name in SPLITS:
        for row in table_of(built).preview(name, 1000):
            rows = [*row["input"], row["target"]]
            assert len({int(value) // 10 for value in rows}) == 1
            assert np.all(np.diff(rows) == 1)
    assert sum(built.splits.values()) == 10 * 6
    assert built.splits["train"] == 48


def test_a_group_whose_rows_stand_apart_is_refused() -> None:
    [fault] = faults_of("who,value\na,1\nb,2\na,3\n", "csv", window=1, group_column="who")

    assert fault.field == "group_column"
    assert "sort the file" in fault.message


def test_a_row_without_its_group_is_refused() -> None:
    content = "who,value\na,1\n,2\na,3\n"
    [row] = faults_of(content, "csv", input_column="value", group_column="who")
    [window] = faults_of(content, "csv", window=1, group_column="who")

    assert (row.where, row.field) == (window.where, window.field) == ("row 2 (line 3)", "who")


def test_options_of_groups_name_a_column_there_is() -> None:
    for options in ({"window": 2}, {"input_column": "who"}):
        [fault] = faults_of(PATIENTS, "csv", group_column="z", **options)

        assert (fault.where, fault.field) == ("options", "group_column")
