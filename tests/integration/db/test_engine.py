"""The one engine of a process; what a transaction locked is given back when its process froze."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from shared.db import engine
from shared.db.engine import get_engine, reset_engine, transaction
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


def test_threads_that_ask_first_at_once_get_the_same_engine(database_url: str) -> None:
    together = Barrier(2)

    def ask(_: int) -> Engine:
        together.wait()
        return get_engine()

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns as they do on a busy machine
    try:
        with ThreadPoolExecutor(2) as threads:
            for _ in range(30):
                reset_engine()
                one, other = threads.map(ask, range(2))
                assert one is other
    finally:
        sys.setswitchinterval(interval_s)
