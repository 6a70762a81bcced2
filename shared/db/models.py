"""Every query about published networks. Callers own the transaction; nothing here commits."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.db.blobs import BlobStore
from shared.db.pages import Page
from shared.db.tables import JobRow, ModelAliasRow, ModelRow, ModelVersionRow
from shared.db.viewer import current_owner
from shared.jobs.errors import AliasNotFound, FailedChecks, ModelNotFound, VersionInUse

LATEST = "latest"
PENDING, FAILED = "pending", "failed"
"""States of a version's checks: still to be made, and the reason why it is not served."""
ALIAS = r"^[A-Za-z][A-Za-z0-9._-]{0,63}$"
NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class ModelStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def publish(self, name: str, **columns: Any) -> ModelVersionRow:
        """Add the next version of a model of the job's owner; concurrent publishers wait."""
        key = {"owner": self._owner_of(columns.get("job_id")), "name": name}
        added = insert(ModelRow).values(key)  # or locked: the update changes nothing
        self.db.execute(added.on_conflict_do_update(index_elements=list(key), set_={"name": name}))
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
        """A version by its number or alias, or the newest of those that did not fail their checks.

        Where all failed it is the newest one of them, for the reader to be told so.
        """
        model = self.find(name)
        query = select(ModelVersionRow).filter_by(owner=model.owner if model else None, name=name)
        if version != LATEST:
            query = query.where(ModelVersionRow.version == _number(version))
        row = self.db.scalars(
            query.order_by(HAS_FAILED, ModelVersionRow.version.desc()).limit(1)
        ).first()
        if row is None:
            raise ModelNotFound(name, None if version == LATEST else version)
        return row

    def note_checks(self, row: ModelVersionRow, checks: dict[str, Any]) -> None:
        """Write down what the checks of a version found; one that is deleted meanwhile stays so."""
        self.db.execute(
            update(ModelVersionRow)
            .filter_by(owner=row.owner, name=row.name, version=row.version)
            .values(checks=checks)
        )

    def pending(self, limit: int, but: Collection[str] = ()) -> Sequence[ModelVersionRow]:
        """Versions whose checks are still to be made, oldest first, but those of some blobs."""
        status = ModelVersionRow.checks["status"].astext
        query = select(ModelVersionRow).where(
            status == PENDING, ModelVersionRow.blob_id.not_in(but)
        )
        return self.db.scalars(query.order_by(ModelVersionRow.created_at).limit(limit)).all()

    def delete_version(self, name: str, version: int) -> None:
        """Delete a version, and with its last one the model.

        Raises:
            VersionInUse: an alias points to it.
        """
        row = self._locked(name, version)
        pointing = [a.alias for a in self.aliases([row]) if a.version == row.version]
        if pointing:
            raise VersionInUse(
                f"Aliases of model {name!r} point to version {version} "
                f"({', '.join(pointing)}); move or delete them first."
            )
        self.db.delete(row)
        self.db.flush()
        BlobStore(self.db).delete_if_unused([row.blob_id])
        others = exists().where(
            ModelVersionRow.owner == row.owner, ModelVersionRow.name == row.name
        )
        self.db.execute(delete(ModelRow).filter_by(owner=row.owner, name=row.name).where(~others))

    def set_alias(self, name: str, alias: str, version: int) -> ModelAliasRow:
        """Point an alias to a version, at once for everybody who asks from now on.

        Raises:
            FailedChecks: the version is not served.
        """
        row = self._locked(name, version, param="version")
        if row.checks.get("status") == FAILED:
            raise FailedChecks(name, version, row.checks["reason"])
        key = {"owner": row.owner, "name": name, "alias": alias}
        values = {"version": version, "updated_at": func.now()}
        added = insert(ModelAliasRow).values({**key, **values})
        self.db.execute(added.on_conflict_do_update(index_elements=list(key), set_=values))
        return self.db.get_one(ModelAliasRow, key, populate_existing=True)

    def delete_alias(self, name: str, alias: str) -> None:
        model = self.get(name)
        found = self.db.get(ModelAliasRow, (model.owner, name, alias))
        if found is None:
            raise AliasNotFound(name, alias)
        self.db.delete(found)

    def aliases(self, models: Sequence[ModelRow | ModelVersionRow]) -> Sequence[ModelAliasRow]:
        """Those of all these models, by name."""
        of_models = tuple_(ModelAliasRow.owner, ModelAliasRow.name).in_(
            [(model.owner, model.name) for model in models]
        )
        query = select(ModelAliasRow).where(of_models).order_by(ModelAliasRow.alias)
        return self.db.scalars(query).all()

    def _locked(self, name: str, version: int, param: str | None = None) -> ModelVersionRow:
        """The version, its model held against every other writer until the transaction ends."""
        model = self.get(name)
        key = {"owner": model.owner, "name": name}
        self.db.execute(select(ModelRow).filter_by(**key).with_for_update())
        row = self.db.get(ModelVersionRow, (model.owner, name, version), populate_existing=True)
        if row is None:
            raise ModelNotFound(name, str(version), param=param)
        return row

    def of_job(self, job_id: str) -> ModelVersionRow | None:
        """Any version that the job published."""
        query = select(ModelVersionRow).where(ModelVersionRow.job_id == job_id)
        return self.db.scalars(query.limit(1)).first()

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
HAS_FAILED = func.coalesce(ModelVersionRow.checks["status"].as_string(), "") == FAILED


def _number(version: str) -> ColumnElement[int]:
    """The number of a version that is named by its number or by an alias of its model."""
    if NUMBER.fullmatch(version):
        return literal(int(version))
    if not re.fullmatch(ALIAS, version):
        return literal(0)
    return (
        select(ModelAliasRow.version)
        .where(
            ModelAliasRow.owner == ModelVersionRow.owner,
            ModelAliasRow.name == ModelVersionRow.name,
            ModelAliasRow.alias == version,
        )
        .correlate(ModelVersionRow)
        .scalar_subquery()
    )
