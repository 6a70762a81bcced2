"""Every query about published networks. Callers own the transaction; nothing here commits."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db.pages import Page
from shared.db.tables import ModelRow, ModelVersionRow
from shared.jobs.errors import ModelNotFound

LATEST = "latest"
NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class ModelStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def publish(self, name: str, **columns: Any) -> ModelVersionRow:
        """Add the next version of a model; concurrent publishers wait for one another."""
        self.db.execute(insert(ModelRow).values(name=name).on_conflict_do_nothing())
        self.db.execute(select(ModelRow).where(ModelRow.name == name).with_for_update())
        newest = select(func.max(ModelVersionRow.version)).where(ModelVersionRow.name == name)
        version = (self.db.scalars(newest).one() or 0) + 1
        row = ModelVersionRow(name=name, version=version, **columns)
        self.db.add(row)
        self.db.flush()
        return row

    def get(self, name: str, *, param: str | None = None) -> ModelRow:
        row = self.db.get(ModelRow, name)
        if row is None:
            raise ModelNotFound(name, param=param)
        return row

    def version(self, name: str, version: str = LATEST) -> ModelVersionRow:
        """A version by its number, or the newest."""
        query = select(ModelVersionRow).where(ModelVersionRow.name == name)
        if version != LATEST:
            number = int(version) if NUMBER.fullmatch(version) else 0
            query = query.where(ModelVersionRow.version == number)
        newest = query.order_by(ModelVersionRow.version.desc()).limit(1)
        row = self.db.scalars(newest).first()
        if row is None:
            raise ModelNotFound(name, None if version == LATEST else version)
        return row

    def versions(self, names: Sequence[str]) -> dict[str, list[ModelVersionRow]]:
        """Versions of each model, newest first."""
        query = select(ModelVersionRow).where(ModelVersionRow.name.in_(names))
        found: dict[str, list[ModelVersionRow]] = {name: [] for name in names}
        for row in self.db.scalars(query.order_by(ModelVersionRow.version.desc())):
            found[row.name].append(row)
        return found

    def page(self, after: str | None, limit: int) -> Page[ModelRow]:
        """Newest model first."""
        query = select(ModelRow).order_by(ModelRow.created_at.desc(), ModelRow.name.desc())
        if after is not None:
            mark = self.get(after, param="after")
            earlier = (ModelRow.created_at < mark.created_at) | (
                (ModelRow.created_at == mark.created_at) & (ModelRow.name < mark.name)
            )
            query = query.where(earlier)
        rows = self.db.scalars(query.limit(limit + 1)).all()
        return Page(rows[:limit], has_more=len(rows) > limit)
