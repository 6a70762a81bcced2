"""A job's events as lines of a log."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from services.dashboard.views import words
from shared.db.tables import EventRow


class LineView(BaseModel):
    number: int
    time: datetime
    type: str
    text: str


def line_view(row: EventRow) -> LineView:
    return LineView(number=row.number, time=row.created_at, type=row.type, text=said(row.data))


def said(data: dict[str, Any]) -> str:
    """What an event tells, in one line."""
    return BETWEEN.join(_texts(data))


def lines_of(rows: Sequence[EventRow]) -> list[LineView]:
    return [line_view(row) for row in rows]


def as_text(row: EventRow) -> str:
    line = line_view(row)
    return f"{line.time:%Y-%m-%d %H:%M:%S} {line.type:<10} {line.text}\n"


BETWEEN = " · "
BARE = ("level", "message", "status", "reason")  # their values explain themselves
FIRST = (*BARE, "epoch", "step")


def _texts(data: dict[str, Any]) -> Iterator[str]:
    for key in sorted(data, key=_rank):
        value = data[key]
        if isinstance(value, dict):
            yield from _texts(value)
        elif key not in BARE:
            yield f"{key} {_value(value)}"
        elif value is not None:
            yield str(value)


def _rank(key: str) -> tuple[int, str]:
    return (FIRST.index(key) if key in FIRST else len(FIRST), key)


def _value(value: Any) -> str:
    return words.number(value) if isinstance(value, int | float | None) else str(value)
