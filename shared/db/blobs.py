"""Bytes of any size as rows of chunks, hashed while they pass; memory stays at one chunk."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Delete, delete, exists, insert, select, text, tuple_, update
from sqlalchemy.orm import Session

from shared.db.ids import new_id
from shared.db.tables import BlobChunkRow, BlobRow, CheckpointRow, DatasetRow, ModelVersionRow
from shared.jobs.errors import CorruptBlob

CHUNK_BYTES = 2**20  # measured: 1 MiB chunks write and read fastest
OWNERS = (DatasetRow.blob_id, CheckpointRow.blob_id, ModelVersionRow.blob_id)
READ = "SELECT data FROM blob_chunks WHERE blob_id = %s AND number = %s"
BATCH_CHUNKS = 64  # that one transaction collects
ORPHAN_AGE = "1 hour"  # a blob is written before the row that names it


class BlobStore:
    def __init__(self, db: Session) -> None:
        self.db = db

    def write(self, pieces: Iterable[bytes | memoryview]) -> BlobRow:
        """Store what the pieces hold, in order."""
        blob = BlobRow(id=new_id("blob"), bytes=0, sha256="")
        self.db.add(blob)
        self.db.flush()
        digest, size = sha256(), 0
        for number, chunk in enumerate(rechunk(pieces, CHUNK_BYTES)):
            digest.update(chunk)
            size += len(chunk)
            row = {"blob_id": blob.id, "number": number, "data": chunk}
            self.db.execute(insert(BlobChunkRow).values(row))
        sizes = {"bytes": size, "sha256": digest.hexdigest()}
        self.db.execute(update(BlobRow).where(BlobRow.id == blob.id).values(sizes))
        self.db.refresh(blob)
        return blob

    def get(self, blob_id: str) -> BlobRow:
        return self.db.get_one(BlobRow, blob_id)

    def read(self, blob_id: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes [start, stop), chunk by chunk; the caller checks the hash of a whole read."""
        stop = self.get(blob_id).bytes if stop is None else stop
        for number in range(start // CHUNK_BYTES, -(-stop // CHUNK_BYTES)):
            data, offset = self._chunk(blob_id, number), number * CHUNK_BYTES
            if len(data) < min(CHUNK_BYTES, stop - offset):
                raise CorruptBlob(f"Chunk {number} of blob {blob_id} is cut short.")
            yield data[max(0, start - offset) : stop - offset]

    def _chunk(self, blob_id: str, number: int) -> bytes:
        # past SQLAlchemy, which asks for text: bytes as hexadecimal digits, at a fifth of the speed
        driver: Any = self.db.connection().connection.driver_connection
        with driver.cursor(binary=True) as cursor:
            row = cursor.execute(READ, (blob_id, number)).fetchone()
        if row is None:
            raise CorruptBlob(f"Chunk {number} of blob {blob_id} is missing.")
        data: bytes = row[0]
        return data

    def read_checked(self, blob_id: str) -> Iterator[bytes]:
        """All bytes, chunk by chunk; believe none before the last has come.

        Raises:
            CorruptBlob: when a chunk is missing, or at the end when the hash differs.
        """
        blob, digest = self.get(blob_id), sha256()
        for chunk in self.read(blob_id):
            digest.update(chunk)
            yield chunk
        check_hash(blob, digest.hexdigest())

    def read_all(self, blob_id: str) -> bytearray:
        """All bytes at once, checked against their hash.

        Raises:
            CorruptBlob: when a chunk is missing or the hash differs.
        """
        data = bytearray()
        for chunk in self.read_checked(blob_id):
            data += chunk
        return data

    def delete_if_unused(self, blob_ids: Iterable[str]) -> None:
        """Delete those that no dataset, checkpoint or model names any more."""
        unused = [BlobRow.id.in_(list(blob_ids)), *_unowned()]
        self.db.execute(delete(BlobRow).where(*unused))

    def delete_orphans(self, max_chunks: int = BATCH_CHUNKS) -> int:
        """Collect some of what a writer left that ended before its row was committed.

        Returns the chunks and blobs deleted, at most about `max_chunks`; 0 = nothing is left. A
        large blob loses its chunks in several calls, each in a transaction of its own, so that none
        lasts long; nobody reads it any more.
        """
        old = BlobRow.created_at < text(f"now() - interval '{ORPHAN_AGE}'")
        orphans = select(BlobRow.id).where(old, *_unowned()).order_by(BlobRow.created_at)
        ids = self.db.scalars(orphans.limit(max_chunks).with_for_update(skip_locked=True)).all()
        chunk = tuple_(BlobChunkRow.blob_id, BlobChunkRow.number)
        some = (
            select(BlobChunkRow.blob_id, BlobChunkRow.number)
            .where(BlobChunkRow.blob_id.in_(ids))
            .limit(max_chunks)
        )
        num_chunks = self._count(delete(BlobChunkRow).where(chunk.in_(some)))
        is_empty = ~exists().where(BlobChunkRow.blob_id == BlobRow.id)
        return num_chunks + self._count(delete(BlobRow).where(BlobRow.id.in_(ids), is_empty))

    def _count(self, statement: Delete) -> int:
        result: Any = self.db.execute(statement, execution_options={"synchronize_session": False})
        return int(result.rowcount)


def check_hash(blob: BlobRow, found: str) -> None:
    """Raise `CorruptBlob` unless the bytes read have the hash of those written."""
    if found != blob.sha256:
        raise CorruptBlob(f"Blob {blob.id} does not have the sha256 it was stored with.")


def _unowned() -> list[ColumnElement[bool]]:
    return [~exists().where(column == BlobRow.id) for column in OWNERS]


def rechunk(pieces: Iterable[bytes | memoryview], size: int) -> Iterator[bytes]:
    """The same bytes in chunks of `size`, the last one shorter."""
    pending = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        while view:
            room = size - len(pending)
            pending += view[:room]
            view = view[room:]
            if len(pending) == size:
                yield bytes(pending)
                pending.clear()
    if pending:
        yield bytes(pending)
