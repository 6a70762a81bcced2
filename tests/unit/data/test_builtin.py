"""Every built-in dataset: described, the same in every process, quick to build."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from statsmodels.datasets.sunspots import load_pandas

from shared.data.build import BuiltDataset
from shared.data.builtin import BUILTINS, MissingExtra, build_builtin, find_builtin
from shared.data.builtin.generated import adding, copy
from shared.data.table import SPLITS, DatasetTable

ROOT = Path(__file__).parents[3]
WANTED = {
    "digits": ("many_to_one", "class", 1797),
    "digits-flat": ("one_to_one", "class", 1797),
    "sunspots": ("many_to_one", "regression", 285 - 2 * 24),
    "surnames": ("many_to_one", "class", None),
    "names-by-locale": ("one_to_many", "text", None),
    "dates": ("many_to_many", "text", 6_000),
    "pydocs": ("many_to_many", "next", 400_000),
    "highlight": ("many_to_many", "tags", None),
    "adding": ("many_to_one", "regression", 10_000),
    "copy": ("many_to_many", "tags", 5_000),
}
_HASH_ALL = """
import hashlib, json
from shared.data.builtin import BUILTINS, build_builtin
print(json.dumps({n: hashlib.sha256(build_builtin(b).arrow).hexdigest() for n, b in BUILTINS.items()}))
"""


@cache
def built_once(name: str) -> BuiltDataset:
    return build_builtin(BUILTINS[name])


def built_table(name: str) -> DatasetTable:
    return DatasetTable.open(built_once(name).arrow)


@pytest.mark.parametrize("name", BUILTINS)
def test_a_builtin_serves_its_mapping_with_three_splits(name: str) -> None:
    mapping, kind, total = WANTED[name]

    built = built_once(name)

    assert built.mappings == [mapping]
    assert built.encoding.target.kind == kind
    assert min(built.splits.values()) > 20
    assert total is None or sum(built.splits.values()) == total


def test_another_process_builds_the_same_bytes() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    answer = subprocess.run(
        [sys.executable, "-c", _HASH_ALL],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment,
    )

    here = {name: hashlib.sha256(built_once(name).arrow).hexdigest() for name in BUILTINS}

    assert json.loads(answer.stdout) == here


def test_the_sum_to_add_is_that_of_the_two_marked_numbers() -> None:
    for record in list(adding(30))[:50]:
        steps = np.asarray(record.input)
        marks = np.flatnonzero(steps[:, 1])

        assert len(marks) == 2
        assert marks[0] < 15 <= marks[1]
        assert record.target == pytest.approx(steps[marks, 0].sum())


def test_the_letters_to_copy_come_back_after_the_delay() -> None:
    for record in list(copy(7))[:50]:
        text, tags = str(record.input), record.target
        assert isinstance(tags, list)

        assert len(text) == len(tags) == 10 + 7 + 10
        assert text.index(">") == 16
        assert "".join(tags) == "-" * 17 + text[:10]


def test_sunspot_windows_of_two_splits_share_no_year() -> None:
    table = built_table("sunspots")
    years = load_pandas().data["SUNACTIVITY"].tolist()
    shown = {name: table.preview(name, 1000) for name in SPLITS}
    first_free = len(shown["train"]) + 24

    assert [row["target"] for row in shown["train"]] == years[24:first_free]
    assert shown["val"][0]["input"] == years[first_free : first_free + 24]
    assert shown["test"][-1]["target"] == years[-1]


def test_no_surname_has_two_homes() -> None:
    table = built_table("surnames")
    names = [row["input"] for s in SPLITS for row in table.preview(s, 100_000)]

    assert len(names) == len(set(names)) > 5000
    assert "it_IT" in table.encoding.labels


def test_highlighted_code_has_a_class_for_each_character() -> None:
    table = built_table("highlight")
    rows = table.preview("train", 200)

    assert all(len(row["input"]) == len(row["target"]) <= 200 for row in rows)
    found = {
        (row["input"][at : at + 4], tuple(row["target"][at : at + 4]))
        for row in rows
        if (at := row["input"].find("def ")) >= 0 and row["target"][at] == "Keyword"
    }
    assert found == {("def ", ("Keyword", "Keyword", "Keyword", "Text"))}


def test_a_flat_digit_is_its_image_row_by_row() -> None:
    images, vectors = (built_table(name).preview("test", 9) for name in ("digits", "digits-flat"))

    assert [row["target"] for row in vectors] == [row["target"] for row in images]
    assert [row["input"] for row in vectors] == [np.ravel(row["input"]).tolist() for row in images]


def test_names_by_locale_are_the_surnames_the_other_way_round() -> None:
    pairs = {
        (row["input"], row["target"])
        for s in SPLITS
        for row in built_table("surnames").preview(s, 100_000)
    }
    turned = {
        (row["target"], row["input"])
        for s in SPLITS
        for row in built_table("names-by-locale").preview(s, 100_000)
    }

    # where the training split lacks a letter, both read it as unknown, each in its own way
    assert len(turned & pairs) > 0.99 * len(pairs)


def test_a_written_date_and_its_target_are_the_same_day() -> None:
    rows = [row for s in SPLITS for row in built_table("dates").preview(s, 10_000)]
    months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

    assert len({row["target"] for row in rows}) == len(rows)
    for row in rows:
        day = date.fromisoformat(row["target"])
        numbers = [int(number) for number in re.findall(r"[0-9]+", row["input"])]
        assert {day.day, day.year} <= set(numbers)
        assert months[day.month - 1] in row["input"].lower() or day.month in numbers


@pytest.mark.parametrize(
    ("name", "length"),
    [("adding-2", 2), ("adding-200", 200), ("adding-2000", 2000), ("copy-100", 120)],
)
def test_a_generated_dataset_comes_in_the_length_of_its_name(name: str, length: int) -> None:
    builtin = find_builtin(name)
    assert builtin is not None
    first = next(iter(builtin.make()))

    assert builtin.name == name
    assert len(first.input) == length  # type: ignore[arg-type]
    assert "50" not in builtin.title


def test_the_short_name_means_length_50() -> None:
    builtin = find_builtin("adding-50")

    assert builtin is not None
    assert build_builtin(builtin).arrow == built_once("adding").arrow


@pytest.mark.parametrize(
    "name", ["adding-1", "adding-2001", "adding-02", "copy-", "copy-x", "digits-5", "", "nothing"]
)
def test_other_names_mean_no_builtin(name: str) -> None:
    assert find_builtin(name) is None


def test_sunspots_say_how_to_get_the_library_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.datasets", None)

    with pytest.raises(MissingExtra, match=r"pip install 'unroll\[datasets\]'"):
        build_builtin(BUILTINS["sunspots"])
