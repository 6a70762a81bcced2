"""The one engine of a process."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sqlalchemy import Engine

from shared.db.engine import get_engine, reset_engine


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
