"""Every query about datasets. Callers own the transaction; nothing here commits."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.data.encoding import Encoding
from shared.db.blobs import BlobStore
from shared.db.ids import new_id
from shared.db.narrowing import EVERYONES
from shared.db.pages import Page, newest_first
from shared.db.tables import DatasetRow, JobRow
from shared.db.viewer import BUILTIN, current_owner
from shared.jobs.errors import DatasetInUse, DatasetNotFound, NameTaken
from shared.jobs.resolve import DatasetFacts
from shared.jobs.states import FINAL


class DatasetStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def add(self, arrow: bytes | Iterable[bytes], **columns: Any) -> DatasetRow:
        """Store the normalised bytes, whole or in pieces, and the row that describes them.

        Raises:
            NameTaken: another dataset has the name.
        """
        blob = BlobStore(self.db).write([arrow] if isinstance(arrow, bytes) else arrow)
        values = {"id": new_id("ds"), "blob_id": blob.id, **columns}
        added = self.db.scalars(
            insert(DatasetRow)
            .values(values)
            .on_conflict_do_nothing(index_elements=["owner", "name"])
            .returning(DatasetRow)
        ).first()
        if added is None:
            raise name_taken(columns["name"])
        return added

    def find(self, name_or_id: str) -> DatasetRow | None:
        return self.db.scalars(_named(name_or_id)).first()

    def find_own(self, name: str) -> DatasetRow | None:
        """By name, among those of the owner of new rows."""
        query = select(DatasetRow).where(
            DatasetRow.name == name, DatasetRow.owner == current_owner()
        )
        return self.db.scalars(query).first()

    def same(self, digest: str, format_name: str, options: dict[str, Any]) -> DatasetRow | None:
        """The owner's newest upload of the same bytes, read with the same options."""
        query = select(DatasetRow).where(
            DatasetRow.owner == current_owner(),
            DatasetRow.source != BUILTIN,
            DatasetRow.sha256 == digest,
            DatasetRow.format == format_name,
            DatasetRow.options == options,
        )
        return self.db.scalars(query.order_by(DatasetRow.id.desc()).limit(1)).first()

    def queue_up(self, digest: str) -> None:
        """Wait for uploads of the same bytes; later ones wait until the transaction ends."""
        turn = func.hashtextextended(f"{current_owner()}/{digest}", 0)
        self.db.execute(select(func.pg_advisory_xact_lock(turn)))

    def get(self, name_or_id: str, *, param: str | None = None) -> DatasetRow:
        row = self.find(name_or_id)
        if row is None:
            raise DatasetNotFound(name_or_id, param=param)
        return row

    def lock(self, name_or_id: str) -> DatasetRow:
        """The dataset, once nobody holds it any more; nobody can hold it until we are done."""
        row = self.db.scalars(_named(name_or_id).with_for_update()).first()
        if row is None:
            raise DatasetNotFound(name_or_id)
        return row

    def hold(self, row: DatasetRow) -> None:
        """Keep the row from being deleted until the transaction ends.

        Raises:
            DatasetNotFound: it was deleted meanwhile.
        """
        query = select(DatasetRow.id).where(DatasetRow.id == row.id)
        if self.db.scalars(query.with_for_update(read=True, key_share=True)).first() is None:
            raise DatasetNotFound(row.name, param="dataset")

    def page(self, after: str | None, limit: int) -> Page[DatasetRow]:
        return newest_first(self.db, select(DatasetRow), DatasetRow.id, after, limit)

    def names(self) -> Sequence[str]:
        return self.db.scalars(select(DatasetRow.name).distinct().order_by(DatasetRow.name)).all()

    def read(self, row: DatasetRow) -> bytearray:
        return BlobStore(self.db).read_all(row.blob_id)

    def delete(self, name_or_id: str) -> DatasetRow:
        """Delete a dataset that no unfinished job needs.

        Raises:
            DatasetInUse: a job still needs it, or it is built in.
        """
        row = self.lock(name_or_id)  # so that a job submitted meanwhile is seen below
        if row.source == BUILTIN:
            raise DatasetInUse(f"{row.name!r} is built in and stays.")
        needs = select(JobRow.id).where(JobRow.dataset_id == row.id, JobRow.status.not_in(FINAL))
        job_id = self.db.scalars(needs.limit(1), execution_options=EVERYONES).first()
        if job_id is not None:
            raise DatasetInUse(f"Job {job_id} still needs {row.name!r}; cancel it first.")
        self.db.delete(row)
        self.db.flush()
        BlobStore(self.db).delete_if_unused([row.blob_id])
        return row


def _named(name_or_id: str) -> Select[DatasetRow]:
    """By id, else by name: one's own before the newest of others, which an administrator sees."""
    is_id, is_own = DatasetRow.id == name_or_id, DatasetRow.owner == current_owner()
    named = select(DatasetRow).where(or_(is_id, DatasetRow.name == name_or_id))
    return named.order_by(is_id.desc(), is_own.desc(), DatasetRow.id.desc()).limit(1)


def name_taken(name: str) -> NameTaken:
    return NameTaken(
        f"A dataset named {name!r} exists already; choose another name or delete that one first.",
        param="name",
    )


def facts_of(row: DatasetRow) -> DatasetFacts:
    """What the rules of jobs need to know of a dataset."""
    return DatasetFacts(
        id=row.id,
        name=row.name,
        encoding=Encoding.model_validate(row.encoding),
        splits=row.splits,
        num_elements=row.num_elements,
    )
