"""One raw input for a model, between a form and JSON: what a person types, and what it means."""

import json
import re
from collections.abc import Mapping
from typing import Any

from shared.jobs.errors import InvalidSpec

SEPARATORS = re.compile(r"[,;\s]+")
TEXT_HINTS = {
    "char": "Text, read character by character.",
    "word": "Words with spaces between.",
    "list": "Symbols with spaces between, or a JSON list.",
}
HINTS = {
    "category": "One of the categories that training showed.",
    "vector": "{size} numbers, with commas or spaces between, or a JSON list.",
    "numeric": "One step a line with {size} numbers, as CSV or as a JSON list.",
}
ONE = "Numbers with commas, spaces or line ends between, or a JSON list."


def hint(part: Mapping[str, Any]) -> str:
    """What to type for an input of this kind."""
    if part["kind"] == "tokens":
        return TEXT_HINTS[part["tokens"]]
    if part["kind"] == "numeric" and part["size"] == 1:
        return ONE
    return HINTS[part["kind"]].format(size=part.get("size"))


def parse(part: Mapping[str, Any], text: str) -> Any:
    """What `text` means for an input of this kind, as predict takes it.

    Raises:
        InvalidSpec: it holds no such numbers.
    """
    kind = part["kind"]
    if kind == "category" or part.get("tokens") in ("char", "word"):
        return text
    whole = _json(text)
    if whole is not None:
        return whole
    if kind == "tokens":
        return text.split()
    rows = [_numbers(line, number) for number, line in enumerate(text.strip().splitlines(), 1)]
    rows = [row for row in rows if row]
    if kind == "vector" or part["size"] == 1:
        return [value for row in rows for value in row]
    return rows


def _json(text: str) -> Any:
    """A list, where the text is one in JSON."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _numbers(line: str, number: int) -> list[float]:
    cells = [cell for cell in SEPARATORS.split(line.strip()) if cell]
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        wrong = next(cell for cell in cells if not _is_number(cell))
        message = f"Line {number}: {wrong[:40]!r} is no number."
        raise InvalidSpec(message, param="text") from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def typed(value: Any) -> str:
    """An input as a person would type it."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return str(value)
    if value and isinstance(value[0], list):
        return "\n".join(", ".join(_short(v) for v in row) for row in value)
    if value and isinstance(value[0], str):
        is_plain = all(symbol.split() == [symbol] for symbol in value)
        return " ".join(value) if is_plain else json.dumps(value, ensure_ascii=False)
    return ", ".join(map(_short, value))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
