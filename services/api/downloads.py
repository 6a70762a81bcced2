"""Every point of a job's curves as files, written while they are read; knows no HTTP.

A page is read in a transaction of its own, so that a slow client holds none.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from services.api import tfevents
from shared.db.engine import transaction
from shared.db.metrics import MetricStore

PAGE = 2000  # points, about 150 kB
COLUMNS = ("name", "step", "epoch", "value", "time")


def csv_of(job_id: str, names: Sequence[str]) -> Iterator[str]:
    """A header, then a line for each point; no names = all curves, one after the other."""
    yield _csv_text([COLUMNS])
    for rows in _pages(job_id, names):
        yield _csv_text(map(_csv_row, rows))


def tfevents_of(job_id: str, names: Sequence[str], since: datetime) -> Iterator[bytes]:
    """An event file: names are tags, times are wall times; it begins at `since`."""
    yield tfevents.header(since.timestamp())
    for rows in _pages(job_id, names):
        points = (
            tfevents.scalar(row.name, row.step, row.value, row.time.timestamp()) for row in rows
        )
        yield b"".join(points)


def _pages(job_id: str, names: Sequence[str]) -> Iterator[Sequence[Any]]:
    with transaction() as db:
        chosen = names or MetricStore(db).names(job_id)
    for name in chosen:
        after = -1
        while rows := _page(job_id, name, after):
            yield rows
            after = rows[-1].step


def _page(job_id: str, name: str, after: int) -> Sequence[Any]:
    with transaction() as db:
        return MetricStore(db).page(job_id, name, after, PAGE)


def _csv_text(rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _csv_row(row: Any) -> tuple[object, ...]:
    return row.name, row.step, row.epoch, repr(row.value), row.time.isoformat()
