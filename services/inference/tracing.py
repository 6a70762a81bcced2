"""From one raw input to what happened inside a network, as JSON. Knows no HTTP."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from services.inference.options import Options
from services.inference.predictor import Array, encode_at, forward_pass
from services.inference.registry import Loaded
from services.inference.writing import max_length, no_sequence
from shared.config import get_settings
from shared.data.batching import lengths_of, pad
from shared.data.encoding import STOP_ID, TextTarget, TokenInput
from shared.jobs.errors import InvalidSpec, TooLarge
from shared.nn.cells.seen import Seen
from shared.nn.generation import beginning, greedy
from shared.nn.mappings import AnyNetwork
from shared.nn.network import Network
from shared.nn.series import write_series
from shared.nn.trace import CellTrace, Part, half_lives, places, summarised, trace


@dataclass(frozen=True, slots=True)
class Sequences:
    """How long each part runs at most."""

    reads: int
    writes: int

    def steps(self, part: Part) -> int:
        return self.writes if part == "decoder" else self.reads


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run wrote, where it wrote."""

    symbols: tuple[int, ...] = ()
    """Ids; the stop is left out."""
    until: int | None = None
    """Steps before the end that a decoder of numbers learnt."""


def trace_input(model: Loaded, raw: object, longest: int | None = None) -> dict[str, Any]:
    """Gates and states of every layer, direction and step; the documents have the form.

    Raises:
        InvalidSpec: the input does not fit the model, or the model has no recurrent layers.
        TooLarge: the trace would hold more numbers than are allowed.
    """
    array = encode_at(model, raw, "input")
    if longest is not None and not model.encoding.generates:
        raise no_sequence(model, "max_length")
    writes = max_length(model, Options(max_length=longest)) if model.encoding.generates else 0
    _check_size(model, Sequences(len(array), writes))
    x_BT, lengths_B = torch.from_numpy(pad([array])), torch.from_numpy(lengths_of([array]))
    with forward_pass():
        run = partial(_run, x_BT=x_BT, lengths_B=lengths_B, writes=writes)
        ran, traces = trace(model.network, run)
    traces = [_cut(each, ran) for each in traces]
    num_steps = {each.place.part: each.num_steps for each in traces}
    return {
        "object": "trace",
        "model": model.name,
        "version": model.version,
        "cell": model.network.spec.cell.model_dump(mode="json"),
        "sequences": {
            part: _sequence(model, part, num, array, ran) for part, num in num_steps.items()
        },
        "max_difference": _finite(max(each.max_difference for each in traces)),
        "layers": [_layer(each) for each in traces],
    }


def _run(network: AnyNetwork, *, x_BT: Tensor, lengths_B: Tensor, writes: int) -> Ran:
    if isinstance(network, Network):
        network(x_BT, lengths_B)
        return Ran()
    if network.shape.writes == "numbers":
        series = write_series(network, x_BT, lengths_B, writes)
        return Ran(until=int(series.length_B[0]))
    [written] = greedy(beginning(network, x_BT, lengths_B), writes)
    return Ran(tuple(written.symbols))


def _check_size(model: Loaded, sequences: Sequences) -> None:
    found = [(place.part, place.numbers_per_step) for place in places(model.network)]
    if not found:
        raise InvalidSpec(
            f"name: model {model.name!r} is {model.network.shape.mapping}: it has no recurrent layers, "
            "so there is nothing to trace.",
            param="name",
        )
    limit = get_settings().max_trace_numbers
    total = sum(sequences.steps(part) * numbers for part, numbers in found)
    if total > limit:
        raise TooLarge(_too_large(found, sequences, total, limit), param="input")


def _too_large(
    found: Sequence[tuple[Part, int]], sequences: Sequences, total: int, limit: int
) -> str:
    """How far the input, and what is written, would have to be cut."""
    message = f"The trace would hold {total} numbers, and {limit} are allowed; "
    reads = sum(numbers for part, numbers in found if part != "decoder")
    writes = sum(numbers for part, numbers in found if part == "decoder")
    if not writes:
        return message + f"send an input of at most {limit // reads} steps."
    return message + (
        f"a step of the input takes {reads} and one that is written {writes}: send a shorter input "
        f"or a max_length below {sequences.writes}."
    )


def _cut(traced: CellTrace, ran: Ran) -> CellTrace:
    """Without the steps of a decoder behind the end that it learnt."""
    until = ran.until if traced.place.part == "decoder" else None
    arrays = {name: array_TH[:until] for name, array_TH in traced.arrays.items()}
    return replace(traced, arrays=arrays)


def _sequence(model: Loaded, part: Part, num_steps: int, array: Array, ran: Ran) -> dict[str, Any]:
    """What the steps of a part stand for."""
    symbols = _written if part == "decoder" else _read
    return {"num_steps": num_steps, "symbols": symbols(model, num_steps, array, ran)}


def _read(model: Loaded, num_steps: int, array: Array, ran: Ran) -> list[str] | None:
    source = model.encoding.input
    return [source.symbols[id_] for id_ in array] if isinstance(source, TokenInput) else None


def _written(model: Loaded, num_steps: int, array: Array, ran: Ran) -> list[str] | None:
    target = model.encoding.target
    if not isinstance(target, TextTarget):
        return None
    names = [target.symbols[id_] for id_ in ran.symbols]
    return names + [target.symbols[STOP_ID]] * (num_steps - len(names))


def _layer(traced: CellTrace) -> dict[str, Any]:
    place, cell = traced.place, traced.place.cell
    return {
        "part": place.part,
        "layer": place.layer,
        "direction": place.direction,
        "num_steps": traced.num_steps,
        "num_units": cell.hidden_size,
        "arrays": [_array(seen, traced.arrays[seen.name]) for seen in cell.arrays],
        "half_life": _half_life(traced),
    }


def _array(seen: Seen, array_TH: Tensor) -> dict[str, Any]:
    return {
        "name": seen.name,
        "kind": seen.kind,
        "title": seen.title,
        "shape": list(array_TH.shape),
        "values": np.ascontiguousarray(array_TH.numpy()),
        "summary": asdict(summarised(seen, array_TH)),
    }


def _half_life(traced: CellTrace) -> dict[str, Any] | None:
    keep = traced.place.cell.keep
    if keep is None:
        return None
    units_H = half_lives(keep, traced.arrays[keep.gate])
    return {
        "formula": keep.formula,
        "median": _finite(float(units_H.median())),
        "units": [_finite(steps) for steps in units_H.tolist()],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
