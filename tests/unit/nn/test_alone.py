"""Sequences that come alone: in compiled loops and on two cores they give what torch gives."""

import threading
from typing import Any

import numpy as np
import pytest
import torch

from shared.nn.cells.base import FEW_ROWS
from shared.nn.kernels import steps_compiled
from shared.nn.kernels.spare import has_second_core, second_core
from shared.nn.network import Network
from shared.nn.steps.cells import lay_out
from tests.unit.nn.builders import make_input, make_network, randomised

LOOPS: list[dict[str, Any]] = [
    {"type": "lstm"},
    {"type": "lstm", "peephole": True},
    {"type": "lstm", "coupled_gates": True},
    {"type": "lstm", "peephole": True, "coupled_gates": True},
    {"type": "gru"},
]
NAMED = {"ids": lambda cell: " ".join(map(str, cell.values()))}
LONG = 250
"""Steps of 128 units that are enough for two cores."""


def made(**options: Any) -> Network:
    network = make_network("many_to_many", **options)
    randomised(network)
    return network.eval()


@torch.inference_mode()
def outputs(network: Network, x: torch.Tensor, lengths: torch.Tensor) -> Any:
    """And all states after it."""
    output, state = network(x, lengths)
    layers = [tensor for layer in state for direction in layer for tensor in direction]
    return [output.numpy(), *(tensor.numpy() for tensor in layers)]


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The kind of each walk that the second thread was given."""
    seen: list[int] = []
    begin = steps_compiled._second._begin

    def noted(order: Any) -> None:
        seen.append(order[0])
        begin(order)

    monkeypatch.setattr(steps_compiled._second, "_begin", noted)
    return seen


@pytest.mark.parametrize("num_rows", [1, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both directions"])
@pytest.mark.parametrize("cell", LOOPS, **NAMED)
def test_a_few_sequences_give_what_they_gave_before_weights_were_laid_out(
    cell: dict[str, Any], bidirectional: bool, num_rows: int
) -> None:
    options: dict[str, Any] = {"num_layers": 2, "residual": True, "hidden_size": 6}
    network = made(cell=cell, bidirectional=bidirectional, **options)
    x, lengths = make_input(*[7, 3, 5, 1][:num_rows])
    expected = outputs(network, x, lengths)
    lay_out(network)

    for found, wanted in zip(outputs(network, x, lengths), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_only_cells_that_loops_know_are_laid_out(layer_norm: bool) -> None:
    networks = [made(cell=cell, layer_norm=layer_norm) for cell in (*LOOPS, {"type": "elman"})]
    for network in networks:
        lay_out(network)
    laid_out = [network.stack.layers[0].cells[0].loop is not None for network in networks]  # type: ignore[union-attr, index]

    assert laid_out == [not layer_norm] * len(LOOPS) + [False]


@pytest.mark.parametrize("cell", LOOPS, **NAMED)
def test_two_cores_give_to_the_last_bit_what_one_gives(
    cell: dict[str, Any], orders: list[int]
) -> None:
    network = make_network("many_to_many", cell=cell, hidden_size=128, num_layers=2).float().eval()
    x, lengths = make_input(LONG)
    expected = outputs(network, x.float(), lengths)
    lay_out(network)
    alone = outputs(network, x.float(), lengths)
    assert orders == []
    with second_core(True):
        shared = outputs(network, x.float(), lengths)

    assert len(orders) == 2
    for one, two, wanted in zip(alone, shared, expected, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_allclose(one, wanted, atol=1e-5)


def test_a_short_sequence_or_a_small_layer_is_not_worth_a_second_core(orders: list[int]) -> None:
    with second_core(True):
        for hidden_size, num_steps in ((128, 2), (16, LONG)):
            network = make_network("many_to_many", cell="lstm", hidden_size=hidden_size).float()
            lay_out(network)
            outputs(network, make_input(num_steps)[0].float(), torch.tensor([num_steps]))

    assert orders == []
    assert not has_second_core()


def test_who_finds_the_second_thread_at_work_does_all_alone(orders: list[int]) -> None:
    network = make_network("many_to_many", cell="gru", hidden_size=128).float().eval()
    lay_out(network)
    x, lengths = make_input(LONG)
    expected = outputs(network, x.float(), lengths)
    with steps_compiled._second._lock, second_core(True):
        found = outputs(network, x.float(), lengths)

    assert orders == []
    np.testing.assert_array_equal(found[0], expected[0])


def test_many_threads_at_once_all_get_their_own_outputs() -> None:
    network = make_network("many_to_many", cell="lstm", hidden_size=128).float().eval()
    lay_out(network)
    inputs = [torch.randn(1, LONG, 5, generator=torch.Generator().manual_seed(n)) for n in range(4)]
    expected = [outputs(network, x, torch.tensor([LONG]))[0] for x in inputs]
    found: dict[tuple[int, int], Any] = {}

    def work(number: int) -> None:
        with second_core(True):
            for turn in range(10):
                found[number, turn] = outputs(network, inputs[number], torch.tensor([LONG]))[0]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 40
    for (number, _), output in found.items():
        np.testing.assert_array_equal(output, expected[number])


def test_a_walk_that_fails_leaves_the_second_thread_ready(
    orders: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network("many_to_many", cell="lstm", hidden_size=128).float().eval()
    lay_out(network)
    x, lengths = make_input(LONG)
    expected = outputs(network, x.float(), lengths)

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, second_core(True):
        patch.setattr(steps_compiled, "WALKS", (fail, fail))
        with pytest.raises(KeyboardInterrupt):
            outputs(network, x.float(), lengths)
    with second_core(True):
        found = outputs(network, x.float(), lengths)

    assert len(orders) == 2
    np.testing.assert_array_equal(found[0], expected[0])
