"""Where a text ends early: tokens are held back as long as they may begin what it stops at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Token:
    """One symbol that was written."""

    symbol: str
    text: str
    """What it adds to the text, a space before a word included."""
    logprob: float


class StopWatch:
    """Gives tokens on once they surely stand before every stop. Knows text, not networks."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = stops
        self.is_over = False
        """Whether a stop has come."""
        self._held: list[Token] = []

    def take(self, token: Token) -> list[Token]:
        """The tokens that are sure now; of one that a stop begins within, the text before it."""
        self._held.append(token)
        text = "".join(held.text for held in self._held)
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if not places:
            return self._before(len(text) - self._open_end(text))
        self.is_over = True
        cut = min(places)
        sure = self._before(cut)
        remaining = cut - sum(len(token.text) for token in sure)
        return (
            [*sure, replace(self._held[0], text=self._held[0].text[:remaining])]
            if remaining
            else sure
        )

    def rest(self) -> list[Token]:
        """What is still held, when nothing more comes."""
        return self._before(sum(len(token.text) for token in self._held))

    def _open_end(self, text: str) -> int:
        """Characters at the end that a stop may begin with."""
        longest = max(map(len, self.stops), default=1) - 1
        lengths = range(min(longest, len(text)), 0, -1)
        ends = (n for n in lengths if any(stop.startswith(text[-n:]) for stop in self.stops))
        return next(ends, 0)

    def _before(self, place: int) -> list[Token]:
        """Let go the tokens that end there or earlier."""
        sure: list[Token] = []
        while self._held and len(self._held[0].text) <= place:
            token = self._held.pop(0)
            place -= len(token.text)
            sure.append(token)
        return sure


class SymbolStops(StopWatch):
    """For sequences of symbols that stand for themselves: one that equals a stop ends them."""

    def take(self, token: Token) -> list[Token]:
        self.is_over = token.symbol in self.stops
        return [] if self.is_over else [token]
