"""A few short curves as one small drawing: paths in SVG units."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 160, 32
MAX_CURVES = 4
MAX_STEPS = 400


@dataclass(frozen=True, slots=True)
class Spark:
    width: int
    height: int
    paths: tuple[str, ...]
    """`points` of a polyline each."""
    low: float
    high: float
    """What lies at the lower and at the upper edge."""
    steps: int


def spark(
    curves: Sequence[Sequence[float]], width: int = WIDTH, height: int = HEIGHT
) -> Spark | None:
    """The curves side by side on one scale; None where there is nothing to draw."""
    shown = [list(curve[:MAX_STEPS]) for curve in curves[:MAX_CURVES] if len(curve) > 1]
    if not shown:
        return None
    low, high = min(map(min, shown)), max(map(max, shown))
    paths = tuple(_path(curve, low, high, width, height) for curve in shown)
    return Spark(width, height, paths, low, high, max(map(len, shown)))


def _path(curve: Sequence[float], low: float, high: float, width: int, height: int) -> str:
    inner, spread = height - 4, (high - low) or 1.0
    step = (width - 4) / (len(curve) - 1)
    return " ".join(
        f"{2 + index * step:.1f},{2 + inner * (1 - (value - low) / spread):.1f}"
        for index, value in enumerate(curve)
    )
