"""What decoders promise: a step at a time or all at once, padding unseen, sizes as announced."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data.encoding import START_ID, STOP_ID, TEXT_SPECIALS, UNKNOWN
from shared.nn.catalog import num_parameters
from shared.nn.decoder import START_SYMBOL, STOP_SYMBOL, UNKNOWN_SYMBOL
from shared.nn.generation import beginning
from shared.nn.spec import Attention, Condition
from tests.unit.nn.builders import CELLS, make_generator, make_tokens

TARGET_BS = torch.tensor([[3, 4, 5, 2], [5, 2, 0, 0], [2, 0, 0, 0]])


def test_networks_and_datasets_agree_on_the_special_symbols() -> None:
    assert (START_SYMBOL, STOP_SYMBOL) == (START_ID, STOP_ID)
    assert TEXT_SPECIALS.index(UNKNOWN) == UNKNOWN_SYMBOL
    assert (TEXT_SPECIALS[START_ID], TEXT_SPECIALS[STOP_ID]) == ("<start>", "<stop>")


@pytest.mark.parametrize("condition", list(Condition))
@pytest.mark.parametrize("attention", list(Attention))
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_step_at_a_time_equals_the_whole_taught_sequence(
    cell: dict[str, Any], bidirectional: bool, attention: Attention, condition: Condition
) -> None:
    network = make_generator(
        cell=cell,
        num_layers=2,
        bidirectional=bidirectional,
        attention=attention,
        condition=condition,
    )
    x_BT, lengths_B = make_tokens(5, 2, 3)

    whole_BSK = network(x_BT, lengths_B, TARGET_BS)
    begin = beginning(network, x_BT, lengths_B)
    symbol_B, state = begin.symbol_R, begin.state
    for step in range(TARGET_BS.shape[1]):
        logits_BK, state = begin.step(symbol_B, state)
        torch.testing.assert_close(logits_BK, whole_BSK[:, step], atol=1e-12, rtol=0)
        symbol_B = TARGET_BS[:, step]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    attention=st.sampled_from(list(Attention)),
    bidirectional=st.booleans(),
    merge=st.sampled_from(["concat", "sum"]),
)
def test_padding_never_leaks_through_encoder_and_attention(
    lengths: list[int], attention: Attention, bidirectional: bool, merge: str
) -> None:
    network = make_generator(attention=attention, bidirectional=bidirectional, merge=merge)
    x_BT, lengths_B = make_tokens(*lengths)
    target_BS = torch.full((len(lengths), 3), 4)

    together = network(x_BT, lengths_B, target_BS)
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        alone = network(x_BT[one, :length], lengths_B[one], target_BS[one])
        torch.testing.assert_close(together[one], alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("attention", [Attention.ADDITIVE, Attention.DOT])
def test_attention_weights_sum_to_one_over_real_steps_alone(attention: Attention) -> None:
    network = make_generator(attention=attention)
    memory = network.encode(*make_tokens(5, 2))
    query_BSH = torch.randn(2, 3, 4, dtype=torch.float64)

    _, weight_BST = network.decoder.look(
        query_BSH, memory.key_BTA, memory.value_BTM, memory.real_BT
    )

    torch.testing.assert_close(weight_BST.sum(-1), torch.ones(2, 3, dtype=torch.float64))
    assert (weight_BST[1, :, 2:] == 0).all()


def test_a_prediction_depends_on_earlier_symbols_and_on_no_later_one() -> None:
    network = make_generator(attention="dot")
    x_BT, lengths_B = make_tokens(4, 4, 4)
    changed = TARGET_BS.clone()
    changed[:, 1] = 4

    before, after = (network(x_BT, lengths_B, target) for target in (TARGET_BS, changed))

    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.equal(before[1:, 2:], after[1:, 2:])


def test_every_step_hears_the_condition_where_that_is_asked() -> None:
    lengths_B = torch.ones(3, dtype=torch.int64)
    x_B1 = torch.tensor([[1], [1], [2]])
    for condition in Condition:
        network = make_generator("one_to_many", condition=condition)
        told = network.decoder.stack.layers[0].cells[0].input_size
        logits = network(x_B1, lengths_B, TARGET_BS[:1].expand(3, -1))

        assert torch.equal(logits[0], logits[1])
        assert not torch.allclose(logits[0], logits[2])
        assert told == (4 if condition is Condition.INITIAL else 8)


def test_teaching_less_reads_own_symbols_and_repeats_with_the_generator() -> None:
    network = make_generator(attention="additive")
    x_BT, lengths_B = make_tokens(4, 3, 2)
    taught = network(x_BT, lengths_B, TARGET_BS)

    torch.manual_seed(5)
    first = network(x_BT, lengths_B, TARGET_BS, 0.3)
    torch.manual_seed(5)
    again = network(x_BT, lengths_B, TARGET_BS, 0.3)
    alone = network(x_BT, lengths_B, TARGET_BS, 0.0)
    other_target = network(x_BT, lengths_B, torch.full_like(TARGET_BS, 3), 0.0)

    assert torch.equal(first, again)
    assert torch.equal(taught[:, 0], first[:, 0])
    assert not torch.equal(taught, alone)
    assert torch.equal(alone, other_target)  # untaught, the target is never read


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("condition", list(Condition))
@pytest.mark.parametrize("attention", list(Attention))
@pytest.mark.parametrize("input_kind", ["tokens", "numeric"])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_announced_number_of_parameters_is_the_true_one(
    cell: dict[str, Any],
    input_kind: str,
    attention: Attention,
    condition: Condition,
    bidirectional: bool,
) -> None:
    network = make_generator(
        cell=cell,
        input_kind=input_kind,
        num_layers=3,
        attention=attention,
        condition=condition,
        bidirectional=bidirectional,
    )
    counted = sum(parameter.numel() for parameter in network.parameters())

    assert num_parameters(network.spec, network.shape) == counted


@pytest.mark.parametrize("input_kind", ["tokens", "numeric"])
@pytest.mark.parametrize("condition", list(Condition))
def test_a_condition_has_the_announced_number_of_parameters_too(
    condition: Condition, input_kind: str
) -> None:
    network = make_generator("one_to_many", input_kind, condition=condition, num_layers=2)
    counted = sum(parameter.numel() for parameter in network.parameters())

    assert num_parameters(network.spec, network.shape) == counted


def test_every_parameter_has_a_gradient() -> None:
    network = make_generator(attention="additive", condition="every_step", bidirectional=True)
    network(*make_tokens(4, 3, 2), TARGET_BS).square().sum().backward()

    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
