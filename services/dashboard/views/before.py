"""A job beside the one that was submitted before it on the same dataset: what was changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from services.dashboard.views import words
from services.dashboard.views.overlay import spec_lines
from shared.db.jobs import JobStore
from shared.db.tables import JobRow

MAX_LINES = 6
PREFIXES = ("network.", "training.")


Line = tuple[str, str, str]
"""Path, what was there, and what is there now."""


@dataclass(frozen=True, slots=True)
class Before:
    name: str
    short_id: str
    href: str
    compare: str
    """Address of both, compared in full."""
    count: str
    """How many fields differ, in words."""
    lines: list[Line]
    is_cut: bool


def compared_with_before(db: Session, job: JobRow) -> Before | None:
    """None for the first job of a dataset."""
    other = JobStore(db).before(job)
    if other is None:
        return None
    pairs = [(_short(path), was, now) for path, (was, now) in spec_lines([other, job])]
    lines = list(_telling([pair for pair in pairs if pair[1] != pair[2]]))
    return Before(
        name=other.name,
        short_id=f"…{other.id[-6:]}",
        href=f"/jobs/{other.id}",
        compare=f"/compare?ids={other.id},{job.id}",
        count=words.plural(len(lines), "difference"),
        lines=lines[:MAX_LINES],
        is_cut=len(lines) > MAX_LINES,
    )


def _telling(lines: Sequence[Line]) -> Iterator[Line]:
    """Of parts of another type, the type alone: its options are others anyway."""
    others = {path.removesuffix("type") for path, _, _ in lines if path.endswith(".type")}
    for path, was, now in lines:
        is_option = words.NONE in (was, now) and path[: path.rfind(".") + 1] in others
        if not is_option:
            yield path, was, now


def _short(path: str) -> str:
    for prefix in PREFIXES:
        path = path.removeprefix(prefix)
    return path
