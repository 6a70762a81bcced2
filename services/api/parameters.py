"""Query parameters and headers that several endpoints share."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Query, Request

from services.http.auth import Owner


@dataclass(frozen=True, slots=True)
class Paging:
    after: str | None
    limit: int


def _paging(
    after: Annotated[
        str | None, Query(max_length=200, description="id of the last one seen")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="how many at most")] = 20,
) -> Paging:
    return Paging(after, limit)


PageOf = Annotated[Paging, Depends(_paging)]


async def _idempotency(
    request: Request,
    owner: Owner,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, description="Same key and body: the first answer"),
    ] = None,
) -> dict[str, str] | None:
    if idempotency_key is None:
        return None
    return {
        "owner": owner,
        "route": request.url.path,
        "key": idempotency_key,
        "body_sha256": sha256(await request.body()).hexdigest(),
    }


Idempotency = Annotated[dict[str, str] | None, Depends(_idempotency)]
