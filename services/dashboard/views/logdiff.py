"""The logs of two jobs side by side: lines that tell of the same moment in one row."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from itertools import groupby, zip_longest
from typing import Literal

from sqlalchemy.orm import Session

from services.dashboard.views.events import BETWEEN, said
from shared.db.events import EventStore
from shared.db.tables import EventRow, JobRow

MAX_LINES = 100  # of each log
MAX_CHARS = 300  # of a line
SHOWN_EQUAL = 2  # equal rows in sequence; more of them become one
NUMBER = re.compile(r"\d[\d.,e+-]*")
Part = Literal["last", "first"]
READERS: dict[Part, Callable[[EventStore, str], Sequence[EventRow]]] = {
    "last": lambda store, job_id: store.last(job_id, MAX_LINES),
    "first": lambda store, job_id: store.after(job_id, 0, MAX_LINES),
}


@dataclass(frozen=True, slots=True)
class Line:
    after: str
    """Since the job began: +1:05."""
    kind: str
    text: str

    @property
    def parts(self) -> list[str]:
        return self.text.split(BETWEEN)

    def same_as(self, other: "Line | None") -> bool:
        """Whatever the time."""
        return other is not None and (self.kind, self.text) == (other.kind, other.text)


@dataclass(frozen=True, slots=True)
class Pair:
    """A row; a side without a counterpart is None."""

    left: Line | None = None
    right: Line | None = None
    num_equal: int = 0
    """More than none: so many rows whose two sides are equal, in the place of these."""

    @property
    def is_equal(self) -> bool:
        return self.left is not None and self.left.same_as(self.right)

    @property
    def sides(self) -> Iterator[tuple[Line | None, list[tuple[str, bool]]]]:
        """Each with the parts of its line, and whether the other one has them too."""
        for line, other in ((self.left, self.right), (self.right, self.left)):
            theirs = other.parts if other else []
            yield line, [(part, part in theirs) for part in line.parts] if line else []


def log_diff(db: Session, left: JobRow, right: JobRow, part: Part) -> list[Pair]:
    """Rows of the last lines of both, or of the first."""
    logs = [READERS[part](EventStore(db), job.id) for job in (left, right)]
    lines = [[_line(row, job) for row in log] for log, job in zip(logs, (left, right), strict=True)]
    moments = [[_moment(row) for row in log] for log in logs]
    matcher = SequenceMatcher(None, moments[0], moments[1], autojunk=False)
    pairs: list[Pair] = []
    for _, left_start, left_end, right_start, right_end in matcher.get_opcodes():
        sides = lines[0][left_start:left_end], lines[1][right_start:right_end]
        pairs += [Pair(*both) for both in zip_longest(*sides)]
    return list(_folded(pairs))


def _folded(pairs: Sequence[Pair]) -> Iterator[Pair]:
    for is_equal, run in groupby(pairs, lambda pair: pair.is_equal):
        rows = list(run)
        if is_equal and len(rows) > SHOWN_EQUAL:
            yield Pair(num_equal=len(rows))
        else:
            yield from rows


def _moment(row: EventRow) -> tuple[object, ...]:
    """What two jobs' lines of the same moment have in common: kind, epoch or step, and words."""
    when = row.data.get("epoch", row.data.get("step"))
    return row.type, when, NUMBER.sub("", _text(row))


def _line(row: EventRow, job: JobRow) -> Line:
    return Line(_after(row.created_at, job.started_at or job.created_at), row.type, _text(row))


def _text(row: EventRow) -> str:
    """Without ids, which differ always."""
    text = said({name: value for name, value in row.data.items() if name != "id"})
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 1]}…"


def _after(moment: datetime, start: datetime) -> str:
    minutes, seconds = divmod(max(0, round((moment - start).total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours}:{minutes:02}:{seconds:02}" if hours else f"+{minutes}:{seconds:02}"
