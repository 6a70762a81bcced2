"""Every query about published networks. Callers own the transaction; nothing here commits."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db.pages import Page
from shared.db.tables import JobRow, ModelRow, ModelVersionRow
from shared.db.viewer import current_owner
from shared.jobs.errors import ModelNotFound

LATEST = "latest"
NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class ModelStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def publish(self, name: str, **columns: Any) -> ModelVersionRow:
        """Add the next version of a model of the job's owner; concurrent publishers wait."""
        key = {"owner": self._owner_of(columns.get("job_id")), "name": name}
        self.db.execute(insert(ModelRow).values(key).on_conflict_do_nothing())
        self.db.execute(select(ModelRow).filter_by(**key).with_for_update())
        newest = select(func.max(ModelVersionRow.version)).filter_by(**key)
        version = (self.db.scalars(newest).one() or 0) + 1
        row = ModelVersionRow(**key, version=version, **columns)
        self.db.add(row)
        self.db.flush()
        return row

    def find(self, name: str) -> ModelRow | None:
        """One's own before the newest of others, which an administrator sees."""
        named = select(ModelRow).where(ModelRow.name == name)
        is_own = ModelRow.owner == current_owner()
        return self.db.scalars(
            named.order_by(is_own.desc(), ModelRow.created_at.desc()).limit(1)
        ).first()

    def get(self, name: str, *, param: str | None = None) -> ModelRow:
        row = self.find(name)
        if row is None:
            raise ModelNotFound(name, param=param)
        return row

    def version(self, name: str, version: str = LATEST) -> ModelVersionRow:
        """A version by its number, or the newest."""
        model = self.find(name)
        query = select(ModelVersionRow).filter_by(owner=model.owner if model else None, name=name)
        if version != LATEST:
            number = int(version) if NUMBER.fullmatch(version) else 0
            query = query.where(ModelVersionRow.version == number)
        newest = query.order_by(ModelVersionRow.version.desc()).limit(1)
        row = self.db.scalars(newest).first()
        if row is None:
            raise ModelNotFound(name, None if version == LATEST else version)
        return row

    def versions(self, models: Sequence[ModelRow]) -> list[list[ModelVersionRow]]:
        """Versions of each model, newest first."""
        keys = [(model.owner, model.name) for model in models]
        of_models = tuple_(ModelVersionRow.owner, ModelVersionRow.name).in_(keys)
        query = select(ModelVersionRow).where(of_models)
        found: dict[tuple[str, str], list[ModelVersionRow]] = {key: [] for key in keys}
        for row in self.db.scalars(query.order_by(ModelVersionRow.version.desc())):
            found[row.owner, row.name].append(row)
        return list(found.values())

    def page(self, after: str | None, limit: int) -> Page[ModelRow]:
        """Newest model first."""
        query = select(ModelRow).order_by(*(column.desc() for column in ORDER))
        if after is not None:
            mark = self.get(after, param="after")
            query = query.where(tuple_(*ORDER) < (mark.created_at, mark.name, mark.owner))
        rows = self.db.scalars(query.limit(limit + 1)).all()
        return Page(rows[:limit], has_more=len(rows) > limit)

    def _owner_of(self, job_id: str | None) -> str:
        job = self.db.get(JobRow, job_id) if job_id else None
        return job.owner if job else current_owner()


ORDER = (ModelRow.created_at, ModelRow.name, ModelRow.owner)
