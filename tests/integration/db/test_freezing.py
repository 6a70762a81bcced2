"""A worker whose process froze in a transaction: its job is free again in the time of a lease."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from shared.db import leases
from shared.db.engine import transaction
from shared.db.leases import LeaseStore
from tests.conftest import forget_settings
from tests.integration.db.conftest import Enqueue
from tests.integration.seeding import claimed
from tests.servers import wait_for

FREE = "SELECT count(*) FROM (SELECT 1 FROM jobs FOR UPDATE SKIP LOCKED) AS free"
HOLDERS: dict[str, Callable[[LeaseStore, str], object]] = {
    "claim": lambda store, _: store.claim("frozen", "cpu", 30),
    "renew": lambda store, job_id: store.renew(job_id, 1, 30),
    "write": lambda store, job_id: store.owned(job_id, 1),
}


def is_free() -> bool:
    with transaction() as db:
        return db.execute(text(FREE)).scalar() == 1


def go_on(db: Session) -> None:
    db.execute(text("SELECT 1"))


@pytest.mark.parametrize("act", [go_on, lambda _: None], ids=["statement", "commit"])
@pytest.mark.parametrize("holder", HOLDERS)
def test_a_process_that_froze_loses_its_job_and_learns_that_it_was_cut(
    enqueue: Enqueue,
    monkeypatch: pytest.MonkeyPatch,
    holder: str,
    act: Callable[[Session], None],
) -> None:
    [job_id] = enqueue(1)
    if holder != "claim":
        claimed()
    monkeypatch.setenv("UNROLL_LEASE_S", "0.5")
    monkeypatch.setattr(leases, "MIN_IDLE_S", 0.5)
    forget_settings()

    def freeze() -> None:
        with transaction() as db:
            go_on(db)
            assert is_free()  # so that there is a second connection, and looking takes no time
            HOLDERS[holder](LeaseStore(db), job_id)
            assert not is_free()
            assert wait_for(is_free)
            act(db)

    with pytest.raises(OperationalError):
        freeze()
    assert is_free()


def test_whoever_holds_no_job_may_think_for_longer(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNROLL_LEASE_S", "0.5")
    forget_settings()

    with transaction() as db:
        limit = db.execute(text("SHOW idle_in_transaction_session_timeout")).scalar()

    assert limit == "1min"
