"""Our modules in the place of torch.nn's: forms of input, states, gradients, and what differs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from shared.nn import modules
from tests.unit.nn.builders import make_input, randomised

PAIRS: list[tuple[Any, Any, dict[str, Any]]] = [
    (modules.LSTM, nn.LSTM, {}),
    (modules.GRU, nn.GRU, {}),
    (modules.RNN, nn.RNN, {}),
    (modules.RNN, nn.RNN, {"nonlinearity": "relu"}),
]
OWN: list[tuple[Any, dict[str, Any]]] = [
    (modules.LSTM, {"peephole": True, "coupled_gates": True}),
    (modules.GRU, {"reset_after": False}),
    (modules.RNN, {"nonlinearity": "sigmoid"}),
    (modules.Jordan, {"output_activation": "sigmoid"}),
    (modules.MGU, {"layer_norm": True}),
    (modules.MinGRU, {}),
    (modules.MinLSTM, {}),
]


def both(pair: tuple[Any, Any, dict[str, Any]], **options: Any) -> tuple[nn.Module, nn.Module]:
    ours, torchs, own = pair
    torch.manual_seed(0)
    reference = torchs(5, 4, **own, **options).double()
    module = ours(5, 4, **own, **options).double()
    module.load_torch(reference)
    return module, reference


def states_like(module: Any, pair: Any, batch_size: int) -> Any:
    generator = torch.Generator().manual_seed(9)
    shape = (module.num_layers * module.num_directions, batch_size, 4)
    h, c = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return (h, c) if pair[0] is modules.LSTM else h


def total(output: Any, state: Any) -> Tensor:
    data = output.data if isinstance(output, PackedSequence) else output
    states = state if isinstance(state, tuple) else (state,)
    return (data**2).sum() + sum((k + 2) * (each**3).sum() for k, each in enumerate(states))


def assert_same(ours: nn.Module, torchs: nn.Module, x: Any, hx: Any) -> None:
    output, state = ours(x, hx)
    expected, expected_state = torchs(x, hx)

    torch.testing.assert_close(tuple(output), tuple(expected), atol=1e-12, rtol=0)
    torch.testing.assert_close(state, expected_state, atol=1e-12, rtol=0)
    grads = [torch.autograd.grad(total(output, state), list(ours.parameters()))]
    names = [name for name, _ in torchs.named_parameters()]
    grads.append(torch.autograd.grad(total(expected, expected_state), list(torchs.parameters())))
    assert len(names) == len(grads[0])
    torch.testing.assert_close(grads[0], grads[1], atol=1e-10, rtol=0)


@pytest.mark.parametrize("given_state", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].__name__}{pair[2]}")
def test_padded_batches_equal_torch(
    pair: Any, batch_first: bool, bidirectional: bool, given_state: bool
) -> None:
    options = {"batch_first": batch_first, "bidirectional": bidirectional, "num_layers": 2}
    ours, torchs = both(pair, **options)
    x_BTI, _ = make_input(6, 6, 6)
    x = x_BTI if batch_first else x_BTI.transpose(0, 1)

    assert_same(ours, torchs, x, states_like(ours, pair, 3) if given_state else None)


@pytest.mark.parametrize("lengths", [[7, 2, 5, 2], [3, 3], [4]])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].__name__}{pair[2]}")
def test_packed_sequences_equal_torch(pair: Any, bidirectional: bool, lengths: list[int]) -> None:
    ours, torchs = both(pair, bidirectional=bidirectional, num_layers=2)
    x_BTI, lengths_B = make_input(*lengths)
    packed = pack_padded_sequence(x_BTI, lengths_B, batch_first=True, enforce_sorted=False)

    assert_same(ours, torchs, packed, states_like(ours, pair, len(lengths)))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].__name__}{pair[2]}")
def test_one_sequence_without_a_batch_equals_torch(pair: Any) -> None:
    ours, torchs = both(pair)
    x_TI = make_input(6)[0][0]
    state = states_like(ours, pair, 1)
    hx = tuple(h[:, 0] for h in state) if isinstance(state, tuple) else state[:, 0]

    assert_same(ours, torchs, x_TI, hx)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", OWN, ids=str)
def test_a_packed_row_comes_out_as_it_would_alone(kind: Any, bidirectional: bool) -> None:
    build, options = kind
    torch.manual_seed(0)
    module = build(5, 4, num_layers=2, batch_first=True, bidirectional=bidirectional, **options)
    randomised(module)
    x_BTI, lengths_B = make_input(3, 6, 1, 6)
    packed = pack_padded_sequence(x_BTI, lengths_B, batch_first=True, enforce_sorted=False)

    output, state = module(packed)
    output_BTD, _ = pad_packed_sequence(output, batch_first=True)
    states = state if isinstance(state, tuple) else (state,)
    for row, length in enumerate(lengths_B.tolist()):
        alone, last = module(x_BTI[row : row + 1, :length])
        lasts = last if isinstance(last, tuple) else (last,)
        torch.testing.assert_close(output_BTD[row, :length], alone[0], atol=1e-12, rtol=0)
        company = tuple(each[:, row : row + 1] for each in states)
        torch.testing.assert_close(company, lasts, atol=1e-12, rtol=0)


def test_one_recurrent_mask_serves_a_packed_row_to_its_end() -> None:
    torch.manual_seed(0)
    module = modules.RNN(5, 4, batch_first=True, recurrent_dropout=0.5)
    randomised(module)
    x_BTI = make_input(6, 6)[0]
    packed = pack_padded_sequence(x_BTI, torch.tensor([6, 3]), batch_first=True)

    torch.manual_seed(1)
    whole, _ = module(x_BTI)
    torch.manual_seed(1)
    ragged, _ = pad_packed_sequence(module(packed)[0], batch_first=True)

    torch.testing.assert_close(ragged[0], whole[0], atol=1e-12, rtol=0)


def test_dropout_acts_between_layers_and_not_behind_the_last() -> None:
    torch.manual_seed(0)
    one, two = (modules.GRU(5, 4, layers, dropout=0.9) for layers in (1, 2))
    x_TBI = make_input(6, 6)[0].float().transpose(0, 1)

    assert torch.equal(one(x_TBI)[0], one(x_TBI)[0])
    assert not torch.equal(two(x_TBI)[0], two(x_TBI)[0])


@pytest.mark.parametrize(
    ("x", "hx", "reason"),
    [
        (torch.zeros(3, 2, 6), None, "input_size is 5"),
        (torch.zeros(3, 2, 5), torch.zeros(1, 2, 4), "2 of \\(1, 2, 4\\) are needed"),
        (torch.zeros(3, 2, 5), (torch.zeros(1, 3, 4),) * 2, "are needed"),
    ],
)
def test_what_does_not_fit_is_refused(x: Tensor, hx: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        modules.LSTM(5, 4)(x, hx)


def test_torchs_weights_do_not_load_into_a_cell_with_others() -> None:
    with pytest.raises(RuntimeError, match="peepholes"):
        modules.LSTM(5, 4, peephole=True).load_torch(nn.LSTM(5, 4))


@pytest.mark.parametrize("build", [modules.LSTM, modules.GRU], ids=lambda build: build.__name__)
def test_a_type_that_compiled_loops_do_not_know_takes_another_path(build: Any) -> None:
    torch.manual_seed(0)
    module, x_TBI = build(5, 4), torch.randn(3, 2, 5)
    expected = module(x_TBI)[0]

    output = module.bfloat16()(x_TBI.bfloat16())[0]

    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=0.05, rtol=0)
