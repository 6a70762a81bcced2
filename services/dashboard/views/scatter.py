"""Arms by what they cost and what they reach: places in percent, so that a page needs no script."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.dashboard.views import words
from services.dashboard.views.dots import place, ticks

MOST_LABELS = 12  # more of them would cover one another
ROOM = 0.15  # of the range, left free at both ends
RIGHT = 70.0  # percent from which a label stands left of its point


@dataclass(frozen=True, slots=True)
class Point:
    label: str
    colour: int
    seconds: float
    value: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A point to draw; places in percent from the left and from the top."""

    label: str
    """Empty where there are too many."""
    about: str
    colour: int
    x: float
    y: float
    is_right: bool


@dataclass(frozen=True, slots=True)
class Scatter:
    marks: list[Mark]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def scatter(points: Sequence[Point]) -> Scatter | None:
    """None for fewer than two: one point says nothing."""
    if len(points) < 2:
        return None
    x_ends = _ends([point.seconds for point in points])
    x_ends = (max(0.0, x_ends[0]), x_ends[1])
    y_ends = _ends([point.value for point in points])
    return Scatter(
        marks=[_mark(point, x_ends, y_ends, len(points)) for point in points],
        x_ticks=ticks(*x_ends),
        y_ticks=[(100 - at, text) for at, text in ticks(*y_ends)],
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = ROOM * ((high - low) or abs(high) or 1.0)
    return low - room, high + room


def _mark(
    point: Point, x_ends: tuple[float, float], y_ends: tuple[float, float], count: int
) -> Mark:
    x = place(point.seconds, *x_ends)
    value, seconds = words.number(point.value), f"{point.seconds:.3g} s"
    return Mark(
        label=point.label if count <= MOST_LABELS else "",
        about=f"{point.label}: {value} after {seconds}",
        colour=point.colour,
        x=x,
        y=100 - place(point.value, *y_ends),
        is_right=x > RIGHT,
    )
