"""A trace shows what the fast path computes: every cell, option and direction, and what is said of it."""

from typing import Any

import pytest
import torch

from shared.nn.cells.seen import Keep, Seen
from shared.nn.generation import beginning, greedy
from shared.nn.network import Network
from shared.nn.spec import WITHOUT_RECURRENT_PRODUCT
from shared.nn.trace import CellTrace, half_lives, places, summarised, trace
from tests.unit.nn.builders import CELLS, make_generator, make_input, make_network, make_tokens

NAMES = {
    "elman": "h",
    "jordan": "ay",
    "lstm": "ifgoch",
    "gru": "rznh",
    "mgu": "fnh",
    "mingru": "znh",
    "minlstm": "ifknh",
}
KEPT = {"lstm": "f", "mgu": "1 - f", "mingru": "1 - z", "minlstm": "k"}


def in_float32(**network: Any) -> Network:
    made = make_network("many_to_many", **network).float().eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.uniform_(-0.8, 0.8)
    return made


@torch.inference_mode()
def traced(network: Network, num_steps: int = 9) -> tuple[torch.Tensor, list[CellTrace]]:
    x_BTI, lengths_B = make_input(num_steps)
    return trace(network, lambda double: double(x_BTI.float(), lengths_B)[0])


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"recurrent_dropout": 0.3}], ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_trace_equals_the_fast_path(cell: dict[str, Any], options: dict[str, Any]) -> None:
    if cell["type"] in WITHOUT_RECURRENT_PRODUCT and "recurrent_dropout" in options:
        options = {"dropout": 0.3}
    network = in_float32(cell=cell, num_layers=2, bidirectional=True, **options)
    output, layers = traced(network)
    x_BTI, lengths_B = make_input(9)
    with torch.inference_mode():
        [top_forward, top_backward], _ = network.stack(
            x_BTI.float(), lengths_B, network.initial_state(1)
        )

    assert [(each.place.layer, each.place.direction) for each in layers] == [
        (1, "forward"), (1, "backward"), (2, "forward"), (2, "backward"),
    ]  # fmt: skip
    last = NAMES[cell["type"]][-1]
    for each, fast in zip(layers[2:], (top_forward, top_backward), strict=True):
        assert "".join(each.arrays) == NAMES[cell["type"]]
        assert {tuple(array.shape) for array in each.arrays.values()} == {(9, 4)}
        torch.testing.assert_close(each.arrays[last], fast[0], atol=1e-5, rtol=0)
    assert max(each.max_difference for each in layers) <= 1e-5
    torch.testing.assert_close(output, network(x_BTI.float(), lengths_B)[0].detach())


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_gates_obey_the_equation(cell: dict[str, Any]) -> None:
    [layer] = traced(in_float32(cell=cell))[1]
    found, kept = layer.arrays, layer.place.cell.keep
    gates = [found[seen.name] for seen in layer.place.cell.arrays if seen.kind == "gate"]

    assert all((gate >= 0).all() and (gate <= 1).all() for gate in gates)
    if kept is None:
        assert cell["type"] in ("elman", "jordan")
        return
    if cell["type"] == "lstm":
        state, new = "c", found["i"] * found["g"]
        gated = torch.tanh(found["c"]) * found["o"]
        torch.testing.assert_close(found["h"], gated)
        if cell.get("coupled_gates"):
            torch.testing.assert_close(found["f"], 1 - found["i"])
    else:
        state, new = "h", (1 - kept.share(found[kept.gate])) * found["n"]
    share = kept.share(found[kept.gate])
    torch.testing.assert_close(found[state][1:], share[1:] * found[state][:-1] + new[1:])
    default = "z" if cell.get("reset_after", True) else "1 - z"
    assert kept.formula == KEPT.get(cell["type"], default)


def test_residual_layers_are_traced_as_they_run() -> None:
    network = in_float32(cell="gru", num_layers=3, residual=True)

    assert max(each.max_difference for each in traced(network)[1]) <= 1e-5


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "attention": "additive"}], ids=str)
def test_a_generator_is_traced_while_it_writes(options: dict[str, Any]) -> None:
    network = make_generator(num_layers=2, **options)
    x_BT, lengths_B = make_tokens(5)
    [plain] = greedy(beginning(network, x_BT, lengths_B), 8)
    [written], layers = trace(network, lambda double: greedy(beginning(double, x_BT, lengths_B), 8))
    parts = [each.place.part for each in layers]

    assert written == plain
    directions = 2 if options else 1
    assert parts == ["encoder"] * (2 * directions) + ["decoder"] * 2
    assert {each.num_steps for each in layers if each.place.part == "encoder"} == {5}
    [steps] = {each.num_steps for each in layers if each.place.part == "decoder"}
    assert steps in (len(written.symbols), len(written.symbols) + 1)
    assert max(each.max_difference for each in layers) < 1e-12


def test_a_trace_leaves_the_network_alone() -> None:
    network = in_float32(cell="lstm")
    [own] = places(network)
    _, [layer] = traced(network)

    assert layer.place.cell is not own.cell
    assert layer.place.cell.weight_ih is own.cell.weight_ih
    assert all(not place.cell._forward_hooks for place in places(network))


def test_half_of_what_a_unit_holds_is_left_after_its_half_life() -> None:
    gate_TH = torch.tensor([[0.5, 0.25, 1.0, 0.0, 0.81], [0.5, 1.0, 1.0, 0.5, 1.0]])
    found = half_lives(Keep("f"), gate_TH).tolist()
    other = half_lives(Keep("z", inverted=True), 1 - gate_TH).tolist()

    assert found == pytest.approx([1.0, 1.0, float("inf"), 0.0, 6.5788], rel=1e-4)
    assert other == pytest.approx(found, rel=1e-5)


def test_a_summary_counts_what_is_saturated_of_gates_alone() -> None:
    values = torch.tensor([[0.0, 0.04, 0.5, 0.96]])
    gate = summarised(Seen("f", "gate", "forget gate"), values)
    state = summarised(Seen("c", "cell_state", "cell state"), values)

    assert (gate.share_low, gate.share_high) == (0.5, 0.25)
    assert (state.share_low, state.share_high) == (None, None)
    assert state.mean == gate.mean == pytest.approx(0.375)
    assert (gate.min, gate.max) == pytest.approx((0.0, 0.96))
