"""How often a process that ended may be started again; time comes in as a parameter."""

from collections import deque

LIMIT = 5  # restarts within the window; the death after that is the last
WINDOW_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0


class Restarts:
    """The recent restarts of one process."""

    def __init__(self) -> None:
        self._deaths: deque[float] = deque()

    def pause_s(self, now_s: float) -> float | None:
        """Note a death: seconds to wait before the restart, doubling each time; None = give up."""
        while self._deaths and self._deaths[0] <= now_s - WINDOW_S:
            self._deaths.popleft()
        self._deaths.append(now_s)
        if len(self._deaths) > LIMIT:
            return None
        doubled: float = FIRST_PAUSE_S * 2 ** (len(self._deaths) - 1)
        return min(doubled, LONGEST_PAUSE_S)
