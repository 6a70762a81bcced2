"""Every query about API keys and logins. Callers own the transaction; no secret is ever stored.

A secret has 256 random bits, so its plain sha256 can be stored: there is nothing to guess from, and
slow or salted hashes, which protect what people choose, would only slow every request down.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from shared.db.ids import new_id
from shared.db.pages import Page, newest_first
from shared.db.tables import ApiKeyRow, LoginRow
from shared.jobs.errors import KeyNotFound
from shared.scopes import Scope

SECRET_BYTES = 32
MARK = "unroll_"  # lets people and scanners tell what they have found
PREFIX_LENGTH = len(MARK) + 6  # 36 of 256 bits: enough to tell keys apart, too few to help a guess
USE_IS_NOTED_EVERY = "1 minute"


def new_secret() -> str:
    return MARK + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


class KeyStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def create(
        self, name: str, scopes: Iterable[Scope], expires_at: datetime | None = None
    ) -> tuple[ApiKeyRow, str]:
        """The new key and its secret, which is nowhere else."""
        secret = new_secret()
        row = ApiKeyRow(
            id=new_id("key"),
            name=name,
            prefix=secret[:PREFIX_LENGTH],
            sha256=digest_of(secret),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
        )
        self.db.add(row)
        self.db.flush()
        self.db.refresh(row)
        return row, secret

    def page(self, after: str | None, limit: int) -> Page[ApiKeyRow]:
        return newest_first(self.db, select(ApiKeyRow), ApiKeyRow.id, after, limit)

    def get(self, key_id: str) -> ApiKeyRow:
        row = self.find_id(key_id)
        if row is None:
            raise KeyNotFound(key_id)
        return row

    def revoke(self, key_id: str) -> ApiKeyRow:
        """End a key for good, with its logins; it stays listed. A second time changes nothing."""
        row = self.get(key_id)
        row.revoked_at = row.revoked_at or func.now()
        self.db.execute(delete(LoginRow).where(LoginRow.key_id == key_id))
        self.db.flush()
        self.db.refresh(row)
        return row

    def exist(self) -> bool:
        """Whether there ever was a key; revoked ones count, so that nothing falls open again."""
        return self.db.scalars(select(ApiKeyRow.id).limit(1)).first() is not None

    def find(self, digest: str) -> ApiKeyRow | None:
        """The key whose secret has this digest, also when it has ended."""
        return self.db.scalars(select(ApiKeyRow).where(ApiKeyRow.sha256 == digest)).first()

    def find_id(self, key_id: str) -> ApiKeyRow | None:
        return self.db.get(ApiKeyRow, key_id)

    def note_use(self, key_id: str) -> None:
        """Write down that the key is in use, at most once a minute."""
        is_due = or_(
            ApiKeyRow.last_used_at.is_(None),
            ApiKeyRow.last_used_at < text(f"now() - interval '{USE_IS_NOTED_EVERY}'"),
        )
        used = update(ApiKeyRow).where(ApiKeyRow.id == key_id, is_due)
        self.db.execute(used.values(last_used_at=func.now()))

    def add_login(self, key_id: str, digest: str, ends_at: datetime) -> None:
        self.db.add(LoginRow(sha256=digest, key_id=key_id, ends_at=ends_at))

    def key_of_login(self, digest: str) -> str | None:
        """The id of the key that somebody logged in with; None once the login has ended."""
        mine = (LoginRow.sha256 == digest) & (LoginRow.ends_at > func.now())
        return self.db.scalars(select(LoginRow.key_id).where(mine)).first()

    def end_login(self, digest: str) -> None:
        self.db.execute(delete(LoginRow).where(LoginRow.sha256 == digest))


def forget_old_logins(db: Session) -> None:
    db.execute(delete(LoginRow).where(LoginRow.ends_at < func.now()))
