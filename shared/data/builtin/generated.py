"""Built-in problems with a known answer, of any length. Everything comes from a fixed seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import numpy as np

from shared.data.records import Record

_SEED = 20240501
_MAX_STEPS = 4_000_000  # in all records together: long sequences come in smaller numbers

_TENTHS = ("train",) * 8 + ("val", "test")

_FIRST_DAY, _NUM_DAYS = date(1900, 1, 1), 73_049  # to 31 December 2099
_NUM_DATES = 6_000
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WAYS: tuple[Callable[[date], str], ...] = (  # of writing a day; none depends on the locale
    lambda day: f"{day.day} {_month(day)} {day.year}",
    lambda day: f"{_month(day)} {day.day}, {day.year}",
    lambda day: f"{_weekday(day)}, {day.day} {_month(day)} {day.year}",
    lambda day: f"{_weekday(day)}, {_month(day)} {day.day}, {day.year}",
    lambda day: f"{day.day} {_month(day)[:3]} {day.year}",
    lambda day: f"{_month(day)[:3].lower()} {day.day} {day.year}",
    lambda day: f"{day.day:02}.{day.month:02}.{day.year}",
    lambda day: f"the {day.day}{_ordinal(day.day)} of {_month(day)} {day.year}",
)

_PAYLOAD = 10
_LETTERS = "abcdefgh"
_BLANK, _CUE = "-", ">"


def adding(length: int) -> Iterator[Record]:
    """Sequences [length, 2] of (value, mark); the target is the sum of the two marked values.

    One mark stands in each half. 10,000 records, fewer beyond 400 steps.
    """
    total = min(10_000, _MAX_STEPS // length)
    rng = np.random.default_rng([_SEED, length])
    steps = np.zeros((total, length, 2))
    steps[:, :, 0] = rng.random((total, length)).round(4)
    half = length // 2
    marks = np.stack([rng.integers(0, half, total), rng.integers(half, length, total)], axis=1)
    np.put_along_axis(steps[:, :, 1], marks, 1.0, axis=1)
    sums = (steps[:, :, 0] * steps[:, :, 1]).sum(axis=1).round(4)
    for index in range(total):
        yield Record(steps[index], float(sums[index]), _split(index, total), f"item {index}")


def copy(length: int) -> Iterator[Record]:
    """Ten letters, `length` steps of delay whose last is a cue, ten steps to recall them in.

    The tag of a step is a blank until the recall. 5,000 records, fewer beyond 780 steps.
    """
    total = min(5_000, _MAX_STEPS // (length + 2 * _PAYLOAD))
    rng = np.random.default_rng([_SEED, length])
    for index, drawn in enumerate(rng.integers(0, len(_LETTERS), (total, _PAYLOAD))):
        payload = [_LETTERS[letter] for letter in drawn]
        text = "".join(payload) + _BLANK * (length - 1) + _CUE + _BLANK * _PAYLOAD
        tags = [_BLANK] * (_PAYLOAD + length) + payload
        yield Record(text, tags, _split(index, total), f"item {index}")


def dates() -> Iterator[Record]:
    """Days from 1900 to 2099, no day twice, each in one of eight ways of writing, and in ISO 8601."""
    rng = np.random.default_rng(_SEED)
    days = rng.permutation(_NUM_DAYS)[:_NUM_DATES].tolist()
    ways = rng.integers(0, len(_WAYS), _NUM_DATES).tolist()
    for index, (offset, way) in enumerate(zip(days, ways, strict=True)):
        day = _FIRST_DAY + timedelta(days=offset)
        yield Record(_WAYS[way](day), day.isoformat(), _split(index, _NUM_DATES), f"item {index}")


def _month(day: date) -> str:
    return _MONTHS[day.month - 1]


def _weekday(day: date) -> str:
    return _WEEKDAYS[day.weekday()]


def _ordinal(number: int) -> str:
    return "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _split(index: int, total: int) -> str:
    """The records are independent draws: the first eight tenths train, the next is val, then test."""
    return _TENTHS[index * 10 // total]
