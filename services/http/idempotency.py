"""POSTs that create, sent again: the same key and body give the first answer. Knows no noun."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from services.http.auth import Owner
from shared.db.engine import transaction
from shared.db.idempotency import IdempotencyStore


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered, as JSON."""

    body: dict[str, Any]
    is_first: bool
    """False where it is the answer that the same request got before."""


def once(idempotency: dict[str, str] | None, make: Callable[[Session], dict[str, Any]]) -> Answer:
    """What `make` makes in a transaction, which is committed, or the first answer to the same
    Idempotency-Key.

    Raises:
        IdempotencyMismatch: the key came with another body before.
    """
    with transaction() as db:
        store = IdempotencyStore(db, **idempotency) if idempotency else None
        answer = store.reserve() if store else None
        if answer is not None:
            return Answer(answer, is_first=False)
        answer = make(db)
        if store:
            store.keep(answer)
    return Answer(answer, is_first=True)
