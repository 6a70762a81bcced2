"""The connection to Postgres and the one way to open a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from shared.config import get_settings
from shared.db.narrowing import narrow

event.listen(Session, "do_orm_execute", narrow)
OPTIONS = "-c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000"


@lru_cache
def get_engine() -> Engine:
    """The process's engine. A forked child must call `reset_engine` before its first query."""
    return create_engine(
        get_settings().database_url.get_secret_value(),
        hide_parameters=True,  # an error's text goes to the log, what people send does not
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
        pool_timeout=10,
        connect_args={"connect_timeout": 5, "options": OPTIONS, "application_name": "unroll"},
    )


def reset_engine(*, close: bool = True) -> None:
    """Forget the engine; `close=False` in a forked child, whose connections belong to the parent."""
    if get_engine.cache_info().currsize:
        get_engine().dispose(close=close)
    get_engine.cache_clear()


@contextmanager
def transaction() -> Iterator[Session]:
    """One transaction: committed when the block ends, rolled back when it raises."""
    with Session(get_engine(), expire_on_commit=False) as db, db.begin():
        yield db
