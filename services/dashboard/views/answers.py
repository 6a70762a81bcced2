"""What a model answered, as a page shows it: bars, tags under symbols, lines, text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.dashboard.views import words
from services.dashboard.views.datasets import Bar, visible
from services.dashboard.views.spark import Spark, spark

MAX_BARS, MAX_TAGS, MAX_ROWS = 20, 400, 100


@dataclass(frozen=True, slots=True)
class Tag:
    symbol: str
    """What was read at this step; nothing where that were numbers."""
    tag: str
    sure: str


@dataclass(frozen=True, slots=True)
class AnswerView:
    label: str = ""
    bars: list[Bar] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    text: str | None = None
    number: str = ""
    drawing: Spark | None = None
    rows: list[list[str]] = field(default_factory=list)
    more: str = ""
    """What was left out."""
    score: str = ""


def answer_view(output: Mapping[str, Any], symbols: Sequence[str]) -> AnswerView:
    """`symbols` = what was read at each step, where it was symbols."""
    score = words.number(output["score"]) if output.get("score") is not None else ""
    for key, view in KINDS.items():
        if key in output:
            found = view(output, symbols)
            return AnswerView(**{**_fields(found), "score": score})
    return AnswerView(text=str(dict(output)))


def _fields(view: AnswerView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in AnswerView.__dataclass_fields__}


def _class(output: Mapping[str, Any], symbols: Sequence[str]) -> AnswerView:
    ordered = sorted(output["probabilities"].items(), key=lambda item: -item[1])
    bars = [Bar(label, 0, share, f"{100 * share:.3g} %") for label, share in ordered[:MAX_BARS]]
    left = len(ordered) - MAX_BARS
    return AnswerView(
        label=output["label"], bars=bars, more=f"and {left} less likely ones" if left > 0 else ""
    )


def _tags(output: Mapping[str, Any], symbols: Sequence[str]) -> AnswerView:
    labels, sure = output["labels"], output.get("probabilities") or []
    tags = [
        Tag(
            visible(symbols[step]) if step < len(symbols) else str(step + 1),
            visible(label),
            f"{100 * sure[step]:.0f} %" if step < len(sure) else "",
        )
        for step, label in enumerate(labels[:MAX_TAGS])
    ]
    left = len(labels) - MAX_TAGS
    return AnswerView(tags=tags, more=f"and {left} more steps" if left > 0 else "")


def _value(output: Mapping[str, Any], symbols: Sequence[str]) -> AnswerView:
    value = output["value"]
    values = value if isinstance(value, list) else [value]
    return AnswerView(number=", ".join(map(words.number, values)))


def _series(output: Mapping[str, Any], symbols: Sequence[str]) -> AnswerView:
    rows = output.get("values", output.get("probabilities"))
    assert rows is not None
    table = [row if isinstance(row, list) else [row] for row in rows]
    columns = list(zip(*table, strict=True))
    left = len(table) - MAX_ROWS
    return AnswerView(
        drawing=spark(columns, 640, 160),
        rows=[list(map(words.number, row)) for row in table[:MAX_ROWS]],
        more=f"and {left} more steps" if left > 0 else "",
    )


def _text(output: Mapping[str, Any], symbols: Sequence[str]) -> AnswerView:
    return AnswerView(text=output.get("text") or " ".join(output.get("tokens", ())))


KINDS: dict[
    str, Callable[[Mapping[str, Any], Sequence[str]], AnswerView]
] = {  # the first key that an output has says what it is
    "label": _class,
    "labels": _tags,
    "value": _value,
    "values": _series,
    "probabilities": _series,
    "text": _text,
    "tokens": _text,
}


def steps_read(part: Mapping[str, Any], value: Any) -> int:
    """Steps of an input; one where it has no time axis."""
    if part["kind"] in ("category", "vector"):
        return 1
    is_words = isinstance(value, str) and part.get("tokens") == "word"
    return len(value.split() if is_words else value)


def steps_written(encoding: Mapping[str, Any], output: Mapping[str, Any]) -> int:
    """Steps that a model made up: symbols of a text, values of a series."""
    if "text" not in output:
        return len(output.get("tokens") or output.get("values") or ())
    tokens = encoding["target"].get("tokens") or encoding["input"].get("tokens")
    return len(output["text"].split() if tokens == "word" else output["text"])


def took_words(ms: float, steps: int) -> str:
    """How long an answer took, also by step where there are several."""
    whole = f"{ms:.0f} ms"
    return f"{whole} for {steps:,} steps, {ms / steps:.2g} ms each" if steps > 1 else whole
