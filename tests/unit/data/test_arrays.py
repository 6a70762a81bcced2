"""NPZ and Parquet: the same dataset as from JSON Lines, and faults with array or row and field."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.data import spool
from shared.data.readers import parquet
from tests.unit.data.builders import build, build_rows, faults_of, table_of

WORDS = ["the cat sat", "a dog ran", "the dog sat", "a cat", "the the cow"] * 4
SERIES = np.arange(60.0).reshape(10, 3, 2)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def parquet_of(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def jsonl(inputs: list[Any], targets: list[Any] | None = None, **more: list[Any]) -> str:
    columns = {"input": inputs, **({} if targets is None else {"target": targets}), **more}
    return "\n".join(
        json.dumps(dict(zip(columns, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    )


SAME: list[tuple[str, list[Any], list[Any] | None, dict[str, Any]]] = [
    ("words with rare ones unknown", WORDS, [w[0] for w in WORDS], {"tokens": "word", "min_count": 3}),
    ("characters of the next step", WORDS, None, {"min_count": 2}),
    ("texts to be written", WORDS, [w[::-1] for w in WORDS], {"target_kind": "text", "target_tokens": "word"}),
    ("series and classes", SERIES.tolist(), [int(i % 2) for i in range(10)], {}),
    ("series and numbers", SERIES.tolist(), [i / 4 for i in range(10)], {}),
    ("numbers at every step", SERIES[:, :, 0].tolist(), SERIES[:, :, 1].tolist(), {}),
    ("answers at every step", SERIES.tolist(), (SERIES > 30).astype(int).tolist(), {}),
    ("series to be written", SERIES.tolist(), SERIES[:, :2].tolist(), {"target_kind": "series"}),
    ("vectors", SERIES[:, :, 0].tolist(), [i / 2 for i in range(10)], {"input_kind": "vector"}),
    ("categories", [f"c{i % 3}" for i in range(12)], list("abcabcabcabc"), {"input_kind": "category"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "targets", "options"), [pytest.param(*case[1:], id=case[0]) for case in SAME]
)
def test_equal_records_are_equal_datasets_in_every_format(
    inputs: list[Any], targets: list[Any] | None, options: dict[str, Any]
) -> None:
    given = {"target": targets} if targets is not None else {}
    arrays = {"x": np.array(inputs), **({"y": np.array(targets)} if given else {})}

    wanted = build(jsonl(inputs, targets), **options)
    from_npz = build(npz(**arrays), "npz", **options)
    from_parquet = build(parquet_of({"input": inputs, **given}), "parquet", **options)

    assert from_npz.encoding == from_parquet.encoding == wanted.encoding
    assert from_npz.arrow == from_parquet.arrow == wanted.arrow
    assert from_npz.statistics == from_parquet.statistics == wanted.statistics


def test_strings_in_an_array_of_two_axes_are_symbols() -> None:
    x, y = np.array([["ab", "c"], ["c", "ab"]] * 5), np.array([["n", "v"], ["v", "n"]] * 5)

    built = build(npz(x=x, y=y), "npz", split=(1, 0, 0))

    assert built.encoding.labels == ("n", "v")
    assert table_of(built).preview("train", 10)[0] in (
        {"input": ["ab", "c"], "target": ["n", "v"]},
        {"input": ["c", "ab"], "target": ["v", "n"]},
    )


def test_lengths_cut_inputs_and_the_targets_of_their_steps() -> None:
    x, y = SERIES[:, :, 0], SERIES[:, :, 1]
    lengths = np.array([1 + i % 3 for i in range(10)])

    wanted = build(
        jsonl(*([row[:n].tolist() for row, n in zip(a, lengths, strict=True)] for a in (x, y)))
    )

    assert build(npz(x=x, y=y, lengths=lengths), "npz").arrow == wanted.arrow


def test_lengths_leave_targets_of_another_shape_whole() -> None:
    lengths = np.array([1, 3] * 5)

    built = build(npz(x=SERIES, y=SERIES[:, 0], lengths=lengths), "npz")

    assert (built.lengths["min"], built.lengths["max"]) == (1, 3)
    assert built.encoding.target.kind == "regression"
    assert built.encoding.output_size == 2


def test_an_array_that_lies_column_by_column_is_read_row_by_row() -> None:
    fortran = npz(x=np.asfortranarray(SERIES), y=np.arange(10) / 2)

    assert build(fortran, "npz").arrow == build(npz(x=SERIES, y=np.arange(10) / 2), "npz").arrow


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("unpickled",))


NPZ_FAULTS: list[tuple[str, dict[str, Any], dict[str, Any], str, str, str]] = [
    ("no x", {"y": [1, 2]}, {}, "file", "x", "missing"),
    ("an unknown array", {"x": [[1, 2]], "z": [1]}, {}, "file", "z", "unknown array"),
    ("objects", {"x": np.array([Evil()])}, {}, "file", "x", "object"),
    ("complex numbers", {"x": [[1j, 2]]}, {}, "file", "x", "complex"),
    ("one value", {"x": 3.0}, {}, "file", "x", "single value"),
    ("targets too few", {"x": SERIES, "y": [1, 2]}, {}, "file", "y", "2 items, and x has 10"),
    ("lengths of text", {"x": ["ab"], "lengths": [1]}, {}, "file", "lengths", "no axis"),
    ("a length beyond", {"x": SERIES[:2], "lengths": [3, 4]}, {}, "item 1", "lengths", "from 1 to 3"),
    ("a length of none", {"x": SERIES[:2], "lengths": [0, 3]}, {}, "item 0", "lengths", "from 1 to 3"),
    ("fractional lengths", {"x": SERIES[:1], "lengths": [1.5]}, {}, "file", "lengths", "whole"),
    ("NaN", {"x": [[1, 2], [np.nan, 3]]}, {}, "item 1", "input[0]", "finite"),
    ("infinity in y", {"x": SERIES[:1], "y": [np.inf]}, {}, "item 0", "target", "finite"),
    ("an empty text", {"x": ["ab", ""]}, {}, "item 1", "input", "empty"),
    ("an unknown split", {"x": ["ab"], "split": ["dev"]}, {}, "item 0", "split", "train, val or test"),
    ("an option of tables", {"x": SERIES}, {"window": 2}, "options", "window", "tables"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arrays", "options", "where", "field", "words"),
    [pytest.param(*case[1:], id=case[0]) for case in NPZ_FAULTS],
)
def test_a_faulty_array_is_refused_by_its_name_or_item(
    arrays: dict[str, Any], options: dict[str, Any], where: str, field: str, words: str
) -> None:
    [fault] = faults_of(npz(**arrays), "npz", **options)

    assert (fault.where, fault.field) == (where, field)
    assert words in fault.message


def test_an_array_that_would_unpack_beyond_the_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.data.readers.npz.LARGEST_BYTES", 1000)

    [fault] = faults_of(npz(x=np.zeros((1000, 10))), "npz")

    assert (fault.where, fault.field) == ("file", "x")


def test_values_beyond_the_limit_are_refused_while_they_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool, "LARGEST_BYTES", 100)

    [fault] = faults_of(jsonl([[1.5] * 5] * 3))

    assert "of values" in fault.message


@pytest.mark.parametrize("keep", [10, 100, 300])
@pytest.mark.parametrize("format_name", ["npz", "parquet"])
def test_a_file_cut_short_is_refused(format_name: str, keep: int) -> None:
    whole = {"npz": npz(x=SERIES), "parquet": parquet_of({"input": ["ab"] * 90})}[format_name]

    [fault] = faults_of(whole[:keep], format_name)

    assert fault.where == "file"


def test_a_parquet_file_may_name_splits_and_lie_in_many_row_groups() -> None:
    splits = ["train", "val", "test"] * 4
    content = parquet_of({"input": ["ab"] * 12, "split": splits}, row_group_size=2)

    assert build(content, "parquet").splits == {"train": 4, "val": 4, "test": 4}


PLAIN = {"t": list(range(40)), "y": [i * 0.1 for i in range(40)], "label": ["a", "b"] * 20}
PLAIN_CSV = "t,y,label\n" + "\n".join(
    f"{t},{y},{label}" for t, y, label in zip(*PLAIN.values(), strict=True)
)


@pytest.mark.parametrize(
    "options",
    [
        {"window": 3, "target_column": "y"},
        {"window": 3, "target_column": "label"},
        {"input_columns": ["t", "y"], "target_column": "label"},
        {"input_column": "label", "target_column": "y"},
    ],
)
def test_plain_columns_of_parquet_are_read_like_those_of_csv(options: dict[str, Any]) -> None:
    content = parquet_of(PLAIN)

    assert build(content, "parquet", **options).arrow == build(PLAIN_CSV, "csv", **options).arrow


PARQUET_FAULTS: list[tuple[str, dict[str, Any], dict[str, Any], str, str | None, str]] = [
    ("no choice", PLAIN, {}, "options", "input_column", "t, y, label"),
    ("an unknown column", {"input": ["ab"], "z": [1]}, {}, "file", "z", "unknown column"),
    ("no input", {"input": ["ab", None]}, {}, "row 2", "input", "missing"),
    ("a hole in a list", {"input": [[1.0, None]]}, {}, "row 1", "input[1]", "got null"),
    ("NaN", {"input": [[1.0, float("nan")]]}, {}, "row 1", "input[1]", "finite"),
    ("no target", {"input": ["ab"] * 2, "target": ["x", None]}, {}, "row 2", "target", "no target"),
    ("a split of numbers", {"input": ["ab"], "split": [3]}, {}, "row 1", "split", "train, val"),
    ("a hole in a column", {"a": [1.0, None, 2.0]}, {"window": 1}, "row 2", "a", "no value"),
    ("lists as a column", {"a": [[1.0]]}, {"window": 1}, "file", "a", "no plain column"),
    ("no such column", PLAIN, {"window": 2, "target_column": "z"}, "options", "target_column", "no column"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "options", "where", "field", "words"),
    [pytest.param(*case[1:], id=case[0]) for case in PARQUET_FAULTS],
)
def test_a_faulty_row_is_refused_with_its_number_and_field(
    columns: dict[str, Any], options: dict[str, Any], where: str, field: str | None, words: str
) -> None:
    [fault] = faults_of(parquet_of(columns), "parquet", **options)

    assert (fault.where, fault.field) == (where, field)
    assert words in fault.message


def test_a_row_group_too_large_to_unpack_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 100)

    [fault] = faults_of(parquet_of({"input": [f"row {i}" for i in range(100)]}), "parquet")

    assert "smaller" in fault.message


@pytest.mark.parametrize(
    "more",
    [
        lambda _: {},
        lambda word: {"group": word[0]},
        lambda word: {"split": "test" if word == "a cat" else "train"},
    ],
    ids=["shuffled", "by group", "as told"],
)
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_how_much_is_looked_at_together_changes_no_record(
    monkeypatch: pytest.MonkeyPatch, chunk: int, more: Callable[[str], dict[str, Any]]
) -> None:
    rows = [{"input": word, "target": list(word), **more(word)} for word in WORDS]
    wanted = build_rows(rows)
    monkeypatch.setattr(spool, "CHUNK", chunk)
    monkeypatch.setattr(spool, "LOOKED_AT", chunk)
    monkeypatch.setattr("shared.data.build.CHUNK", chunk)
    monkeypatch.setattr("shared.data.statistics.MOST_KEYS", chunk)
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 0)  # everything on disk, row by row

    found = build_rows(rows)

    assert (found.encoding, found.statistics) == (wanted.encoding, wanted.statistics)
    assert (found.lengths, found.num_elements) == (wanted.lengths, wanted.num_elements)
    one, other = table_of(found), table_of(wanted)
    for name in ("train", "val", "test"):
        assert one.preview(name, 100) == other.preview(name, 100)
        assert np.array_equal(one.split(name).inputs.values, other.split(name).inputs.values)


@pytest.mark.parametrize("tokens", ["char", "word"])
def test_a_text_of_a_single_line_is_read_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch, tokens: str
) -> None:
    text = "Ein schöner Tag für Müßiggänger 😀\n" * 20 + "ohne Zeilenende öäü " * 30
    wanted = build(text, "text", tokens=tokens)
    monkeypatch.setattr("shared.data.readers.text.PIECE_BYTES", 5)
    monkeypatch.setattr("shared.data.build.CHUNK", 10)

    found = build(text, "text", tokens=tokens)

    assert found.encoding == wanted.encoding
    assert found.splits == wanted.splits
    for name in ("train", "val", "test"):
        assert np.array_equal(
            table_of(found).split(name).input(0), table_of(wanted).split(name).input(0)
        )


def test_a_line_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.data.readers.lines.MAX_LINE_BYTES", 50)

    [fault] = faults_of('{"input": "ab"}\n{"input": "' + "a" * 100 + '"}')

    assert fault.where == "line 2"
    assert "longer than" in fault.message
