"""Greedy, sampled and beam decoding against each other and against every possible sequence."""

import itertools

import pytest
import torch
from torch import Tensor

from shared.nn.decoder import STOP_SYMBOL
from shared.nn.generation import (
    Beginning,
    Sampling,
    Written,
    beam,
    beginning,
    continuation,
    greedy,
    sample,
)
from shared.nn.generator import Generator
from tests.unit.nn.builders import make_generator, make_network, make_tokens

OWN_SYMBOLS = (3, 4, 5)  # of a vocabulary of six
MAX_LENGTH = 4


def sharp(network: Generator) -> Generator:
    """The same network with opinions: untrained ones find every symbol equally likely."""
    with torch.no_grad():
        network.decoder.head.weight.mul_(30)
    return network


def opinionated() -> tuple[Generator, Tensor, Tensor]:
    return (sharp(make_generator(attention="dot", num_layers=2)), *make_tokens(5, 2, 3, 4, 1))


def score_of(
    network: Generator, x_BT: Tensor, lengths_B: Tensor, text: list[int], *, cut: bool
) -> float:
    """Mean log-probability by one taught pass."""
    target = text if cut else [*text, STOP_SYMBOL]
    logits = network(x_BT, lengths_B, torch.tensor([target]))[0].detach()
    logits[:, [0, 1]] = -torch.inf
    return float(logits.log_softmax(-1)[range(len(target)), target].mean())


def every_sequence() -> list[tuple[list[int], bool]]:
    """All that can be written in four symbols, and whether it was cut off before a stop."""
    shorter = [
        (list(text), False)
        for length in range(MAX_LENGTH)
        for text in itertools.product(OWN_SYMBOLS, repeat=length)
    ]
    return shorter + [(list(t), True) for t in itertools.product(OWN_SYMBOLS, repeat=MAX_LENGTH)]


def test_a_wide_beam_finds_the_best_of_all_sequences() -> None:
    network, x_BT, lengths_B = opinionated()
    num_beams = 4**MAX_LENGTH

    found = beam(beginning(network, x_BT, lengths_B, num_beams), num_beams, MAX_LENGTH)

    for row, best in enumerate(found):
        x_1T, length_1 = x_BT[row : row + 1], lengths_B[row : row + 1]
        scores = {
            (*text, cut): score_of(network, x_1T, length_1, text, cut=cut)
            for text, cut in every_sequence()
        }
        wanted = max(scores, key=lambda key: scores[key])
        assert best.symbols == list(wanted[:-1])
        assert best.score == pytest.approx(scores[wanted], abs=1e-9)


def test_a_single_beam_is_the_greedy_search() -> None:
    network, x_BT, lengths_B = opinionated()

    narrow = beam(beginning(network, x_BT, lengths_B), 1, 9)
    walked = greedy(beginning(network, x_BT, lengths_B), 9)

    assert [w.symbols for w in narrow] == [w.symbols for w in walked]
    assert [w.score for w in narrow] == pytest.approx([w.score for w in walked])


def test_a_wider_beam_never_depends_on_the_company_of_an_input() -> None:
    network, x_BT, lengths_B = opinionated()

    together = beam(beginning(network, x_BT, lengths_B, 3), 3, 6)
    for row, written in enumerate(together):
        one = slice(row, row + 1)
        [alone] = beam(beginning(network, x_BT[one], lengths_B[one], 3), 3, 6)
        assert alone.symbols == written.symbols


def test_the_score_of_what_is_written_is_that_of_a_taught_pass() -> None:
    network, x_BT, lengths_B = opinionated()
    rows = greedy(beginning(network, x_BT, lengths_B), 6)

    for row, written in enumerate(rows):
        one = slice(row, row + 1)
        cut = len(written.symbols) == 6
        expected = score_of(network, x_BT[one], lengths_B[one], written.symbols, cut=cut)
        assert written.score == pytest.approx(expected)


def uniform(rows: int, steps: int, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, steps, generator=generator, dtype=torch.float64)


def draws(how: Sampling, seed: int = 3) -> list[Written]:
    network, x_BT, lengths_B = opinionated()
    return sample(beginning(network, x_BT, lengths_B), uniform(5, 8, seed), how)


def test_the_same_random_numbers_give_the_same_sequences() -> None:
    assert draws(Sampling(temperature=2.0)) == draws(Sampling(temperature=2.0))
    assert draws(Sampling(temperature=2.0)) != draws(Sampling(temperature=2.0), seed=4)


@pytest.mark.parametrize("how", [Sampling(top_k=1), Sampling(top_p=1e-9), Sampling(0.001)])
def test_narrowed_to_one_symbol_sampling_is_greedy(how: Sampling) -> None:
    network, x_BT, lengths_B = opinionated()
    walked = greedy(beginning(network, x_BT, lengths_B), 8)

    assert [w.symbols for w in draws(how)] == [w.symbols for w in walked]


def fixed(probabilities: list[float], rows: int) -> Beginning:
    """A network that always gives the same probabilities, and never stops."""
    logits_RV = torch.tensor([probabilities], dtype=torch.float64).log().repeat(rows, 1)
    first_R = torch.zeros(rows, dtype=torch.int64)
    return Beginning(lambda _, state: (logits_RV.clone(), state), first_R, (), None, ())


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Sampling(), [0.5, 0.3, 0.15, 0.05]),
        (Sampling(temperature=0.5), [0.6849, 0.2466, 0.0616, 0.0068]),
        (Sampling(top_k=2), [0.625, 0.375, 0, 0]),
        (Sampling(top_p=0.7), [0.625, 0.375, 0, 0]),
        (Sampling(top_k=3, top_p=0.6), [0.625, 0.375, 0, 0]),
    ],
)
def test_symbols_are_drawn_as_often_as_they_are_likely(
    how: Sampling, expected: list[float]
) -> None:
    begin = fixed([0.3, 0.5, 0.05, 0.15], rows=1000)

    rows = sample(begin, uniform(1000, 20), how)

    drawn = torch.tensor([row.symbols for row in rows]).view(-1)
    counts = torch.bincount(drawn, minlength=4) / 20_000
    assert counts[[1, 0, 3, 2]].tolist() == pytest.approx(expected, abs=0.012)


def test_symbols_that_are_never_real_are_never_written() -> None:
    for written in draws(Sampling(temperature=50.0)):
        assert set(written.symbols) <= set(OWN_SYMBOLS)


def test_a_next_symbol_network_goes_on_from_its_prompt() -> None:
    network = make_network("many_to_many", "tokens", input_size=6, output_size=6, num_layers=2)
    with torch.no_grad():
        network.head.weight.mul_(30)
    prompt_BT = torch.tensor([[1, 2, 3], [4, 4, 4]])

    rows = greedy(continuation(network, prompt_BT), 5)

    for prompt, written in zip(prompt_BT.tolist(), rows, strict=True):
        text = list(prompt)
        for symbol in written.symbols:
            logits, _ = network(torch.tensor([text]), torch.tensor([len(text)]))
            assert symbol == int(logits[0, -1, 1:].argmax()) + 1
            text.append(symbol)
    assert [len(w.symbols) for w in rows] == [5, 5]


def test_a_prompt_of_one_symbol_is_enough() -> None:
    network = make_network("many_to_many", "tokens", input_size=6, output_size=6)

    [written] = beam(continuation(network, torch.tensor([[2]]), copies=3), 3, 4)

    assert len(written.symbols) == 4
