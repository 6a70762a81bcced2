"""POSTs that create, sent again: the same key and body give the first answer. Knows no noun."""

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, Header, Request

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


def once(idempotency: dict[str, str] | None, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` makes, as JSON, or the first answer to the same Idempotency-Key.

    Raises:
        IdempotencyMismatch: the key came with another body before.
    """
    if idempotency is None:
        return make()
    with transaction() as db:
        store = IdempotencyStore(db, **idempotency)
        answer = store.reserve()
        if answer is None:
            answer = make()
            store.keep(answer)
        return answer
