"""One piece of work at a time in a thread behind training; knows nothing of what the work is."""

import threading
from collections.abc import Callable
from contextvars import copy_context


class Behind:
    """An error of the work is raised where training next asks, never lost."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Begin once what was begun before has ended; raise what that raised."""
        self.wait()
        context = copy_context()  # so that its log lines carry the same ids
        self._thread = threading.Thread(
            target=context.run, args=(self._run, work), name="behind", daemon=True
        )
        self._thread.start()

    def is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def check(self) -> None:
        """Raise what the work raised, without waiting for its end."""
        if self._error is not None:
            self.wait()

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._error = error
