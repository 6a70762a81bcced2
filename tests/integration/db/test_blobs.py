"""Bytes in chunks: round trips, ranges, damage, orphans."""

import random
from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.embedded.servers import Servers
from shared.db.blobs import CHUNK_BYTES, BlobStore, rechunk
from shared.db.engine import transaction
from shared.db.leases import LeaseStore
from shared.jobs.errors import CorruptBlob
from shared.sweeper import collect_orphans
from tests.integration.seeding import count_rows, execute, seeded_servers

DATA = random.Random(1).randbytes(5 * 2**20 + 12_345)


@pytest.fixture(scope="module")
def stored(seeded_template: Servers) -> Iterator[str]:
    """The id of a blob of five chunks and a piece."""
    with seeded_servers(seeded_template):
        yield write(DATA)


def write(data: bytes, piece_bytes: int = 10**9) -> str:
    with transaction() as db:
        return BlobStore(db).write(pieces(data, piece_bytes)).id


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def read(blob_id: str, start: int = 0, stop: int | None = None) -> bytes:
    with transaction() as db:
        return b"".join(BlobStore(db).read(blob_id, start, stop))


def test_five_megabytes_come_back_as_they_went_in(stored: str) -> None:
    with transaction() as db:
        blob = BlobStore(db).get(stored)
        data = BlobStore(db).read_all(stored)

    assert data == DATA == read(stored)
    assert (blob.bytes, blob.sha256) == (len(DATA), sha256(DATA).hexdigest())


def test_memory_stays_at_one_chunk(stored: str) -> None:
    with transaction() as db:
        sizes = [len(chunk) for chunk in BlobStore(db).read(stored)]

    assert sizes == [CHUNK_BYTES] * 5 + [12_345]


PLACES = st.integers(0, len(DATA)) | st.sampled_from(
    [n * CHUNK_BYTES + d for n in range(1, 6) for d in (-1, 0, 1)]
)


@given(PLACES, PLACES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_range_is_that_slice(stored: str, one: int, other: int) -> None:
    start, stop = sorted((one, other))

    assert read(stored, start, stop) == DATA[start:stop]


@given(st.lists(st.binary(max_size=50)), st.integers(1, 17))
def test_chunks_hold_the_same_bytes_in_equal_sizes(parts: list[bytes], size: int) -> None:
    chunks = list(rechunk(parts, size))

    assert b"".join(chunks) == b"".join(parts)
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= size for chunk in chunks)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_any_size_makes_the_round_trip(seeded: None, size: int) -> None:
    blob_id = write(DATA[:size], piece_bytes=300_000)

    with transaction() as db:
        assert BlobStore(db).read_all(blob_id) == DATA[:size]
    assert count_rows()["blob_chunks"] == 3 + -(-size // CHUNK_BYTES)


DAMAGE = {
    "a bit flipped": "UPDATE blob_chunks SET data = set_bit(data, 77, 1 - get_bit(data, 77))"
    " WHERE blob_id = :id AND number = 1",
    "a chunk gone": "DELETE FROM blob_chunks WHERE blob_id = :id AND number = 1",
    "the last chunk gone": "DELETE FROM blob_chunks WHERE blob_id = :id AND number = 2",
    "a chunk cut short": "UPDATE blob_chunks SET data = substring(data, 1, 9)"
    " WHERE blob_id = :id AND number = 1",
    "two chunks exchanged": "UPDATE blob_chunks SET number = CASE number WHEN 0 THEN 11 ELSE 10 END"
    " WHERE blob_id = :id AND number < 2",
    "another hash": "UPDATE blobs SET sha256 = repeat('0', 64) WHERE id = :id",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_noticed(seeded: None, damage: str) -> None:
    blob_id = write(DATA[: 2 * CHUNK_BYTES + 5])
    execute(damage, id=blob_id)
    execute("UPDATE blob_chunks SET number = number - 10 WHERE number >= 10")

    with transaction() as db, pytest.raises(CorruptBlob, match=blob_id):
        BlobStore(db).read_all(blob_id)


def test_a_write_that_is_interrupted_leaves_nothing(seeded: None) -> None:
    before = count_rows()

    def broken() -> Iterator[bytes]:
        yield DATA[: 2 * CHUNK_BYTES]
        raise RuntimeError("the sender went away")

    with pytest.raises(RuntimeError, match="went away"), transaction() as db:
        BlobStore(db).write(broken())
    assert count_rows() == before


def test_orphans_are_collected_once_they_are_old(seeded: None) -> None:
    before = count_rows()
    old, fresh = write(b"old"), write(b"fresh")
    execute("UPDATE blobs SET created_at = now() - interval '2 hours'")
    execute("UPDATE blobs SET created_at = now() WHERE id = :id", id=fresh)
    with transaction() as db:
        assert BlobStore(db).delete_orphans() == 2  # its chunk and itself

    assert read(fresh) == b"fresh"
    with transaction() as db:
        BlobStore(db).delete_if_unused([old, fresh])
    assert count_rows() == before


def test_a_large_orphan_is_collected_in_bounded_batches(seeded: None) -> None:
    before = count_rows()
    large, small = write(DATA), write(b"small")
    execute("UPDATE blobs SET created_at = now() - interval '2 hours'")
    batches = []
    while not batches or batches[-1]:
        with transaction() as db:
            batches.append(BlobStore(db).delete_orphans(max_chunks=3))

    assert sum(batches) == 6 + 1 + 2  # chunks of both, and both
    assert max(batches) <= 3 + 2
    assert len(batches) >= 4
    assert count_rows() == before
    assert large != small


def test_a_sweep_collects_what_nothing_names_and_leaves_what_something_does(seeded: None) -> None:
    before = count_rows()
    write(DATA)
    execute("UPDATE blobs SET created_at = now() - interval '2 hours'")
    collect_orphans()

    assert count_rows() == before


def test_only_one_process_collects_at_a_time(seeded: None) -> None:
    write(b"orphan")
    execute("UPDATE blobs SET created_at = now() - interval '2 hours'")
    before = count_rows()
    with transaction() as db:
        assert LeaseStore(db).try_sweep_lock()
        collect_orphans()

        assert count_rows() == before
