"""What is checked of a network before it is served: every kind passes, and a broken one does not."""

from typing import Any

import pytest
import torch
from torch import Tensor

from shared.nn.cells.base import Cell, State
from shared.nn.checks import STEPS, TOLERANCE, check, sample
from shared.nn.mappings import AnyNetwork
from tests.unit.nn.builders import CELLS, make_generator, make_network


def served(network: AnyNetwork) -> AnyNetwork:
    return network.float().eval()


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_every_cell_passes(cell: dict[str, Any]) -> None:
    network = make_network("many_to_many", cell=cell, num_layers=2)
    found = check(served(network))

    assert found.fault is None
    assert found.max_difference is not None
    assert found.max_difference <= 1e-5
    assert found.latency_ms > 0
    assert found.size_bytes == 4 * sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    "network",
    [
        make_network("many_to_one", readout="attention", bidirectional=True),
        make_network("many_to_many", input_kind="tokens"),
        make_network("many_to_many", num_layers=2, layer_norm=True, hidden_size=16),
        make_generator(bidirectional=True, attention="dot"),
        make_generator("one_to_many", input_kind="numeric", condition="every_step"),
    ],
    ids=["bidirectional", "tokens", "layer_norm", "encoder_decoder", "one_to_many"],
)
def test_every_mapping_passes(network: AnyNetwork) -> None:
    found = check(served(network))

    assert found.fault is None
    assert found.max_difference is not None
    assert found.max_difference <= 1e-5


def test_a_network_without_steps_has_no_difference() -> None:
    found = check(served(make_network("one_to_one")))

    assert (found.fault, found.max_difference) == (None, None)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_path_for_whole_sequences_that_is_not_the_equation_is_noticed(
    bidirectional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Cell.forward

    def off_by_little(self: Cell, x_BTI: Tensor, state: State) -> tuple[Tensor, State]:
        h_BTH, after = forward(self, x_BTI, state)
        return (h_BTH + 1e-2 if x_BTI.shape[1] > 1 else h_BTH), after

    monkeypatch.setattr(Cell, "forward", off_by_little)
    found = check(served(make_network("many_to_many", bidirectional=bidirectional)))

    assert found.max_difference == pytest.approx(1e-2, rel=0.01)
    assert found.fault == (
        "a step at a time its outputs differ by 1.0e-02 from those of a whole sequence, and "
        f"{TOLERANCE:g} is allowed"
    )
    assert found.to_json()["status"] == "failed"


def test_weights_that_are_no_numbers_are_noticed() -> None:
    network = served(make_network("many_to_one"))
    with torch.no_grad():
        network.get_parameter("head.weight").fill_(torch.nan)
    found = check(network)

    assert found.fault == "its outputs are not finite numbers"
    assert found.to_json()["max_difference"] is None


def test_large_outputs_are_compared_relative_to_the_largest() -> None:
    network = make_network("many_to_many", cell={"type": "elman", "activation": "relu"})
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(2)
    found = check(served(network))
    x, lengths_B = sample(network.shape)
    with torch.no_grad():
        [h_BTH], _ = network.stack(x, lengths_B, network.initial_state(1))

    assert h_BTH.abs().max() > 1e4
    assert x.shape == (1, STEPS, 5)
    assert found.fault is None
