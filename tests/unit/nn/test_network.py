"""What whole networks promise: padding stays out, sizes are as announced, options do something."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shared.nn.catalog import CARDS, describe_cells, num_parameters
from shared.nn.cells.registry import CELLS as CELL_CLASSES
from shared.nn.readout import AttentionPool
from shared.nn.spec import CELL_SPECS, Merge, Readout
from tests.unit.nn.builders import CELLS, make_input, make_network


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    cell=st.sampled_from(CELLS),
    layer_norm=st.booleans(),
    bidirectional=st.booleans(),
    merge=st.sampled_from(list(Merge)),
    readout=st.sampled_from(list(Readout)),
    mapping=st.sampled_from(["many_to_one", "many_to_many"]),
)
def test_an_output_never_depends_on_what_stands_beside_the_sequence(
    lengths: list[int],
    cell: dict[str, Any],
    layer_norm: bool,
    bidirectional: bool,
    merge: Merge,
    readout: Readout,
    mapping: str,
) -> None:
    network = make_network(
        mapping,
        cell=cell,
        layer_norm=layer_norm,
        num_layers=2,
        bidirectional=bidirectional,
        merge=merge,
        readout=readout,
    )
    x_BTI, lengths_B = make_input(*lengths)

    together, _ = network(x_BTI, lengths_B)
    for row, length in enumerate(lengths):
        alone, _ = network(x_BTI[row : row + 1, :length], lengths_B[row : row + 1])
        company = together[row] if mapping == "many_to_one" else together[row, :length]
        torch.testing.assert_close(company, alone[0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("merge", list(Merge))
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("hidden_size", [4, [6, 4, 3]])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("input_kind", ["tokens", "numeric"])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_announced_number_of_parameters_is_the_true_one(
    cell: dict[str, Any],
    input_kind: str,
    bidirectional: bool,
    hidden_size: Any,
    layer_norm: bool,
    merge: Merge,
) -> None:
    network = make_network(
        cell=cell,
        input_kind=input_kind,
        num_layers=3,
        bidirectional=bidirectional,
        hidden_size=hidden_size,
        layer_norm=layer_norm,
        merge=merge,
    )

    counted = sum(parameter.numel() for parameter in network.parameters())
    assert num_parameters(network.spec, network.shape) == counted


def test_every_cell_has_a_class_and_a_card() -> None:
    assert set(CELL_CLASSES) == set(CELL_SPECS.values())
    assert set(CARDS) == set(CELL_SPECS) == {cell["type"] for cell in describe_cells()}


def test_an_unknown_symbol_is_read_as_zeros_and_never_trained() -> None:
    network = make_network(input_kind="tokens")
    embedding = network.embedding
    assert isinstance(embedding, nn.Embedding)

    network(torch.tensor([[0, 1]]), torch.tensor([2]))[0].sum().backward()

    assert embedding.weight[0].abs().sum() == 0
    assert embedding.weight.grad is not None
    assert embedding.weight.grad[0].abs().sum() == 0
    assert embedding.weight.grad[1].abs().sum() > 0


def test_dropout_acts_in_training_even_behind_a_single_layer() -> None:
    network = make_network(dropout=0.5)
    x_BTI, lengths_B = make_input(4)

    first, second = (network.train()(x_BTI, lengths_B)[0] for _ in range(2))
    assert not torch.equal(first, second)
    calm, again = (network.eval()(x_BTI, lengths_B)[0] for _ in range(2))
    assert torch.equal(calm, again)


def test_attention_pools_by_its_own_parameters_which_are_announced() -> None:
    network = make_network(readout="attention", bidirectional=True, num_layers=2)
    counted = sum(parameter.numel() for parameter in network.parameters())
    x_BTI, lengths_B = make_input(4, 2)

    network(x_BTI, lengths_B)[0].sum().backward()

    assert num_parameters(network.spec, network.shape) == counted
    assert isinstance(network.pool, AttentionPool)
    assert network.pool.score.weight.grad is not None
    assert network.pool.score.weight.grad.any()


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("input_kind", ["tokens", "numeric"])
def test_one_to_one_is_a_feed_forward_stack_of_the_same_depth(
    input_kind: str, num_layers: int
) -> None:
    network = make_network("one_to_one", input_kind, num_layers=num_layers)
    x_BTI, lengths_B = make_input(1, 1)
    x = torch.tensor([[1], [2]]) if input_kind == "tokens" else x_BTI

    output_BK, state = network(x, lengths_B)

    h_BD = network.embedding(x)[:, 0]
    for layer in network.stack.layers:
        h_BD = torch.tanh(layer(h_BD))
    torch.testing.assert_close(output_BK, network.head(h_BD))
    assert (len(network.stack.layers), state) == (num_layers, ())
    counted = sum(parameter.numel() for parameter in network.parameters())
    assert num_parameters(network.spec, network.shape) == counted
