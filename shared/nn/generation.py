"""From a network's next-symbol logits to whole sequences: greedy, sampled, beam. Knows no data.

Legend: B sequences, K beams of each, R = B K rows, V symbols, S steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.nn.decoder import START_SYMBOL, STOP_SYMBOL, UNKNOWN_SYMBOL, map_state
from shared.nn.generator import Generator
from shared.nn.network import Network
from shared.nn.stack import StackState

Step = Callable[[Tensor, StackState], tuple[Tensor, StackState]]
"""(R,) symbols and a state to (R, V) logits and the next state."""
Choose = Callable[[Tensor, int], Tensor]
"""(R, V) log-probabilities and the number of a step to (R,) symbols."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where sequences begin and how they go on."""

    step: Step
    symbol_R: Tensor
    """What is read first."""
    state: StackState
    stop: int | None
    """The symbol that ends a sequence, where there is one."""
    banned: tuple[int, ...]
    """Symbols that are never written."""

    def log_probabilities(self, logits_RV: Tensor) -> Tensor:
        logits_RV[:, list(self.banned)] = -torch.inf
        return logits_RV.log_softmax(-1)


@dataclass(frozen=True, slots=True)
class Written:
    """One finished sequence."""

    symbols: list[int]
    """Its stop left out."""
    score: float
    """Mean log-probability of a symbol in nats, the stop counted where it came."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How symbols are drawn."""

    temperature: float = 1.0
    """Below 1 the likely become likelier."""
    top_k: int | None = None
    """Draw among so many likeliest symbols."""
    top_p: float | None = None
    """Draw among the likeliest symbols that together have this probability."""


def beginning(
    network: Generator, x: Tensor, lengths_B: Tensor, copies: int = 1, until: int = STOP_SYMBOL
) -> Beginning:
    """One sequence for each input, or `copies` of it side by side."""
    memory = network.encode(x, lengths_B).repeated(copies)
    state = network.decoder.initial_state(memory)

    def step(symbol_R: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        logits_R1V, after = network.decoder(symbol_R.unsqueeze(1), state, memory)
        return logits_R1V[:, 0], after

    start_R = torch.full((len(memory.summary_BC),), START_SYMBOL, device=x.device)
    return Beginning(step, start_R, state, until, (UNKNOWN_SYMBOL, START_SYMBOL))


def continuation(network: Network, prompt_BT: Tensor, copies: int = 1) -> Beginning:
    """What follows prompts of one length, in a network that predicts the next symbol."""
    prompt_RT = prompt_BT.repeat_interleave(copies, dim=0)
    one_R = torch.ones(len(prompt_RT), dtype=torch.int64, device=prompt_BT.device)
    state = network.initial_state(len(prompt_RT))
    if prompt_RT.shape[1] > 1:
        _, state = network(prompt_RT[:, :-1], one_R * (prompt_RT.shape[1] - 1), state)

    def step(symbol_R: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        logits_R1V, after = network(symbol_R.unsqueeze(1), one_R, state)
        return logits_R1V[:, 0], after

    return Beginning(step, prompt_RT[:, -1], state, None, (UNKNOWN_SYMBOL,))


@torch.no_grad()
def greedy(begin: Beginning, max_length: int) -> list[Written]:
    """The likeliest symbol at every step, until the stop or `max_length` symbols."""
    return _walk(begin, max_length, likeliest)


def likeliest(logp_RV: Tensor, step: int) -> Tensor:
    """What a greedy search writes."""
    return logp_RV.argmax(-1)


@torch.no_grad()
def sample(begin: Beginning, uniform_RS: Tensor, how: Sampling) -> list[Written]:
    """Symbols drawn at random; `uniform_RS` holds a number from [0, 1) for each row and step.

    The numbers decide everything, so that a row's sequence depends on no other row. Scores are
    those of the network's own distribution, whatever the temperature.
    """
    return _walk(begin, uniform_RS.shape[1], drawn(uniform_RS, how))


def drawn(uniform_RS: Tensor, how: Sampling) -> Choose:
    """What a search at random writes, given its numbers from [0, 1)."""

    def choose(logp_RV: Tensor, step: int) -> Tensor:
        p_RV, symbols_RV = _narrowed(logp_RV, how)
        below_RV = p_RV.cumsum(-1) <= uniform_RS[:, step : step + 1] * p_RV.sum(-1, keepdim=True)
        last = (p_RV > 0).sum(-1) - 1  # rounding may leave the sum below the number drawn
        return symbols_RV.gather(1, below_RV.sum(-1).minimum(last).unsqueeze(1)).squeeze(1)

    return choose


def symbol_by_symbol(
    begin: Beginning, choose: Choose, max_length: int
) -> Iterator[tuple[int, float]]:
    """The one sequence that begins there, while it is written: symbols and their log-probabilities.

    A stop is given too, and ends it. Closing the iterator ends the work.
    """
    symbol_R, state = begin.symbol_R, begin.state
    for step in range(max_length):
        with torch.no_grad():
            logits_RV, state = begin.step(symbol_R, state)
            logp_RV = begin.log_probabilities(logits_RV)
            symbol_R = choose(logp_RV, step)
        [symbol] = symbol_R.tolist()
        yield symbol, float(logp_RV[0, symbol])
        if symbol == begin.stop:
            return


def _narrowed(logp_RV: Tensor, how: Sampling) -> tuple[Tensor, Tensor]:
    """Probabilities to draw with, the likeliest first, and the symbols they belong to."""
    p_RV = (logp_RV.double() / how.temperature).softmax(-1)
    p_RV, symbols_RV = p_RV.sort(dim=-1, descending=True, stable=True)
    if how.top_k is not None:
        p_RV = p_RV.clone()
        p_RV[:, how.top_k :] = 0
    if how.top_p is not None:
        before_RV = p_RV.cumsum(-1) - p_RV
        p_RV = p_RV.masked_fill(before_RV >= how.top_p * p_RV.sum(-1, keepdim=True), 0)
    return p_RV, symbols_RV


def _walk(begin: Beginning, max_length: int, choose: Choose) -> list[Written]:
    symbol_R, state = begin.symbol_R, begin.state
    is_open_R = torch.ones_like(symbol_R, dtype=torch.bool)
    total_R = torch.zeros(len(symbol_R), dtype=torch.float64, device=symbol_R.device)
    count_R, length_R = torch.zeros_like(symbol_R), torch.zeros_like(symbol_R)
    columns: list[Tensor] = []
    for step in range(max_length):
        logits_RV, state = begin.step(symbol_R, state)
        logp_RV = begin.log_probabilities(logits_RV)
        symbol_R = choose(logp_RV, step)
        logp_R = logp_RV.gather(1, symbol_R.unsqueeze(1)).squeeze(1)
        total_R += torch.where(is_open_R, logp_R, 0.0)
        count_R += is_open_R
        if begin.stop is not None:
            is_open_R = is_open_R & (symbol_R != begin.stop)
        length_R += is_open_R
        columns.append(symbol_R)
        if not is_open_R.any():
            break
    rows = torch.stack(columns, dim=1).tolist()
    scores = (total_R / count_R).tolist()
    return [
        Written(row[:length], score)
        for row, length, score in zip(rows, length_R.tolist(), scores, strict=True)
    ]


@torch.no_grad()
def beam(begin: Beginning, num_beams: int, max_length: int) -> list[Written]:
    """The best sequence that a beam search finds for each input, by its score.

    `begin` holds `num_beams` copies of each input. A sequence that ends leaves its beam, so that
    one beam is the greedy search (Sutskever, Vinyals and Le 2014); scores are normalised by
    length (Graves 2013; Wu et al. 2016 with exponent 1).
    """
    search = _Beams(begin, num_beams)
    for _ in range(max_length):
        search.advance()
        if search.is_over():
            break
    search.cut()
    return search.best


class _Beams:
    """The open beams of every input, and the best sequence that ended so far."""

    def __init__(self, begin: Beginning, num_beams: int) -> None:
        self.begin, self.num_beams = begin, num_beams
        self.num_inputs = len(begin.symbol_R) // num_beams
        self.symbol_R, self.state = begin.symbol_R, begin.state
        self.total_BK = torch.full((self.num_inputs, num_beams), -torch.inf, dtype=torch.float64)
        self.total_BK[:, 0] = 0.0  # the copies are equal: one of them begins
        self.texts: list[list[int]] = [[] for _ in begin.symbol_R]
        self.best = [Written([], -torch.inf)] * self.num_inputs

    def advance(self) -> None:
        """Go on by one symbol."""
        logits_RV, state = self.begin.step(self.symbol_R, self.state)
        logp_RV = self.begin.log_probabilities(logits_RV).double().cpu()
        num_symbols = logp_RV.shape[1]
        totals_BN = (self.total_BK.view(-1, 1) + logp_RV).view(self.num_inputs, -1)
        total_BK, at_BK = totals_BN.topk(min(self.num_beams, totals_BN.shape[1]), dim=1)
        total_BK, at_BK = self._filled(total_BK, -torch.inf), self._filled(at_BK, 0)
        first_B1 = torch.arange(self.num_inputs).unsqueeze(1) * self.num_beams
        row_R = (first_B1 + at_BK // num_symbols).view(-1)
        symbol_R = (at_BK % num_symbols).view(-1)
        self._write(row_R.tolist(), symbol_R.tolist())
        self.total_BK = self._close(total_BK, symbol_R)
        self.symbol_R = symbol_R.to(self.symbol_R.device)
        rows = row_R.to(self.symbol_R.device)
        self.state = map_state(state, lambda tensor: tensor.index_select(0, rows))

    def _filled(self, values_BN: Tensor, value: float) -> Tensor:
        """As many columns as beams, where there are fewer ways to go on than beams."""
        missing = self.num_beams - values_BN.shape[1]
        return torch.nn.functional.pad(values_BN, (0, missing), value=value)

    def _write(self, rows: list[int], symbols: list[int]) -> None:
        self.texts = [[*self.texts[row], symbol] for row, symbol in zip(rows, symbols, strict=True)]

    def _close(self, total_BK: Tensor, symbol_R: Tensor) -> Tensor:
        """Take the sequences that ended out of their beams."""
        if self.begin.stop is None:
            return total_BK
        ended_BK = (symbol_R == self.begin.stop).view_as(total_BK)
        for row in ended_BK.view(-1).nonzero().view(-1).tolist():
            text = self.texts[row]
            self._offer(row, text[:-1], len(text), total_BK)
        return total_BK.masked_fill(ended_BK, -torch.inf)

    def _offer(self, row: int, symbols: list[int], count: int, total_BK: Tensor) -> None:
        score = float(total_BK.view(-1)[row]) / count
        index = row // self.num_beams
        if score > self.best[index].score:
            self.best[index] = Written(symbols, score)

    def is_over(self) -> bool:
        return not bool(self.total_BK.isfinite().any())

    def cut(self) -> None:
        """Let sequences that are still open compete as they stand."""
        for row, text in enumerate(self.texts):
            if self.total_BK.view(-1)[row].isfinite():
                self._offer(row, text, len(text), self.total_BK)
