"""Which jobs the Jobs page shows, and the page of them that an address asks for."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query
from pydantic import BaseModel
from sqlalchemy.orm import Session

from services.dashboard.views import words
from services.dashboard.views.rows import RowView, rows_of
from shared.db.jobs import JobFilter, JobStore
from shared.db.pages import Page
from shared.db.tables import JobRow
from shared.jobs.states import JobStatus
from shared.nn.spec import Mapping

PAGE_SIZE = 25
MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class ListAddress:
    """What the address of the Jobs page says; what is empty does not narrow the list."""

    name: str
    status: str
    cell: str
    mapping: str
    dataset: str
    after: str
    before: str

    def as_filter(self) -> JobFilter:
        return JobFilter(
            status=(self.status,) if self.status else (),
            cell=self.cell or None,
            mapping=self.mapping or None,
            dataset=self.dataset or None,
            name_contains=self.name or None,
        )

    @property
    def is_narrow(self) -> bool:
        return self.as_filter() != JobFilter()

    def query(self, **changes: str) -> str:
        """The same filters on another page."""
        fields = {**asdict(self), "after": "", "before": "", **changes}
        return urlencode({name: value for name, value in fields.items() if value})


Text = Annotated[str, Query(max_length=MAX_TEXT)]


def list_address(
    name: Text = "",
    status: JobStatus | Literal[""] = "",
    cell: Text = "",
    mapping: Mapping | Literal[""] = "",
    dataset: Text = "",
    after: Text = "",
    before: Text = "",
) -> ListAddress:
    return ListAddress(name.strip(), status, cell, mapping, dataset, after, before)


Wanted = Annotated[ListAddress, Depends(list_address)]


class ListingView(BaseModel):
    count: int
    count_text: str
    jobs: list[RowView]
    older: str | None
    """Query of the next page; null on the last one."""
    newer: str | None


def listing(db: Session, wanted: ListAddress) -> ListingView:
    store, narrowed = JobStore(db), wanted.as_filter()
    page, has_newer = _page(store, narrowed, wanted)
    rows = page.rows
    before = rows[0].id if rows else ""
    has_older = bool(rows) and page.has_more
    count = store.count(narrowed)
    return ListingView(
        count=count,
        count_text=words.plural(count, "job"),
        jobs=rows_of(db, rows),
        older=wanted.query(after=rows[-1].id) if has_older else None,
        newer=wanted.query(before=before) if has_newer else None,
    )


def _page(store: JobStore, narrowed: JobFilter, wanted: ListAddress) -> tuple[Page[JobRow], bool]:
    """The page, whose `has_more` = older ones exist, and whether there are newer ones."""
    if wanted.before:
        page = store.page_before(narrowed, wanted.before, PAGE_SIZE)
        if page.has_more:
            return page, True
        return store.page(narrowed, None, PAGE_SIZE), False  # the first page is a full one
    return store.page(narrowed, wanted.after or None, PAGE_SIZE), bool(wanted.after)
