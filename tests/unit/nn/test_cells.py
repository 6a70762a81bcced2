"""What every cell promises: pieces equal the whole, options act as said, starts are as described."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from shared.nn.catalog import CARDS
from shared.nn.cells.base import CellOptions
from shared.nn.cells.gru import GruCell
from shared.nn.cells.lstm import LstmCell
from shared.nn.cells.minlstm import MinLstmCell, input_weight
from shared.nn.cells.registry import build_cell
from shared.nn.kernels import limits
from shared.nn.layer import merge as merged
from shared.nn.spec import GruSpec, LstmSpec, MinLstmSpec, NetworkSpec
from shared.nn.stack import Stack
from tests.unit.nn.builders import CELLS, OWN_CELLS, make_input, make_stack, randomised

FULL = torch.tensor([6, 6])


def run(stack: Stack, x_BTI: Tensor) -> tuple[list[Tensor], Any]:
    directions, state = stack(x_BTI, FULL, stack.initial_state(2, x_BTI))
    return directions, state


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_sequence_in_pieces_equals_the_whole_one(cell: dict[str, Any], layer_norm: bool) -> None:
    stack = make_stack(cell, hidden_size=[4, 3], layer_norm=layer_norm)
    x_BTI, _ = make_input(6, 6)
    whole, whole_state = run(stack, x_BTI)

    state, pieces = stack.initial_state(2, x_BTI), []
    for t in range(6):
        piece, state = stack(x_BTI[:, t : t + 1], torch.tensor([1, 1]), state)
        pieces.append(piece[0])

    torch.testing.assert_close(torch.cat(pieces, 1), whole[0], atol=1e-12, rtol=0)
    torch.testing.assert_close(state, whole_state, atol=1e-12, rtol=0)


@pytest.mark.parametrize("has_compiler", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_path_for_whole_sequences_equals_the_equation(
    cell: dict[str, Any], has_compiler: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "has_compiler", lambda: has_compiler)
    spec = NetworkSpec.model_validate({"cell": cell}).cell
    one = build_cell(spec, 5, 4, CellOptions())
    randomised(one)
    x_BTI, _ = make_input(6, 6)
    x_BTI.requires_grad_()
    state = tuple(torch.rand_like(h).requires_grad_() for h in one.initial_state(2, x_BTI))
    inputs = [x_BTI, *state, *one.parameters()]

    results = []
    for path in (one.unroll, one.sequence):
        h_BTH, after = path(x_BTI, state)
        weights = torch.rand(3, generator=torch.Generator().manual_seed(5))
        loss = (h_BTH**2).sum() + sum(
            w * (s**3).sum() for w, s in zip(weights, after, strict=False)
        )
        results.append((h_BTH, after, torch.autograd.grad(loss, inputs)))

    torch.testing.assert_close(results[0], results[1], atol=1e-11, rtol=0)


@pytest.mark.parametrize("has_compiler", [False, True])
@pytest.mark.parametrize("options", [{"recurrent_dropout": 0.5}, {"layer_norm": True}], ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_path_for_options_equals_the_equation(
    cell: dict[str, Any],
    options: dict[str, Any],
    has_compiler: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "has_compiler", lambda: has_compiler)
    spec = NetworkSpec.model_validate({"cell": cell}).cell
    one = build_cell(spec, 5, 4, CellOptions(**options))
    randomised(one)
    x_BTI, _ = make_input(6, 6)
    x_BTI.requires_grad_()
    state = tuple(torch.rand_like(h).requires_grad_() for h in one.initial_state(2, x_BTI))
    keep_BH = one.draw_mask(state[0])
    inputs = [x_BTI, *state, *one.parameters()]

    results = []
    for path in (one.unroll, one.optional):
        h_BTH, after = path(x_BTI, state, keep_BH)
        loss = (h_BTH**2).sum() + sum((each**3).sum() for each in after)
        results.append((h_BTH, after, torch.autograd.grad(loss, inputs)))

    torch.testing.assert_close(results[0], results[1], atol=1e-11, rtol=0)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_without_gradients_a_sequence_comes_out_the_same(cell: dict[str, Any]) -> None:
    stack = make_stack(cell, hidden_size=[4, 3])
    x_BTI, _ = make_input(6, 6)

    with torch.no_grad():
        outputs, state = run(stack, x_BTI)

    torch.testing.assert_close((outputs, state), run(stack, x_BTI), atol=1e-12, rtol=0)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_every_parameter_is_used(cell: dict[str, Any]) -> None:
    stack = make_stack(cell, num_layers=2, bidirectional=True, layer_norm=True)

    directions, _ = run(stack, make_input(6, 6)[0])
    torch.cat(directions).pow(2).sum().backward()

    unused = [name for name, p in stack.named_parameters() if p.grad is None or not p.grad.any()]
    assert unused == []


@pytest.mark.parametrize(
    "cell", [cell for cell in CELLS if not cell["type"].startswith("min")], ids=str
)
def test_recurrent_dropout_holds_one_mask_for_a_sequence_and_rests_in_evaluation(
    cell: dict[str, Any],
) -> None:
    dropping = make_stack(cell, recurrent_dropout=0.5)
    plain = make_stack(cell)
    x_BTI, _ = make_input(6, 6)

    torch.manual_seed(1)
    first = run(dropping.train(), x_BTI)[0][0]
    torch.manual_seed(1)
    again = run(dropping, x_BTI)[0][0]
    other = run(dropping, x_BTI)[0][0]
    calm = run(dropping.eval(), x_BTI)[0][0]

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.testing.assert_close(calm, run(plain, x_BTI)[0][0], atol=1e-12, rtol=0)
    # the state before the first step is zero, so a mask cannot show there
    torch.testing.assert_close(first[:, 0], calm[:, 0], atol=1e-12, rtol=0)


def test_a_recurrent_mask_stays_the_same_from_step_to_step() -> None:
    stack = make_stack({"type": "elman"}, recurrent_dropout=0.5)
    one = stack.get_submodule("layers.0.cells.0")
    weights = {name: parameter.detach() for name, parameter in one.named_parameters()}
    x_BTI, _ = make_input(6, 6)
    torch.manual_seed(7)
    keep_BH = functional.dropout(torch.ones(2, 4, dtype=torch.float64), 0.5)

    torch.manual_seed(7)
    outputs = run(stack.train(), x_BTI)[0][0]

    h_BH = torch.zeros(2, 4, dtype=torch.float64)
    for t in range(6):
        x_BH = functional.linear(x_BTI[:, t], weights["weight_ih"], weights["bias_ih"])
        u_BH = functional.linear(h_BH * keep_BH, weights["weight_hh"], weights["bias_hh"])
        h_BH = torch.tanh(x_BH + u_BH)
        torch.testing.assert_close(outputs[:, t], h_BH, atol=1e-12, rtol=0)


@pytest.mark.parametrize("merge", ["concat", "sum", "mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_residual_layer_adds_its_input_to_its_output(bidirectional: bool, merge: str) -> None:
    options: dict[str, Any] = {"bidirectional": bidirectional, "merge": merge}
    stack = make_stack({"type": "gru"}, num_layers=2, residual=True, **options)
    how, (x_BTI, lengths_B) = stack.how, make_input(6, 3)
    state = stack.initial_state(2, x_BTI)

    below = merged(stack.layers[0](x_BTI, lengths_B, state[0])[0], how)
    above = merged(stack.layers[1](below, lengths_B, state[1])[0], how)

    output = merged(stack(x_BTI, lengths_B, state)[0], how)
    torch.testing.assert_close(output, below + above, atol=1e-12, rtol=0)


def test_normalised_gates_do_not_feel_the_scale_of_the_input() -> None:
    stack = make_stack({"type": "lstm"}, layer_norm=True)
    x_BTI, _ = make_input(6, 6)

    torch.testing.assert_close(
        run(stack, 1e6 * x_BTI)[0][0], run(stack, 1e5 * x_BTI)[0][0], atol=1e-6, rtol=0
    )


def test_the_forget_gate_starts_open_and_recurrent_weights_orthogonal() -> None:
    one = LstmCell(LstmSpec(forget_bias=1.5), 3, 4, CellOptions())

    biases = [bias.tolist() for bias in one.bias_ih.split(4)]
    assert biases == [[0.0] * 4, [1.5] * 4, [0.0] * 4, [0.0] * 4]
    for block_HH in one.weight_hh.split(4):
        torch.testing.assert_close(block_HH @ block_HH.T, torch.eye(4), atol=1e-5, rtol=0)


def test_a_coupled_forget_gate_starts_as_open_as_a_free_one() -> None:
    coupled = LstmCell(LstmSpec(coupled_gates=True, forget_bias=1.5), 3, 4, CellOptions())
    free = LstmCell(LstmSpec(forget_bias=1.5), 3, 4, CellOptions())

    forgets = 1 - torch.sigmoid(coupled.bias_ih[:4])
    torch.testing.assert_close(forgets, torch.sigmoid(free.bias_ih[4:8]))


def test_minlstm_gates_sum_to_one_even_when_both_are_closed() -> None:
    x = torch.tensor([-200.0, -200.0, 0.0, 300.0])
    y = torch.tensor([-200.0, -300.0, 0.0, -300.0])

    weight, other = input_weight(x, y), input_weight(y, x)
    torch.testing.assert_close(weight, torch.tensor([0.5, 1.0, 0.5, 1.0]))
    torch.testing.assert_close(weight + other, torch.ones(4))
    assert MinLstmCell(MinLstmSpec(forget_bias=2.0), 3, 4, CellOptions()).bias_ih[4:8].eq(2).all()


def test_the_two_forms_of_the_gru_agree_where_the_reset_gate_is_open() -> None:
    before = GruCell(GruSpec(reset_after=False), 5, 4, CellOptions())
    randomised(before)
    after = GruCell(GruSpec(), 5, 4, CellOptions())
    after.double().load_state_dict(before.state_dict())
    with torch.no_grad():
        for one in (before, after):
            one.bias_ih[:4] = 100.0  # r = 1
        for parameter in after.parameters():
            parameter[4:8] *= -1  # z keeps what it takes in the other form
    x_BTI, _ = make_input(6, 6)
    state = before.initial_state(2, x_BTI)

    torch.testing.assert_close(before(x_BTI, state), after(x_BTI, state), atol=1e-12, rtol=0)


@pytest.mark.parametrize("cell", OWN_CELLS, ids=str)
def test_a_seed_decides_everything(cell: dict[str, Any]) -> None:
    first, second = (make_stack(cell, num_layers=2, dropout=0.2).train() for _ in range(2))
    x_BTI, _ = make_input(6, 6)

    outputs = []
    for stack in (first, second):
        torch.manual_seed(2)
        outputs.append(run(stack, x_BTI)[0][0])
    assert torch.equal(*outputs)


def test_every_number_of_states_is_as_the_card_says() -> None:
    for cell in CELLS:
        stack = make_stack(cell)
        assert len(stack.initial_state(1, torch.zeros(1))[0][0]) == CARDS[cell["type"]].num_states
