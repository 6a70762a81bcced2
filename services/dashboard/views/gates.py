"""A traced sequence as pictures: one heat map a gate in bytes, symbols in the colour of a unit."""

import math
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.dashboard.views import words
from services.dashboard.views.datasets import visible
from services.dashboard.views.spark import MAX_STEPS, Spark, spark

Values = NDArray[np.float64]
SHADES = 20  # steps of colour on either side of 0, in the stylesheet
SORTS = ("index", "mean size", "likeness to the unit")
MOST_ALIKE = 5


@dataclass(frozen=True, slots=True)
class HeatMap:
    name: str
    title: str
    steps: int
    units: int
    low: str
    high: str
    """What the first and the last colour mean."""
    palette: str
    """gate (0 to 1), or state (around 0)."""
    data: str
    """base64 of one byte a value, unit by unit; 255 is the last colour."""
    row: int
    """Where the chosen unit lies."""
    about: str


@dataclass(frozen=True, slots=True)
class Shaded:
    symbol: str
    shade: int
    """From -20 (lowest) to 20."""
    value: str


@dataclass(frozen=True, slots=True)
class TraceView:
    layers: list[tuple[str, str, str]]
    """Part, number and direction of each, as a form sends them back."""
    chosen: str
    unit: int
    num_units: int
    show: str
    names: list[tuple[str, str]]
    strip: list[Shaded]
    maps: list[HeatMap]
    order: str
    """The unit of each row, for the script."""
    curves: list[tuple[str, Spark | None, str, str, str]]
    """Of the chosen unit: name, drawing, value at the chosen step, lowest and highest value."""
    step: int
    """Counted from 1."""
    is_step_chosen: bool
    num_steps: int
    alike: list[tuple[int, str]]
    half_life: str
    difference: str


def trace_view(
    trace: Mapping[str, Any], layer: str, show: str, unit: int, sort: str, step: int = 0
) -> TraceView:
    """What is chosen of a trace; a choice that it lacks becomes the nearest one it has.

    `step` counts from 1; 0 is the last one.
    """
    layers = trace["layers"]
    chosen = next((each for each in layers if key_of(each) == layer), layers[-1])
    arrays = {each["name"]: np.array(each["values"], dtype=float) for each in chosen["arrays"]}
    kinds = {each["name"]: each for each in chosen["arrays"]}
    state = "c" if "c" in arrays else list(arrays)[-1]
    show = show if show in arrays else state
    num_steps, num_units = arrays[show].shape
    shown_step = min(step or num_steps, num_steps)
    unit = min(max(unit, 0), num_units - 1)
    order = SORTERS.get(sort, _by_index)(arrays[state], unit)
    symbols = trace["sequences"][chosen["part"]]["symbols"]
    return TraceView(
        layers=[(key_of(each), *_said(each)) for each in layers],
        chosen=key_of(chosen),
        unit=unit,
        num_units=num_units,
        show=show,
        names=[(name, each["title"]) for name, each in kinds.items()],
        strip=_strip(arrays[show][:, unit], symbols, kinds[show]["kind"]),
        maps=[_map(kinds[name], values, order, unit) for name, values in arrays.items()],
        order=",".join(map(str, order)),
        curves=[_curve(name, values[:, unit], shown_step) for name, values in arrays.items()],
        step=shown_step,
        is_step_chosen=step > 0,
        num_steps=num_steps,
        alike=_alike(arrays[state], unit),
        half_life=_half_life(chosen.get("half_life"), unit),
        difference=words.number(trace["max_difference"]),
    )


def key_of(layer: Mapping[str, Any]) -> str:
    return f"{layer['part']}.{layer['layer']}.{layer['direction']}"


def _said(layer: Mapping[str, Any]) -> tuple[str, str]:
    part = "" if layer["part"] == "network" else f"{layer['part']}, "
    return f"{part}layer {layer['layer']}", str(layer["direction"])


def _by_index(values: Values, unit: int) -> list[int]:
    return list(range(values.shape[1]))


def _by_size(values: Values, unit: int) -> list[int]:
    return [int(place) for place in np.argsort(-np.abs(values).mean(0), kind="stable")]


def _by_likeness(values: Values, unit: int) -> list[int]:
    return [int(place) for place in np.argsort(-_likeness(values, unit), kind="stable")]


SORTERS: dict[str, Callable[[Values, int], list[int]]] = dict(
    zip(SORTS, (_by_index, _by_size, _by_likeness), strict=True)
)


def _likeness(values: Values, unit: int) -> Values:
    """Correlation of every unit with one of them; 0 where either never moves."""
    centred = values - values.mean(0)
    sizes = np.sqrt((centred**2).sum(0))
    products = centred.T @ centred[:, unit]
    scale = sizes * sizes[unit]
    likeness: Values = np.divide(products, scale, out=np.zeros_like(products), where=scale > 1e-12)
    return likeness


def _alike(values: Values, unit: int) -> list[tuple[int, str]]:
    likeness = _likeness(values, unit)
    nearest = [int(place) for place in np.argsort(-np.abs(likeness), kind="stable")]
    others = [place for place in nearest if place != unit][:MOST_ALIKE]
    return [(place, f"{likeness[place]:+.2f}") for place in others]


def _map(about: Mapping[str, Any], values: Values, order: Sequence[int], unit: int) -> HeatMap:
    is_gate = about["kind"] == "gate"
    bound = max(1.0, float(np.abs(values).max(initial=0)))
    low, high = (0.0, 1.0) if is_gate else (-bound, bound)
    bytes_ = np.clip((values - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
    return HeatMap(
        name=about["name"],
        title=about["title"],
        steps=values.shape[0],
        units=values.shape[1],
        low=words.number(low),
        high=words.number(high),
        palette="gate" if is_gate else "state",
        data=b64encode(np.ascontiguousarray(bytes_[:, list(order)].T).tobytes()).decode(),
        row=list(order).index(unit),
        about=_summary(about["summary"]),
    )


def _summary(summary: Mapping[str, Any]) -> str:
    said = f"mean {words.number(summary['mean'])}"
    if summary.get("share_low") is None:
        return said
    shares = (100 * summary["share_low"], 100 * summary["share_high"])
    return f"{said} · closed {shares[0]:.0f} % · open {shares[1]:.0f} %"


def _strip(values: Values, symbols: Sequence[str] | None, kind: str) -> list[Shaded]:
    middle, half = (0.5, 0.5) if kind == "gate" else (0.0, max(1.0, float(np.abs(values).max())))
    return [
        Shaded(
            visible(symbols[step]) if symbols else str(step + 1),
            round(SHADES * float(np.clip((value - middle) / half, -1, 1))),
            words.number(float(value)),
        )
        for step, value in enumerate(values)
    ]


def _curve(name: str, values: Values, step: int) -> tuple[str, Spark | None, str, str, str]:
    numbers = [float(value) for value in values[:MAX_STEPS] if math.isfinite(value)]
    shown = (float(values[step - 1]), min(numbers), max(numbers))
    here, low, high = map(words.number, shown)
    return name, spark([numbers], 320, 40), here, low, high


def _half_life(found: Mapping[str, Any] | None, unit: int) -> str:
    if not found:
        return ""
    own = found["units"][unit]
    said = "never forgets" if own is None else f"{own:.3g} steps"
    median = found["median"]
    of_all = "never" if median is None else f"{median:.3g} steps"
    return f"{said} (median of all units: {of_all})"
