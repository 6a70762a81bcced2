"""The connection to Postgres and the one way to open a transaction."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import psycopg
from psycopg.errors import IdleInTransactionSessionTimeout
from sqlalchemy import Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from shared.config import get_settings
from shared.db.narrowing import narrow

event.listen(Session, "do_orm_execute", narrow)
OPTIONS = "-c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000"
_making = threading.Lock()


def _translate(context: ExceptionContext) -> None:
    if isinstance(context.original_exception, IdleInTransactionSessionTimeout):
        raise _as_ours(context.original_exception)


def _as_ours(error: psycopg.Error) -> BaseException:
    """The driver's error in the library's classes, which all callers know.

    A connection that the server cut is one that is away; the driver calls it a fault inside.
    """
    if isinstance(error, IdleInTransactionSessionTimeout):
        return OperationalError(None, None, error, hide_parameters=True)
    return DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True)


def get_engine() -> Engine:
    """The process's engine. A forked child must call `reset_engine` before its first query."""
    if _engine.cache_info().currsize:
        return _engine()
    with _making:  # else threads that ask first at once make one each, and all but one leak
        return _engine()


@lru_cache
def _engine() -> Engine:
    engine = create_engine(
        get_settings().database_url.get_secret_value(),
        hide_parameters=True,  # an error's text goes to the log, what people send does not
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
        pool_timeout=10,
        connect_args={"connect_timeout": 5, "options": OPTIONS, "application_name": "unroll"},
    )
    event.listen(engine, "handle_error", _translate)
    return engine


def reset_engine(*, close: bool = True) -> None:
    """Forget the engine; `close=False` in a forked child, whose connections belong to the parent."""
    if _engine.cache_info().currsize:
        _engine().dispose(close=close)
    _engine.cache_clear()


@contextmanager
def transaction() -> Iterator[Session]:
    """One transaction: committed when the block ends, rolled back when it raises."""
    try:
        with Session(get_engine(), expire_on_commit=False) as db, db.begin():
            yield db
    except psycopg.Error as error:
        raise _as_ours(error) from error  # of COPY and binary reads, which pass the library by
