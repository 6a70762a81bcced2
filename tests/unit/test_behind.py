"""Work behind training: one piece at a time, in the same context, no error lost."""

import threading
from contextvars import ContextVar

import pytest

from workers.behind import Behind

VARIABLE: ContextVar[str] = ContextVar("variable", default="none")


def test_it_runs_beside_its_caller_one_piece_at_a_time() -> None:
    behind, go_on, order = Behind(), threading.Event(), []

    def first() -> None:
        assert go_on.wait(60)
        order.append("first")

    behind.start(first)
    assert behind.is_busy()
    go_on.set()
    behind.start(lambda: order.append("second"))
    behind.wait()

    assert order == ["first", "second"]
    assert not behind.is_busy()


def test_an_error_is_raised_once_where_its_caller_next_asks() -> None:
    behind = Behind()
    for ask in (behind.wait, behind.check, lambda: behind.start(lambda: None)):
        ended = threading.Event()

        def fail(ended: threading.Event = ended) -> None:
            ended.set()
            raise LookupError("lost")

        behind.start(fail)
        assert ended.wait(60)
        behind._thread.join()  # type: ignore[union-attr]

        with pytest.raises(LookupError, match="lost"):
            ask()
        behind.wait()


def test_nothing_begun_is_nothing_to_wait_for() -> None:
    behind = Behind()
    behind.check()
    behind.wait()

    assert not behind.is_busy()


def test_it_sees_the_context_of_its_caller() -> None:
    behind, seen = Behind(), []
    token = VARIABLE.set("mine")
    behind.start(lambda: seen.append(VARIABLE.get()))
    VARIABLE.reset(token)
    behind.wait()

    assert seen == ["mine"]
