"""What one raw input is: text as symbols, numbers as a series. Knows no vocabulary, no statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Tokens = Literal["char", "word", "list"]
Floats = NDArray[np.float64]

LARGEST = float(np.finfo(np.float32).max)  # networks compute in 32 bits
NOT_FINITE = "NaN and Infinity are not allowed: every number must be finite"
TOO_LARGE = f"too large: numbers may reach {LARGEST:.2g}"
_SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "char": list,
    "word": str.split,  # words stand between white space
}
_JSON_WORDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    tuple: "a list",
    dict: "an object",
    type(None): "null",
}


class InvalidInput(ValueError):
    """One raw input that no network could read; `path` leads to the fault, as in `[3][1]`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path


def json_word(raw: object) -> str:
    """What a person who wrote the JSON would call this value."""
    return _JSON_WORDS.get(type(raw), type(raw).__name__)


def is_list(raw: object) -> bool:
    return isinstance(raw, list | tuple)


def symbols_of(raw: object, tokens: Tokens) -> list[str]:
    """Split one input into its symbols, at least one.

    Text is split by `tokens` ("list" takes none); a list of strings is taken as it is.
    Raises InvalidInput.
    """
    if isinstance(raw, str):
        symbols = _split(raw, tokens)
    elif isinstance(raw, list | tuple):
        symbols = strings(raw)
    else:
        wanted = "a list of strings" if tokens == "list" else "text"
        raise InvalidInput(f"expected {wanted}, got {json_word(raw)}")
    if not symbols:
        raise InvalidInput("an empty sequence: at least one step is needed")
    return symbols


def _split(text: str, tokens: Tokens) -> list[str]:
    if tokens == "list":
        raise InvalidInput("expected a list of strings, got a string: put each symbol in a list")
    return _SPLITTERS[tokens](text)


def strings(raw: Sequence[object], path: str = "") -> list[str]:
    """`raw` as a list of strings; raises InvalidInput at the first item that is none."""
    for index, item in enumerate(raw):
        if not isinstance(item, str):
            raise InvalidInput(f"expected a string, got {json_word(item)}", f"{path}[{index}]")
    return list(raw)  # type: ignore[arg-type] # the loop looked at every item


def series_of(raw: object) -> Floats:
    """One numeric input as float64[T, F]: a list of numbers (F = 1) or of equally long lists.

    An array of one or two dimensions is read the same way. Raises InvalidInput.
    """
    if isinstance(raw, np.ndarray):
        return _array(raw)
    if not isinstance(raw, list | tuple):
        raise InvalidInput(f"expected a list of numbers, got {json_word(raw)}")
    if not raw:
        raise InvalidInput("an empty sequence: at least one step is needed")
    if is_list(raw[0]):
        return grid(raw)
    return numbers(raw)[:, None]


def vector_of(raw: object) -> Floats:
    """One vector of F numbers as float64[1, F]; raises InvalidInput."""
    if isinstance(raw, np.ndarray):
        return _array(raw).reshape(1, -1)
    if not is_list(raw):
        raise InvalidInput(f"expected a list of numbers, got {json_word(raw)}")
    if not raw:
        raise InvalidInput("an empty vector: at least one number is needed")
    return numbers(raw)[None, :]  # type: ignore[arg-type] # is_list saw a list or a tuple


def category_of(raw: object) -> str:
    """The name of one category, a string or a number; raises InvalidInput."""
    if isinstance(raw, str) and raw:
        return raw
    if isinstance(raw, str):
        raise InvalidInput("an empty string: a category needs a name")
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise InvalidInput(f"expected a category, a string or a number, got {json_word(raw)}")
    number(raw)
    return str(raw)


def grid(raw: Sequence[Any], path: str = "") -> Floats:
    """Equally long lists of numbers as float64[T, F]; raises InvalidInput where one differs."""
    if set(map(type, raw)) != {list} or len(set(map(len, raw))) > 1 or not raw[0]:
        _check_rows(raw, path)
    flat = _plain_numbers(chain.from_iterable(raw))
    if flat is None:
        return np.stack([numbers(row, f"{path}[{index}]") for index, row in enumerate(raw)])
    return flat.reshape(len(raw), -1)


def _check_rows(raw: Sequence[Any], path: str) -> None:
    for index, row in enumerate(raw):
        here = f"{path}[{index}]"
        if not is_list(row):
            raise InvalidInput(f"expected a list of numbers, got {json_word(row)}", here)
        if not row:
            raise InvalidInput("a step without numbers: each needs at least one", here)
        if len(row) != len(raw[0]):
            raise InvalidInput(
                f"ragged features: {len(row)} numbers where the first step has {len(raw[0])}", here
            )


def numbers(raw: Sequence[object], path: str = "") -> Floats:
    """A list of finite numbers as float64[N]; raises InvalidInput at the first that is none."""
    flat = _plain_numbers(raw)
    if flat is None:
        return np.array([number(item, f"{path}[{index}]") for index, item in enumerate(raw)])
    return flat


def number(raw: object, path: str = "") -> float:
    """One finite number that 32 bits can hold; raises InvalidInput. Booleans are no numbers."""
    if isinstance(raw, bool):
        raise InvalidInput(f"expected a number, got {str(raw).lower()}: write 1 or 0", path)
    if not isinstance(raw, int | float):
        raise InvalidInput(f"expected a number, got {json_word(raw)}", path)
    if isinstance(raw, float) and not math.isfinite(raw):
        raise InvalidInput(NOT_FINITE, path)
    if abs(raw) > LARGEST:
        raise InvalidInput(TOO_LARGE, path)
    return float(raw)


def _plain_numbers(raw: Iterable[object]) -> Floats | None:
    """The whole list at once, or None when some item needs a closer look."""
    items = list(raw)
    if not set(map(type, items)) <= {int, float}:
        return None
    try:
        flat = np.fromiter(items, np.float64, len(items))
    except OverflowError:  # an integer past the range of doubles
        return None
    return flat if _all_usable(flat) else None


def _all_usable(values: Floats) -> bool:
    return bool((np.abs(values) <= LARGEST).all())  # a comparison with NaN is false


def _array(raw: NDArray[Any]) -> Floats:
    if raw.dtype.kind not in "iuf" or raw.ndim not in (1, 2):
        raise InvalidInput(f"expected numbers [T] or [T, F], got {raw.dtype} {list(raw.shape)}")
    if raw.size == 0:
        raise InvalidInput("an empty sequence: at least one step is needed")
    values = raw.astype(np.float64).reshape(len(raw), -1)
    if not _all_usable(values):
        step, feature = np.argwhere(~(np.abs(values) <= LARGEST))[0]
        number(float(values[step, feature]), f"[{step}][{feature}]")
    return values
