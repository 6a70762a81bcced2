"""Character n-grams with good smoothing, the baseline of generated names; knows counts alone."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

START, STOP, UNKNOWN = "\x02", "\x03", "\x00"
ORDERS = range(2, 8)
WEIGHTS = tuple(tenth / 10 for tenth in range(11))  # of a language beside all languages together
Pair = tuple[str, str]
"""What a name is conditioned on, and the name."""
Counts = dict[str, Counter[str]]
"""How often each symbol followed a context."""


@dataclass(frozen=True)
class Ngram:
    """P(symbol | the `order` - 1 symbols before it), interpolated with every shorter context."""

    order: int
    counts: list[Counts]  # by the length of the context
    discounts: list[float]  # by the length of the context; none: Witten-Bell
    num_symbols: int  # over which the empty context falls back evenly

    def probability(self, context: str, symbol: str) -> float:
        p = 1 / self.num_symbols
        for length in range(self.order):
            seen = self.counts[length].get(context[len(context) - length :])
            if seen is None:
                break  # nor was any longer context seen
            p = self._interpolated(seen, symbol, length, p)
        return p

    def _interpolated(self, seen: Counter[str], symbol: str, length: int, shorter: float) -> float:
        total, kinds = seen.total(), len(seen)
        if not self.discounts:
            return (seen[symbol] + kinds * shorter) / (total + kinds)
        discount = self.discounts[length]
        return (max(seen[symbol] - discount, 0.0) + discount * kinds * shorter) / total


def witten_bell(texts: Iterable[str], order: int, num_symbols: int) -> Ngram:
    """Witten and Bell 1991: a context's trust grows with its count, shrinks with its variety."""
    return Ngram(order, _counts(texts, order), [], num_symbols)


def kneser_ney(texts: Iterable[str], order: int, num_symbols: int) -> Ngram:
    """Kneser and Ney 1995, interpolated (Chen and Goodman 1999): shorter contexts count what
    precedes them, not how often; a discount for each length."""
    counts = _counts(texts, order)
    kept = [_continuations(counts[length], counts[length + 1]) for length in range(order - 1)]
    kept.append(counts[-1])
    return Ngram(order, kept, [_discount(each) for each in kept], num_symbols)


def _counts(texts: Iterable[str], order: int) -> list[Counts]:
    counts: list[Counts] = [defaultdict(Counter) for _ in range(order)]
    for text in texts:
        padded = START * (order - 1) + text + STOP
        for place in range(order - 1, len(padded)):
            for length in range(order):
                counts[length][padded[place - length : place]][padded[place]] += 1
    return counts


def _continuations(counts: Counts, longer: Counts) -> Counts:
    kinds: Counts = defaultdict(Counter)
    for context, followers in longer.items():
        kinds[context[1:]].update(followers.keys())
    # nothing but a start precedes a start: such contexts keep their counts
    return {c: counts[c] if c.startswith(START) else kinds[c] for c in counts}


def _discount(counts: Counts) -> float:
    of_counts = Counter(count for followers in counts.values() for count in followers.values())
    once, twice = of_counts[1], of_counts[2]
    return once / (once + 2 * twice) if once else 0.5


Smoothing = Callable[[Iterable[str], int, int], Ngram]
"""From texts, order and number of symbols."""

SMOOTHINGS: dict[str, Smoothing] = {
    "Witten-Bell": witten_bell,
    "Kneser-Ney": kneser_ney,
}


@dataclass(frozen=True)
class Baseline:
    """The n-gram that was best on the validation names, and its nats a symbol on the test names."""

    nats: float
    words: str


def best_ngram(train: Sequence[Pair], val: Sequence[Pair], test: Sequence[Pair]) -> Baseline:
    """Over orders, smoothings, and how much a language's own counts weigh beside the pooled ones.

    Nats of a symbol, the stop counted; symbols that the training names lack are one unknown symbol.
    """
    known = {symbol for _, text in train for symbol in text}
    train, val, test = (_with_unknown(pairs, known) for pairs in (train, val, test))
    found: tuple[float, str, Callable[[], float]] | None = None
    for name, smooth in SMOOTHINGS.items():
        for order in ORDERS:
            fit = _fitting(smooth, order, len(known) + 2)
            own, pooled = _by_language(train, fit), fit(text for _, text in train)
            pairs, later = (_probabilities(each, own, pooled) for each in (val, test))
            for weight in WEIGHTS:
                nats = mixed_nats(pairs, weight)
                words = f"{name}, order {order}, {weight:.0%} of the language's own"
                if found is None or nats < found[0]:
                    found = nats, words, partial(mixed_nats, later, weight)
    assert found is not None
    return Baseline(found[2](), found[1])


def _fitting(smooth: Smoothing, order: int, num_symbols: int) -> Callable[[Iterable[str]], Ngram]:
    return lambda texts: smooth(texts, order, num_symbols)


def _with_unknown(pairs: Sequence[Pair], known: set[str]) -> list[Pair]:
    return [(key, "".join(s if s in known else UNKNOWN for s in text)) for key, text in pairs]


def _by_language(pairs: Sequence[Pair], fit: Callable[[Iterable[str]], Ngram]) -> dict[str, Ngram]:
    texts: dict[str, list[str]] = defaultdict(list)
    for key, text in pairs:
        texts[key].append(text)
    return {key: fit(each) for key, each in texts.items()}


def _probabilities(
    pairs: Sequence[Pair], own: dict[str, Ngram], pooled: Ngram
) -> list[tuple[float, float]]:
    """Of each symbol and stop, by the language's n-gram and by the pooled one."""
    found = []
    for key, text in pairs:
        padded = START * (pooled.order - 1) + text + STOP
        for place in range(pooled.order - 1, len(padded)):
            context = padded[place - pooled.order + 1 : place]
            asked = context, padded[place]
            found.append((own[key].probability(*asked), pooled.probability(*asked)))
    return found


def mixed_nats(probabilities: Sequence[tuple[float, float]], weight: float) -> float:
    """Mean negative log-probability with `weight` on the first of each two."""
    return -sum(math.log(weight * a + (1 - weight) * b) for a, b in probabilities) / len(
        probabilities
    )
