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
    text = " · ".join(_texts(row.data))
    return LineView(number=row.number, time=row.created_at, type=row.type, text=text)


def lines_of(rows: Sequence[EventRow]) -> list[LineView]:
    return [line_view(row) for row in rows]


def as_text(row: EventRow) -> str:
    line = line_view(row)
    return f"{line.time:%Y-%m-%d %H:%M:%S} {line.type:<10} {line.text}\n"


BARE = ("level", "message", "status", "reason")  # their values explain themselves
FIRST = (*BARE, "epoch", "step")


def _texts(data: dict[str, Any]) -> Iterator[str]:
    for key in sorted(data, key=_rank):
        value = data[key]
        if isinstance(value, dict):
            yield from _texts(value)
        elif key not in BARE:
            yield f"{key} {_said(value)}"
        elif value is not None:
            yield str(value)


def _rank(key: str) -> tuple[int, str]:
    return (FIRST.index(key) if key in FIRST else len(FIRST), key)


def _said(value: Any) -> str:
    return words.number(value) if isinstance(value, int | float | None) else str(value)
