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
    texts = (row.data.get("message"), *_pairs(row.data))
    text = " · ".join(str(text) for text in texts if text)
    return LineView(number=row.number, time=row.created_at, type=row.type, text=text)


def lines_of(rows: Sequence[EventRow]) -> list[LineView]:
    return [line_view(row) for row in rows]


def as_text(row: EventRow) -> str:
    line = line_view(row)
    return f"{line.time:%Y-%m-%d %H:%M:%S} {line.type:<10} {line.text}\n"


BARE = frozenset({"message", "status", "reason"})  # their values explain themselves


def _pairs(data: dict[str, Any]) -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _pairs(value)
        elif key in BARE:
            yield "" if key == "message" or value is None else str(value)
        else:
            yield f"{key} {_said(value)}"


def _said(value: Any) -> str:
    return words.number(value) if isinstance(value, int | float | None) else str(value)
