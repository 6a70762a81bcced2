"""Symbols of an input that a model does not know, and what may stand in for them."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.dashboard.views import raw
from services.dashboard.views.datasets import MAX_SYMBOLS, visible


@dataclass(frozen=True, slots=True)
class UnknownView:
    symbols: list[str]
    replaced: str
    """The whole input with what is nearest in the place of each, as a person would type it."""
    vocabulary: list[str]
    size: int
    is_cut: bool


def unknown_view(part: Mapping[str, Any], symbols: Sequence[str]) -> UnknownView | None:
    """What to say of an input of these symbols; nothing where all are known."""
    known = part.get("symbols", ())[1:]  # the first one stands for what is unknown
    found = list(dict.fromkeys(each for each in symbols if each not in known))
    if not found:
        return None
    stand_ins = {each: stand_in(each, known) for each in found}
    read = [each for each in (stand_ins.get(each, each) for each in symbols) if each]
    joined = {"char": "", "word": " "}.get(part["tokens"])
    return UnknownView(
        symbols=[visible(each) for each in found],
        replaced=raw.typed(read if joined is None else joined.join(read)),
        vocabulary=[visible(each) for each in known[:MAX_SYMBOLS]],
        size=len(known),
        is_cut=len(known) > MAX_SYMBOLS,
    )


def stand_in(symbol: str, known: Collection[str]) -> str:
    """The same in the other case or without its accents, where that is known; else nothing."""
    parts = unicodedata.normalize("NFKD", symbol)
    plain = "".join(each for each in parts if not unicodedata.combining(each))
    near = (symbol.lower(), symbol.upper(), symbol.title(), plain, plain.lower(), plain.upper())
    return next((each for each in near if each in known), "")
