"""Query parameters and headers that several endpoints share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from shared.db.ids import is_id
from shared.jobs.errors import InvalidSpec, shortened


@dataclass(frozen=True, slots=True)
class Paging:
    after: str | None
    limit: int


After = Annotated[str | None, Query(max_length=200, description="id of the last one seen")]
Limit = Annotated[int, Query(ge=1, le=100, description="how many at most")]


def _page_by_name(after: After = None, limit: Limit = 20) -> Paging:
    return Paging(after, limit)


def _page_by_id(prefix: str, noun: str) -> Callable[..., Paging]:
    def page(after: After = None, limit: Limit = 20) -> Paging:
        if after is not None and not is_id(prefix, after):
            raise InvalidSpec(f"{shortened(after)!r} is not the id of a {noun}.", param="after")
        return Paging(after, limit)

    return page


PageOfJobs = Annotated[Paging, Depends(_page_by_id("job", "job"))]
PageOfExperiments = Annotated[Paging, Depends(_page_by_id("exp", "experiment"))]
PageOfDatasets = Annotated[Paging, Depends(_page_by_id("ds", "dataset"))]
PageOfKeys = Annotated[Paging, Depends(_page_by_id("key", "key"))]
PageOfModels = Annotated[Paging, Depends(_page_by_name)]
Filter = Annotated[str | None, Query(max_length=200)]
