"""Datasets as lines of a list and as a page: what is in them, in words, bars and samples."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.dashboard.views import words
from services.dashboard.views.spark import Spark, spark
from shared.data.builtin import BUILTINS
from shared.data.table import SPLITS
from shared.db.tables import DatasetRow
from shared.db.viewer import BUILTIN

MAX_CLASSES, MAX_SYMBOLS = 60, 200
MAX_SHOWN = 48  # symbols or steps of a sample
VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "": "∅"}


@dataclass(frozen=True, slots=True)
class DatasetLine:
    id: str
    name: str
    about: str
    kind: str
    """From what to what."""
    items: str
    format: str
    size: str
    created_at: datetime | None
    """Null for what is built in and was not used yet."""
    is_builtin: bool
    mapping: str
    """As a job asks for it; nothing where it is not known yet."""


def dataset_line(row: DatasetRow) -> DatasetLine:
    return DatasetLine(
        id=row.id,
        name=row.name,
        about=str(row.about.get("title", "")),
        kind=_kind(row),
        items=items(row),
        format=row.format,
        size=words.size(row.bytes),
        created_at=row.created_at,
        is_builtin=row.source == BUILTIN,
        mapping=row.mappings[0],
    )


def unused_builtins(stored: Sequence[str]) -> list[DatasetLine]:
    """Those that are made when somebody first asks for them."""
    return [
        DatasetLine("", each.name, each.title, each.row, "", "builtin", "", None, True, "")
        for each in BUILTINS.values()
        if each.name not in stored
    ]


def items(row: DatasetRow) -> str:
    noun = "symbol" if row.encoding.get("stream") else "item"
    return words.plural(sum(row.splits.values()), noun)


def _kind(row: DatasetRow) -> str:
    return f"{_side(row.schema.get('input', {}))} → {_side(row.schema.get('target', {}))}"


SIDES = {
    "tokens": "text",
    "numeric": "series",
    "category": "category",
    "vector": "vector",
    "class": "class",
    "tags": "tags",
    "regression": "number",
    "values": "numbers",
    "multilabel": "labels",
    "next": "next step",
    "text": "text",
    "series": "series",
}
LISTS = {"tokens": "symbols", "text": "symbols"}


def _side(schema: Mapping[str, Any]) -> str:
    """`class of 18`, `text`, `series of 3`."""
    kind = schema.get("kind", "")
    name = LISTS.get(kind, "") if schema.get("tokens") == "list" else ""
    size = schema.get("size", 1) if kind not in ("next", "text") else 1
    said = name or SIDES.get(kind, kind)
    return f"{said} of {size}" if size > 1 else said


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    count: int
    share: float
    """Of the largest one."""
    percent: str


@dataclass(frozen=True, slots=True)
class Bin:
    low: str
    high: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class DatasetPage:
    line: DatasetLine
    facts: list[tuple[str, str]]
    classes: list[Bar]
    more_classes: int
    histogram: list[Bin]
    vocabulary: list[tuple[str, str]]
    """Each symbol made visible, and what is known of it."""
    more_symbols: int
    features: list[tuple[str, str, str]]
    has_leaks: bool
    """Whether splits share items."""
    """Name, mean and spread."""
    warnings: list[str]


def dataset_page(row: DatasetRow) -> DatasetPage:
    statistics: Mapping[str, Any] = getattr(row, "statistics", None) or {}
    balance = row.about.get("class_balance") or {}
    symbols = vocabulary(row, statistics)
    return DatasetPage(
        line=dataset_line(row),
        facts=list(_facts(row, statistics)),
        classes=bars(balance)[:MAX_CLASSES],
        more_classes=max(0, len(balance) - MAX_CLASSES),
        histogram=_histogram(statistics),
        vocabulary=symbols[:MAX_SYMBOLS],
        more_symbols=max(0, len(symbols) - MAX_SYMBOLS),
        has_leaks=any((statistics.get("duplicates") or {}).get("across", {}).values()),
        features=list(_features(row)),
        warnings=[str(each) for each in getattr(row, "warnings", None) or ()],
    )


def bars(counts: Mapping[str, int]) -> list[Bar]:
    """The largest first."""
    total, largest = sum(counts.values()), max(counts.values(), default=0)
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return [
        Bar(label, count, count / largest if largest else 0, f"{100 * count / total:.2g} %")
        for label, count in ordered
    ]


def _facts(row: DatasetRow, statistics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Items", items(row)
    yield "Splits", _numbered(row.splits, SPLITS)
    yield "Mapping", words.mapping({"mapping": row.mappings[0], "alignment": _alignment(row)})
    yield "Input → target", _kind(row)
    if row.lengths:
        yield "Length", _numbered(row.lengths, LENGTHS)
    yield from _counted(statistics)
    for name in ("row", "source", "licence"):
        if row.about.get(name):
            yield ABOUT[name], str(row.about[name])
    yield "Format", f"{row.format}, {words.size(row.bytes)}"
    yield "sha256", row.sha256


LENGTHS = ("min", "median", "p95", "max")  # the database forgets the order of names


def _numbered(values: Mapping[str, int], order: Sequence[str]) -> str:
    return " · ".join(f"{name} {words.number(values[name])}" for name in order if name in values)


ABOUT = {"row": "One item is", "source": "From", "licence": "Licence"}


def _alignment(row: DatasetRow) -> str | None:
    is_own = row.schema.get("target", {}).get("kind") in ("text", "series")
    return "encoder_decoder" if row.mappings == ["many_to_many"] and is_own else None


def _counted(statistics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What was left out, and what occurs twice; nothing where nothing is."""
    missing = statistics.get("missing") or {}
    duplicates = statistics.get("duplicates") or {}
    groups = {
        "Left out": missing,
        "Twice in": duplicates.get("within") or {},
        "Shared by": duplicates.get("across") or {},
    }
    for label, counts in groups.items():
        said = [f"{name.replace('_', ' ')} {words.number(n)}" for name, n in counts.items() if n]
        if said:
            yield label, " · ".join(said)


def _histogram(statistics: Mapping[str, Any]) -> list[Bin]:
    """Bins from one edge up to, and without, the next."""
    found = statistics.get("lengths") or {}
    counts, edges = found.get("counts") or [], found.get("edges") or []
    largest = max(counts, default=0)
    if not largest:
        return []
    bounds = zip(edges, edges[1:], counts, strict=False)
    return [Bin(words.number(a), words.number(b), n, n / largest) for a, b, n in bounds]


def vocabulary(row: DatasetRow, statistics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Symbols as they can be seen, each with how often it occurs where that was counted."""
    symbols = row.encoding.get("input", {}).get("symbols") or ()
    frequent = (statistics.get("vocabulary") or {}).get("most_frequent") or ()
    counts = {each["symbol"]: each["count"] for each in frequent}
    return [(visible(each), _said(each, counts)) for each in symbols]


def _said(symbol: str, counts: Mapping[str, Any]) -> str:
    name = repr(symbol) if symbol in VISIBLE else symbol
    return f"{name}: {words.number(counts[symbol])}" if symbol in counts else name


def visible(symbol: str) -> str:
    return VISIBLE.get(symbol, symbol)


def _features(row: DatasetRow) -> Iterator[tuple[str, str, str]]:
    part = row.encoding.get("input", {})
    columns = row.options.get("input_columns") or ()
    spreads = zip(part.get("mean", ()), part.get("std", ()), strict=True)
    for index, (mean, std) in enumerate(spreads):
        name = columns[index] if index < len(columns) else f"feature {index + 1}"
        yield name, words.number(mean), words.number(std)


@dataclass(frozen=True, slots=True)
class Side:
    """An input or target of a sample: symbols, or a drawing and numbers, or one word."""

    tokens: tuple[str, ...] = ()
    text: str = ""
    spark: Spark | None = None
    is_cut: bool = False


def side(value: Any, *, splits: str | None) -> Side:
    """`splits` = how text is cut into symbols: char, word or list."""
    if isinstance(value, str) and splits:
        symbols = value.split() if splits == "word" else list(value)
        return _tokens(symbols)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return _tokens(value)
    if isinstance(value, list):
        return _numbers(value)
    return Side(text=words.number(value) if isinstance(value, int | float) else str(value))


def _tokens(symbols: Sequence[str]) -> Side:
    shown = tuple(map(visible, symbols[:MAX_SHOWN]))
    return Side(tokens=shown, is_cut=len(symbols) > MAX_SHOWN)


def _numbers(rows: Sequence[Any]) -> Side:
    columns = [rows] if not isinstance(rows[0], list) else list(zip(*rows, strict=True))
    finite = [[v for v in column if math.isfinite(v)] for column in columns]
    first = ", ".join(words.number(v) for v in finite[0][:6])
    width = f" × {len(columns)}" if len(columns) > 1 else ""
    many = ", …" if len(rows) > 6 else ""
    return Side(text=f"{len(rows)}{width} numbers: {first}{many}", spark=spark(finite))
