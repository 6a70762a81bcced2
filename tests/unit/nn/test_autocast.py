"""Under autocast every cell keeps its states in fp32 and its results close, and learns."""

from typing import Any

import pytest
import torch
from torch import Tensor

from shared.nn.spec import NetworkSpec
from shared.nn.stack import Stack
from tests.unit.nn.builders import CELLS

LENGTHS = torch.tensor([12, 5, 1])
SETTINGS: list[dict[str, Any]] = [
    {"hidden_size": 8},  # where loops are compiled
    {"hidden_size": 300},  # where other kernels take over
    {"hidden_size": 8, "layer_norm": True},  # where few fit
]


def run(stack: Stack, x_BTI: Tensor, *, lowered: bool) -> tuple[Tensor, list[Tensor], Tensor]:
    """Outputs, states and the whole gradient."""
    stack.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
        directions, after = stack(x_BTI, LENGTHS, stack.initial_state(3, x_BTI))
    h_BTH = torch.cat(directions, -1)
    h_BTH.float().square().mean().backward()
    gradients = [p.grad.flatten() for p in stack.parameters() if p.grad is not None]
    states = [tensor for layer in after for cell in layer for tensor in cell]
    return h_BTH.detach(), states, torch.cat(gradients)


def make(cell: dict[str, Any], setting: dict[str, Any]) -> Stack:
    torch.manual_seed(0)
    wanted = {"cell": cell, "bidirectional": True, "num_layers": 2, **setting}
    return Stack(NetworkSpec.model_validate(wanted), 5)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_outputs_and_gradients_stay_close_and_states_are_not_lowered(
    cell: dict[str, Any], setting: dict[str, Any]
) -> None:
    stack = make(cell, setting)
    x_BTI = torch.randn(3, 12, 5)

    h_BTH, _, gradient = run(stack, x_BTI, lowered=False)
    lowered_BTH, states, lowered_gradient = run(stack, x_BTI, lowered=True)

    assert {tensor.dtype for tensor in (lowered_BTH, *states)} == {torch.float32}
    assert len(lowered_gradient) == sum(p.numel() for p in stack.parameters())
    assert (lowered_BTH - h_BTH).abs().max() < 0.03
    assert (lowered_gradient - gradient).norm() < 0.03 * gradient.norm()


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_inputs_that_something_lowered_are_taken(cell: dict[str, Any]) -> None:
    stack = make(cell, SETTINGS[0])
    x_BTI = torch.randn(3, 12, 5).bfloat16()

    lowered_BTH, states, _ = run(stack, x_BTI, lowered=True)

    assert {tensor.dtype for tensor in (lowered_BTH, *states)} == {torch.float32}
    torch.testing.assert_close(
        lowered_BTH, run(stack, x_BTI.float(), lowered=True)[0], rtol=0, atol=0.03
    )
