"""How numbers, times and states are said to people; knows no row."""

import math
from typing import Any

NONE = "—"
MINUTE, HOUR, DAY = 60, 3600, 86_400
LOST = "lost"
ICONS = {
    "queued": "◌",
    "running": "▶\ufe0e",  # the selector keeps a phone from drawing an emoji
    "cancelling": "◍",
    "cancelled": "⊘",
    "pausing": "◍",
    "paused": "‖",
    "succeeded": "✔\ufe0e",
    "failed": "✖\ufe0e",
    LOST: "⚠\ufe0e",
    "busy": "▶\ufe0e",
    "idle": "◌",
}


def number(value: Any) -> str:
    """Four significant digits, or a whole number with its thousands apart."""
    if value is None:
        return NONE
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    tiny = value != 0 and abs(value) < 1e-4
    return f"{value:.3e}" if tiny or abs(value) >= 1e6 else f"{value:.4g}"


def units(hidden_size: int | list[int]) -> str:
    """One number for all layers, or one for each: 256, 128."""
    sizes = hidden_size if isinstance(hidden_size, list) else [hidden_size]
    return ", ".join(number(size) for size in sizes)


def duration(seconds: float | None) -> str:
    """The two largest units that matter: 41 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds is None:
        return NONE
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole} s" if whole or seconds <= 0 else "< 1 s"
    if whole < HOUR:
        return f"{round(whole / MINUTE)} min"
    if whole < DAY:
        return _two(whole, HOUR, "h", MINUTE, "min")
    return _two(whole, DAY, "d", HOUR, "h")


def about(seconds: float) -> str:
    """The same for an estimate: ~41 s."""
    said = duration(seconds)
    return said if said.startswith("<") else f"~{said}"


def _two(seconds: int, large: int, large_word: str, small: int, small_word: str) -> str:
    rest = seconds % large // small
    first = f"{seconds // large} {large_word}"
    return f"{first} {rest} {small_word}" if rest else first


def percent(fraction: float) -> str:
    """Whole percent; 100 only when all is done."""
    return f"{math.floor(100 * fraction)} %"


def size(num_bytes: int) -> str:
    """Bytes in the largest unit that leaves a number above one."""
    value = float(num_bytes)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:.3g} GiB"


def mapping(spec: dict[str, Any]) -> str:
    """`many to many, encoder-decoder`; aligned is what many_to_many usually means."""
    name = str(spec["mapping"]).replace("_", " ")
    return f"{name}, encoder-decoder" if spec.get("alignment") == "encoder_decoder" else name


def network(spec: dict[str, Any]) -> str:
    """`lstm ×2 bi`: cell, depth, direction."""
    wish = spec["network"]
    parts = [str(wish["cell"]["type"])]
    if wish["num_layers"] > 1:
        parts.append(f"×{wish['num_layers']}")
    if wish["bidirectional"]:
        parts.append("bi")
    return " ".join(parts)


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
