"""The first answers to creating requests, by Idempotency-Key. Callers own the transaction."""

from typing import Any

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db.tables import IdempotencyRow
from shared.jobs.errors import IdempotencyMismatch

KEPT = "24 hours"


class IdempotencyStore:
    def __init__(self, db: Session, owner: str, route: str, key: str, body_sha256: str) -> None:
        self.db = db
        self.identity = {"owner": owner, "route": route, "key": key}
        self.body_sha256 = body_sha256

    def reserve(self) -> dict[str, Any] | None:
        """The first answer if there was one; else the key is ours until the transaction ends.

        A second request with the same key waits here for the first one's transaction.

        Raises:
            IdempotencyMismatch: the key came with another body before.
        """
        row = {**self.identity, "body_sha256": self.body_sha256, "answer": {}}
        added = self.db.execute(
            insert(IdempotencyRow)
            .values(row)
            .on_conflict_do_nothing()
            .returning(IdempotencyRow.key)
        ).first()
        if added is not None:
            return None
        return self._answer_of(self.db.get_one(IdempotencyRow, self.identity))

    def _answer_of(self, found: IdempotencyRow) -> dict[str, Any]:
        if found.body_sha256 != self.body_sha256:
            raise IdempotencyMismatch
        return found.answer

    def find(self) -> dict[str, Any] | None:
        """The first answer, if there was one; waits for nobody.

        Raises:
            IdempotencyMismatch: the key came with another body before.
        """
        found = self.db.get(IdempotencyRow, self.identity)
        return None if found is None else self._answer_of(found)

    def keep(self, answer: dict[str, Any]) -> None:
        self.db.get_one(IdempotencyRow, self.identity).answer = answer


def forget_old_keys(db: Session) -> None:
    old = text(f"created_at < now() - interval '{KEPT}'")
    db.execute(delete(IdempotencyRow).where(old))
