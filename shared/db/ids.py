"""Ids that sort by the time they were made: a prefix, 48 bits of milliseconds, 80 random bits."""

import secrets
import threading
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_LENGTH = 26
_MAX_STEP_BITS = 40  # too many to guess, too few to reach into the milliseconds


class _Clock:
    """Numbers that grow with time, also within a millisecond and when the clock is set back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        fresh = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(79)
        with self._lock:
            self._last = max(fresh, self._last + 1 + secrets.randbits(_MAX_STEP_BITS))
            return self._last


_clock = _Clock()


def new_id(prefix: str) -> str:
    """For example `job_01k8m3...`: 26 characters after the prefix; a process's ids only grow."""
    return f"{prefix}_{_base32(_clock.next())}"


def is_id(prefix: str, text: str) -> bool:
    """Whether `text` has the form of an id with this prefix."""
    before, _, digits = text.partition("_")
    return before == prefix and len(digits) == _LENGTH and set(digits) <= set(ALPHABET)


def event_id(number: int) -> str:
    """An event's number as an id; later events sort after earlier ones."""
    return f"evt_{_base32(number)}"


def event_number(event_id: str) -> int | None:
    """The number within an event id; None when it is none of ours."""
    if not is_id("evt", event_id):
        return None
    number = 0
    for digit in event_id.removeprefix("evt_"):
        number = number * 32 + ALPHABET.index(digit)
    return number if number < 2**63 else None


def _base32(number: int) -> str:
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 32)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
