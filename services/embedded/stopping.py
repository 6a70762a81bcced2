"""How the signals that ask a supervisor to stop reach its main thread; knows no process."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """Raised in the main thread by the first stop signal; like `KeyboardInterrupt`, not an error."""


class StopSignals:
    """The first signal raises `StopRequested`; once stopping, each further one calls `hurry`."""

    def __init__(self, hurry: Callable[[], None]) -> None:
        self._hurry = hurry
        self.stopping = False  # set it before cleaning up, which must not be interrupted

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Receive the signals within the block; one that our starter ignores (nohup) stays so."""
        previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        heard = [number for number in STOP_SIGNALS if previous[number] != signal.SIG_IGN]
        for number in heard:
            signal.signal(number, self._receive)
        try:
            yield
        finally:
            for number in heard:
                signal.signal(number, previous[number])

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            self._hurry()
            return
        self.stopping = True
        raise StopRequested
