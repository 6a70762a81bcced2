"""Every query about shared random keys. Callers own the transaction; nothing here commits."""

from secrets import token_bytes

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db.tables import SecretRow

NUM_BYTES = 32


class SecretStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def get_or_make(self, name: str) -> bytes:
        """The key of this name; of several that ask first at once, all get the same."""
        row = {"name": name, "value": token_bytes(NUM_BYTES)}
        self.db.execute(insert(SecretRow).values(row).on_conflict_do_nothing())
        return self.db.scalars(select(SecretRow.value).filter_by(name=name)).one()
