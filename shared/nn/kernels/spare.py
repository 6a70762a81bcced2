"""Whether a core is to spare for a sequence that is alone, as whoever runs it says. Knows no kernel."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


@contextmanager
def second_core(is_there: bool) -> Iterator[None]:
    """Within, two threads may work on a sequence of this thread."""
    _here.has_second = is_there
    try:
        yield
    finally:
        _here.has_second = False


def has_second_core() -> bool:
    return getattr(_here, "has_second", False)
