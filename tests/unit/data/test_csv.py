"""CSV by row and by window: columns, types, targets and faults."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data.readers import detect_format, windows
from shared.data.table import SPLITS, SplitName
from tests.unit.data.builders import build, faults_of, table_of


def series(num_rows: int) -> str:
    """Column t counts the rows from 0; y is ten times that; label alternates."""
    rows = (f"{t},{10 * t},{'pq'[t % 2]}" for t in range(num_rows))
    return "t,y,label\n" + "\n".join(rows) + "\n"


def previews(content: str, **options: Any) -> dict[SplitName, list[dict[str, Any]]]:
    table = table_of(build(content, "csv", **options))
    return {name: table.preview(name, 10_000) for name in SPLITS}


def test_a_window_predicts_the_value_after_it() -> None:
    first = previews(series(50), window=2, target_column="y")["train"][0]

    assert first == {"input": [[0.0, 0.0], [1.0, 10.0]], "target": 20.0}


def test_a_horizon_predicts_as_many_values() -> None:
    built = build(series(50), "csv", window=3, horizon=3, target_column="y", input_columns=["t"])

    assert built.encoding.target.kind == "regression"
    assert built.mappings == ["many_to_one"]
    assert table_of(built).preview("train", 1) == [
        {"input": [0.0, 1.0, 2.0], "target": [30.0, 40.0, 50.0]}
    ]


def test_a_window_with_a_label_column_takes_the_label_of_its_last_row() -> None:
    rows = previews(series(50), window=3, target_column="label")["train"]

    assert rows[0] == {"input": [[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]], "target": "p"}
    assert rows[1]["target"] == "q"


def test_whole_numbers_can_label_a_window_and_are_then_no_input() -> None:
    content = "x,y\n" + "\n".join(f"{t},{t % 2}" for t in range(50))

    first = previews(content, window=2, target_column="y", target_kind="class")["train"][0]

    assert first == {"input": [0.0, 1.0], "target": "1"}


def test_a_window_without_a_target_predicts_its_own_next_step() -> None:
    built = build(series(50), "csv", window=4, input_columns=["y"])

    assert built.encoding.target.kind == "next"
    assert built.splits == {"train": 33, "val": 4, "test": 4}


def test_windows_start_a_stride_apart() -> None:
    rows = previews(series(50), window=2, stride=5, input_columns=["t"])["train"]

    assert [row["input"][0] for row in rows[:3]] == [0.0, 5.0, 10.0]


@settings(max_examples=60, deadline=None)
@given(st.integers(30, 90), st.integers(2, 8), st.integers(1, 3), st.integers(1, 10), st.booleans())
def test_windows_of_two_splits_share_no_row_and_later_rows_go_to_later_splits(
    num_rows: int, window: int, horizon: int, stride: int, with_val: bool
) -> None:
    shares = (0.6, 0.2, 0.2) if with_val else (0.7, 0.0, 0.3)
    options = {"window": window, "horizon": horizon, "stride": stride, "split": shares}
    content = series(num_rows)
    if faults_of(content, "csv", target_column="t", input_columns=["t"], **options):
        usable = (num_rows - window - horizon) // stride + 1
        assert usable < 3 * -(-(window + horizon) // stride)
        return
    shown = previews(content, target_column="t", input_columns=["t"], **options)

    spans = []
    for name in SPLITS:
        rows = shown[name]
        if rows:
            ends = [r["target"] if horizon == 1 else r["target"][-1] for r in rows]
            spans.append((min(r["input"][0] for r in rows), max(ends)))
    assert len(spans) == 2 + with_val
    assert all(end < start for (_, end), (start, _) in pairwise(spans))


def test_every_windows_first_row_is_read_once() -> None:
    shown = previews(series(60), window=5, input_columns=["t"])

    starts = [row["input"][0] for name in SPLITS for row in shown[name]]

    assert starts == sorted(set(starts))
    assert len(starts) == 56 - 2 * 4  # four windows straddle each border


def test_a_row_of_text_is_a_record() -> None:
    content = 'name,origin\n"O\'Hara, ""Mac""",ie\nRossi,it\nBianchi,it\n'

    built = build(content, "csv", input_column="name", target_column="origin", split=(1, 0, 0))

    shown = sorted(row["input"] for row in table_of(built).preview("train", 5))
    assert shown == ["Bianchi", 'O\'Hara, "Mac"', "Rossi"]
    assert built.class_balance == {"ie": 1, "it": 2}


def test_a_row_of_numbers_is_a_series() -> None:
    built = build("a,b,c\n1,2,x\n3,4,y\n", "csv", input_columns=["b", "a"], target_column="c")

    shown = sorted(table_of(built).preview("train", 5), key=lambda row: row["target"])
    assert shown == [{"input": [2.0, 1.0], "target": "x"}, {"input": [4.0, 3.0], "target": "y"}]


@pytest.mark.parametrize(
    ("cells", "asked", "kind", "labels"),
    [
        (["1", "2"], "auto", "class", ("1", "2")),
        (["1", "2.5"], "auto", "regression", ()),
        (["1", "2"], "regression", "regression", ()),
        (["1", "2.50"], "class", "class", ("1", "2.50")),
        (["1", "b"], "auto", "class", ("1", "b")),
    ],
)
def test_a_target_column_is_read_as_a_whole(
    cells: list[str], asked: str, kind: str, labels: tuple[str, ...]
) -> None:
    content = "text,y\n" + "\n".join(f"ab,{cell}" for cell in cells)

    encoding = build(
        content, "csv", input_column="text", target_column="y", target_kind=asked
    ).encoding

    assert encoding.target.kind == kind
    assert encoding.labels == labels


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_are_seen_in_the_header(delimiter: str) -> None:
    content = series(50).replace(",", delimiter)

    assert build(content, "csv", window=3).encoding.input.size == 2


BAD_FILES: list[tuple[str, str, dict[str, Any], str, str | None, str]] = [
    ("an empty file", "", {"window": 2}, "file", None, "empty"),
    ("a cell too few", "a,b\n1,2\n3\n", {"window": 2}, "row 2 (line 3)", None, "1 cells"),
    ("a cell too many", "a,b\n1,2,3\n", {"window": 2}, "row 1 (line 2)", None, "3 cells"),
    ("an unnamed column", "a,\n1,2\n", {"window": 2}, "line 1", None, "without a name"),
    ("a NUL in a name", "a,b\0\n1,2\n", {"window": 2}, "line 1", None, "NUL"),
    ("two columns of one name", "a,a\n1,2\n", {"window": 2}, "line 1", "a", "rename"),
    ("NaN", "a\n1\nnan\n3\n", {"window": 1}, "row 2 (line 3)", "a", "finite"),
    ("infinity", "a\n1\n-inf\n3\n", {"window": 1}, "row 2 (line 3)", "a", "finite"),
    ("a huge number", "a\n1\n1e39\n3\n", {"window": 1}, "row 2 (line 3)", "a", "too large"),
    ("no value", "a,b\n1,1\n,2\n3,3\n", {"window": 1}, "row 2 (line 3)", "a", "no value"),
    (
        "no value of input and target",
        "a,b\n1,1\n,2\n3,3\n4,4\n",
        {"window": 1, "target_column": "a"},
        "row 2 (line 3)",
        "a",
        "leave the row out",
    ),
    (
        "no number",
        "a,b\n1,1\nx,2\n3,3\n",
        {"window": 1, "input_columns": ["a"]},
        "row 2 (line 3)",
        "a",
        "expected a number, got 'x'",
    ),
    (
        "no number in a row",
        "a,b\n1,1\nx,2\n",
        {"input_columns": ["a", "b"]},
        "row 2 (line 3)",
        "a",
        "expected a number, got 'x'",
    ),
    (
        "no label of a window",
        "a,b\n1,x\n2,\n3,x\n",
        {"window": 1, "target_column": "b"},
        "row 2 (line 3)",
        "b",
        "no value",
    ),
    (
        "no target",
        "a,b\nx,p\ny,\n",
        {"input_column": "a", "target_column": "b"},
        "row 2 (line 3)",
        "b",
        "no value",
    ),
    (
        "empty text",
        'a,b\nx,p\n"",q\n',
        {"input_column": "a", "target_column": "b"},
        "row 2 (line 3)",
        "input",
        "empty",
    ),
    (
        "a target of text for regression",
        "a,b\nx,p\n",
        {"input_column": "a", "target_column": "b", "target_kind": "regression"},
        "row 1 (line 2)",
        "b",
        "expected a number",
    ),
    (
        "a target of too many digits",
        "a,b\nx," + "9" * 5000 + "\n",
        {"input_column": "a", "target_column": "b"},
        "row 1 (line 2)",
        "b",
        "too many digits",
    ),
    ("an open quote", 'a,b\n1,"2\n', {"window": 1}, "line 2", None, "not CSV"),
    ("no choice of inputs", series(9), {}, "options", "input_column", "t, y, label"),
    ("no numeric column", "a,b\nx,y\n", {"window": 1}, "options", "input_columns", "no numeric"),
    ("too few rows", series(9), {"window": 10}, "options", "window", "9 rows are too few"),
    ("too few windows", series(30), {"window": 12}, "file", "window", "share no row"),
    (
        "a horizon of labels",
        series(50),
        {"window": 3, "horizon": 2, "target_column": "label"},
        "options",
        "horizon",
        "numeric target_column",
    ),
]


@pytest.mark.parametrize(
    ("content", "options", "where", "field", "words"),
    [pytest.param(*case[1:], id=case[0]) for case in BAD_FILES],
)
def test_a_faulty_file_is_refused_with_its_row_and_column(
    content: str, options: dict[str, Any], where: str, field: str | None, words: str
) -> None:
    [fault] = faults_of(content, "csv", **options)

    assert (fault.where, fault.field) == (where, field)
    assert words in fault.message


@pytest.mark.parametrize(
    "options",
    [
        {"window": 3, "input_columns": ["z"]},
        {"window": 3, "target_column": "z"},
        {"input_column": "z"},
        {"input_columns": ["t", "z"]},
        {"input_column": "label", "target_column": "z"},
    ],
)
def test_an_unknown_column_is_refused_with_the_known_ones(options: dict[str, Any]) -> None:
    [fault] = faults_of(series(9), "csv", **options)

    assert fault.where == "options"
    assert fault.field in options
    assert fault.message == "no column 'z': the file has t, y, label"


def test_windows_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MAX_NUMBERS", 100)

    [fault] = faults_of(series(50), "csv", window=10)

    assert fault.field == "stride"
    assert "41 windows would hold 820 numbers" in fault.message


@pytest.mark.parametrize(
    ("filename", "head", "wanted"),
    [
        ("a.jsonl", b"", "jsonl"),
        ("a.b.NDJSON", b"", "jsonl"),
        ("a.csv", b"", "csv"),
        ("a.tsv", b"", "csv"),
        ("a.txt", b"{", "text"),
        ("upload", b'{"input": 1}\n', "jsonl"),
        ("upload", b'\xef\xbb\xbf{"input": 1}\n', "jsonl"),
        ("upload", b"a,b\n1,2\n", "csv"),
        ("upload", b"Well, hello\nyou\n", "text"),
        ("upload", b"", "text"),
        ("upload", b"PK\x03\x04..", "npz"),
        ("data.csv", b"PAR1..", "parquet"),
        ("a.npz", b"", "npz"),
    ],
)
def test_a_format_is_known_by_the_name_else_by_the_content(
    filename: str, head: bytes, wanted: str
) -> None:
    assert detect_format(filename, head) == wanted
