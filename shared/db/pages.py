"""Keyset pagination, the same for every list: newest first, by id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    rows: Sequence[T]
    has_more: bool


def newest_first(
    db: Session,
    query: Select[T],
    id_column: InstrumentedAttribute[Any],
    after: Any | None,
    limit: int,
) -> Page[T]:
    """The `limit` rows that come after the id `after`, ids descending."""
    if after is not None:
        query = query.where(id_column < after)
    rows = db.scalars(query.order_by(id_column.desc()).limit(limit + 1)).all()
    return Page(rows[:limit], has_more=len(rows) > limit)


def newer_than(
    db: Session, query: Select[T], id_column: InstrumentedAttribute[Any], before: Any, limit: int
) -> Page[T]:
    """The `limit` rows just before the id `before`, ids descending; `has_more` = newer ones exist."""
    newer = query.where(id_column > before).order_by(id_column).limit(limit + 1)
    rows = db.scalars(newer).all()
    return Page(rows[:limit][::-1], has_more=len(rows) > limit)
