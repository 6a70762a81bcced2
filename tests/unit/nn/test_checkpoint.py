"""A checkpoint gives back what it was given, refuses what it did not make, and never unpickles."""

import pickle
from typing import Any

import pytest
import torch
from safetensors.torch import save

from shared.nn.checkpoint import (
    Checkpoint,
    NotACheckpoint,
    build_network,
    pack,
    unpack,
    weights_sha256,
)
from shared.nn.network import Network
from tests.unit.nn.builders import CELLS, make_input, make_network


def checkpoint_of(network: Network) -> Checkpoint:
    tensors = {"optimizer.0.step": torch.tensor(3.0)}
    return Checkpoint(network.spec, network.shape, network.state_dict(), tensors, {"step": 7})


@pytest.mark.parametrize("options", [{}, {"layer_norm": True, "hidden_size": [4, 3]}], ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_network_survives_the_round_trip_bit_by_bit(
    cell: dict[str, Any], options: dict[str, Any]
) -> None:
    network = make_network(cell=cell, num_layers=2, bidirectional=True, **options).float()
    x_BTI, lengths_B = make_input(5, 2)

    again = unpack(pack(checkpoint_of(network)))
    output, _ = build_network(again)(x_BTI.float(), lengths_B)

    assert torch.equal(output, network(x_BTI.float(), lengths_B)[0])
    assert weights_sha256(again.weights) == weights_sha256(network.state_dict())
    assert again.facts == {"step": 7}
    assert again.tensors["optimizer.0.step"] == 3


def test_one_changed_weight_changes_the_hash() -> None:
    network = make_network()
    before = weights_sha256(network.state_dict())
    with torch.no_grad():
        network.head.bias[0] += 1e-12

    assert weights_sha256(network.state_dict()) != before


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 7, pickle.dumps({"network": 1}), save({"x": torch.zeros(1)}), b"\xff" * 64],
    ids=["empty", "short", "pickle", "foreign safetensors", "junk"],
)
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(NotACheckpoint):
        unpack(data)


def test_a_truncated_file_is_refused() -> None:
    with pytest.raises(NotACheckpoint):
        unpack(pack(checkpoint_of(make_network()))[:-1])
