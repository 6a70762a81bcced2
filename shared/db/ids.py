"""Ids that sort by the time they were made: a prefix, 48 bits of milliseconds, 80 random bits."""

import secrets
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_LENGTH = 26


def new_id(prefix: str) -> str:
    """For example `job_01k8m3...`: 26 characters after the prefix."""
    return f"{prefix}_{_base32((time.time_ns() // 1_000_000) << 80 | secrets.randbits(80))}"


def event_id(number: int) -> str:
    """An event's number as an id; later events sort after earlier ones."""
    return f"evt_{_base32(number)}"


def event_number(event_id: str) -> int | None:
    """The number within an event id; None when it is none of ours."""
    prefix, _, digits = event_id.partition("_")
    if prefix != "evt" or len(digits) != _LENGTH or not set(digits) <= set(ALPHABET):
        return None
    number = 0
    for digit in digits:
        number = number * 32 + ALPHABET.index(digit)
    return number if number < 2**63 else None


def _base32(number: int) -> str:
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 32)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
