"""A checkpoint gives back what it was given, refuses what it did not make, and never unpickles."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import save

from shared.jobs.errors import CorruptBlob
from shared.nn.checkpoint import (
    Checkpoint,
    NotACheckpoint,
    pack,
    unpack,
    unpack_into,
    unpack_network,
    weights_sha256,
)
from shared.nn.network import Network
from tests.unit.nn.builders import CELLS, make_input, make_network


def checkpoint_of(network: Network) -> Checkpoint:
    tensors = {"optimizer.0.step": torch.tensor(3.0)}
    return Checkpoint(network.spec, network.shape, network.state_dict(), tensors, {"step": 7})


def packed(network: Network) -> bytes:
    return b"".join(pack(checkpoint_of(network)))


@pytest.mark.parametrize("options", [{}, {"layer_norm": True, "hidden_size": [4, 3]}], ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_network_survives_the_round_trip_bit_by_bit(
    cell: dict[str, Any], options: dict[str, Any]
) -> None:
    network = make_network(cell=cell, num_layers=2, bidirectional=True, **options).float()
    x_BTI, lengths_B = make_input(5, 2)

    data = packed(network)
    again = unpack([data])
    alone = unpack_network([data])
    assert isinstance(alone, Network)
    output, _ = alone(x_BTI.float(), lengths_B)

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
        unpack([data])


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x"])
def test_a_file_with_another_length_is_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(NotACheckpoint):
        unpack([change(packed(make_network()))])


def test_weights_are_filled_where_they_lie_and_the_rest_is_new() -> None:
    network, other = make_network(), make_network()
    with torch.no_grad():
        network.head.bias += 1
    before = {name: tensor.data_ptr() for name, tensor in other.state_dict().items()}
    checkpoint = unpack_into(other, [packed(network)])

    assert weights_sha256(other.state_dict()) == weights_sha256(network.state_dict())
    assert {name: tensor.data_ptr() for name, tensor in other.state_dict().items()} == before
    assert set(checkpoint.tensors) == {"optimizer.0.step"}


def test_only_weights_passes_the_rest_over() -> None:
    assert unpack_into(make_network(), [packed(make_network())], only_weights=True).tensors == {}


@pytest.mark.parametrize(
    "options", [{"num_layers": 2}, {"hidden_size": 9}, {"layer_norm": True}], ids=str
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_network_of_another_form_is_refused(options: dict[str, Any], turned: bool) -> None:
    one, other = make_network(), make_network(**options)
    one, other = (other, one) if turned else (one, other)

    with pytest.raises(NotACheckpoint):
        unpack_into(one, [packed(other)])


def test_bytes_that_are_refused_are_read_to_their_end_where_their_source_may_object() -> None:
    def source() -> Iterator[bytes]:
        yield b"\xff" * 64
        raise CorruptBlob("the hash differs")

    with pytest.raises(CorruptBlob):
        unpack(source())
