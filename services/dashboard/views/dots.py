"""Numbers as dots on one scale, a row for each arm: places in percent, so that a page needs no script."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.dashboard.views import words

EDGE = 3.0  # percent left free at both ends
STEPS = (1, 2, 2.5, 5, 10)
MOST_TICKS = 5


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    colour: int
    dash: str
    values: Sequence[float]
    mean: float
    ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Dots:
    """A row to draw; all places in percent of the width."""

    label: str
    colour: int
    dash: str
    about: str
    """The same in words."""
    dots: list[float]
    mean: float
    interval: tuple[float, float] | None
    ends: list[float]
    """Those ends of the interval that lie within the scale."""


@dataclass(frozen=True, slots=True)
class Plot:
    rows: list[Dots]
    ticks: list[tuple[float, str]]
    """Place and number."""
    is_cut: bool
    """Whether an interval goes on past the edge."""


def plot(rows: Sequence[Row]) -> Plot | None:
    """None where there is no value to draw."""
    if not rows:
        return None
    low, high = _bounds(rows)
    return Plot(
        rows=[_dots(row, low, high) for row in rows],
        ticks=ticks(low, high),
        is_cut=any(row.ci95 and (row.ci95[0] < low or row.ci95[1] > high) for row in rows),
    )


def _bounds(rows: Sequence[Row]) -> tuple[float, float]:
    """From the values; intervals of two seeds are often too wide to leave room for these."""
    values = [value for row in rows for value in row.values]
    low, high = min(values), max(values)
    room = (high - low) or abs(high) / 10 or 1.0
    ends = [end for row in rows for end in row.ci95 or ()]
    wanted_low, wanted_high = min([low, *ends]), max([high, *ends])
    low, high = max(wanted_low, low - room), min(wanted_high, high + room)
    return (low, high) if low < high else (low - room, high + room)


def place(value: float, low: float, high: float) -> float:
    """In percent of the scale."""
    share = (min(max(value, low), high) - low) / (high - low)
    return round(EDGE + (100 - 2 * EDGE) * share, 2)


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Places and texts of round numbers within the scale, at most `MOST_TICKS` of them."""
    unit = 10.0 ** math.floor(math.log10((high - low) / MOST_TICKS))
    step = next(unit * each for each in STEPS if (high - low) / (unit * each) <= MOST_TICKS)
    first = math.ceil(low / step)
    marks = [round(index * step, 12) for index in range(first, first + MOST_TICKS + 1)]
    within = [mark for mark in marks if mark <= high][:MOST_TICKS]
    return [(place(mark, low, high), words.number(mark)) for mark in within]


def _dots(row: Row, low: float, high: float) -> Dots:
    ends = row.ci95 or ()
    return Dots(
        label=row.label,
        colour=row.colour,
        dash=row.dash,
        about=_about(row),
        dots=[place(value, low, high) for value in row.values],
        mean=place(row.mean, low, high),
        interval=(place(ends[0], low, high), place(ends[1], low, high)) if ends else None,
        ends=[place(end, low, high) for end in ends if low <= end <= high],
    )


def _about(row: Row) -> str:
    values = ", ".join(map(words.number, row.values))
    said = f"{row.label}: mean {words.number(row.mean)}"
    if row.ci95:
        said += f", 95 % interval {words.number(row.ci95[0])} to {words.number(row.ci95[1])}"
    return f"{said}; {words.plural(len(row.values), 'seed')}: {values}"
