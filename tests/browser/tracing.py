"""A trace as the inference service answers it, made of waves in the place of a network."""

import math
from typing import Any

UNITS = 8
ARRAYS = (
    ("i", "gate", "input gate", 0.0, 1.0),
    ("c", "cell_state", "cell state", -2.0, 2.0),
    ("h", "hidden_state", "hidden state", -1.0, 1.0),
)


def traced(request: object, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Takes the place of `services.dashboard.inference.ask`."""
    symbols = list(body["input"])
    layers = [_layer(direction, len(symbols)) for direction in ("forward", "backward")]
    sequence = {"num_steps": len(symbols), "symbols": symbols}
    return {"sequences": {"network": sequence}, "max_difference": 2e-7, "layers": layers}


def _layer(direction: str, steps: int) -> dict[str, Any]:
    arrays = [_array(steps, *each) for each in ARRAYS]
    half_life = {"formula": "f", "median": 2.1, "units": [1.5] * UNITS}
    about = {"part": "network", "layer": 1, "direction": direction, "half_life": half_life}
    return {**about, "arrays": arrays}


def _array(steps: int, name: str, kind: str, title: str, low: float, high: float) -> dict[str, Any]:
    values = [
        [
            low + (high - low) * (0.5 + 0.5 * math.sin(step * (unit + 1) / 7 + ord(name)))
            for unit in range(UNITS)
        ]
        for step in range(steps)
    ]
    shares = (0.1, 0.2) if kind == "gate" else (None, None)
    summary = {"mean": 0.5, "share_low": shares[0], "share_high": shares[1]}
    return {"name": name, "kind": kind, "title": title, "values": values, "summary": summary}
