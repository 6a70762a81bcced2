"""A transaction whose process froze: what it locked is given back in the time of a lease."""

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from shared.db import engine
from shared.db.engine import transaction
from tests.conftest import forget_settings
from tests.servers import libpq_url, wait_for


@pytest.mark.parametrize("goes_on", [True, False], ids=["with a statement", "with its commit"])
def test_a_process_that_froze_in_a_transaction_loses_its_locks_and_learns_that_it_was_cut(
    database_url: str, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    monkeypatch.setenv("UNROLL_LEASE_S", "0.5")
    monkeypatch.setattr(engine, "MIN_IDLE_S", 0.3)
    forget_settings()

    def may_lock() -> bool:
        with psycopg.connect(libpq_url(database_url)) as other:
            found = other.execute("SELECT pg_try_advisory_xact_lock(1)").fetchone()
            return found == (True,)

    def freeze() -> None:
        with transaction() as db:
            db.execute(text("SELECT pg_advisory_xact_lock(1)"))
            assert not may_lock()
            assert wait_for(may_lock, 10)
            if goes_on:
                db.execute(text("SELECT 1"))

    with pytest.raises(OperationalError):
        freeze()
    with transaction() as db:
        assert db.execute(text("SELECT 1")).scalar() == 1
