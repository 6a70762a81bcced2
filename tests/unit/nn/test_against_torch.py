"""Our layers against torch.nn's own stacks with the same weights: outputs, states and gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from shared.nn.layer import last_outputs, merge
from shared.nn.readout import real_steps
from shared.nn.spec import Merge, NetworkSpec
from shared.nn.stack import Stack
from tests.unit.nn.builders import TORCH_CELLS, make_input, make_stack

KERNELS = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def torch_stack(stack: Stack, spec: NetworkSpec) -> nn.RNNBase:
    """torch.nn's multi-layer module with the stack's weights."""
    options: dict[str, Any] = {}
    if spec.cell.type == "elman":
        options["nonlinearity"] = spec.cell.activation
    reference = KERNELS[spec.cell.type](
        5,
        spec.hidden_size,
        spec.num_layers,
        batch_first=True,
        bidirectional=spec.bidirectional,
        **options,
    ).double()
    for (k, d), name in parameter_names(spec):
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            ours = stack.get_parameter(f"layers.{k}.cells.{d}.{part}")
            with torch.no_grad():
                reference.get_parameter(f"{part}{name}").copy_(ours)
    return reference


def parameter_names(spec: NetworkSpec) -> list[tuple[tuple[int, int], str]]:
    suffixes = ["", "_reverse"][: spec.num_directions]
    return [
        ((k, d), f"_l{k}{suffix}")
        for k in range(spec.num_layers)
        for d, suffix in enumerate(suffixes)
    ]


def run_reference(reference: nn.RNNBase, x_BTI: Tensor, lengths_B: Tensor) -> tuple[Tensor, Any]:
    packed = pack_padded_sequence(x_BTI, lengths_B, batch_first=True, enforce_sorted=False)
    output, state = reference(packed)
    return pad_packed_sequence(output, batch_first=True, total_length=x_BTI.shape[1])[0], state


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", TORCH_CELLS, ids=str)
def test_outputs_and_every_gradient_equal_torch_with_lengths(
    cell: dict[str, Any], bidirectional: bool, num_layers: int
) -> None:
    options = {"num_layers": num_layers, "bidirectional": bidirectional}
    spec = NetworkSpec.model_validate({"cell": cell, "hidden_size": 4, **options})
    stack = make_stack(cell, **options)
    reference = torch_stack(stack, spec)
    x_BTI, lengths_B = make_input(7, 2, 5, 1)
    ours_x, torchs_x = (x_BTI.clone().requires_grad_() for _ in range(2))

    directions, _ = stack(ours_x, lengths_B, stack.initial_state(4, x_BTI))
    mask_BT1 = real_steps(lengths_B, 7).unsqueeze(-1)
    ours = merge(directions, Merge.CONCAT) * mask_BT1
    torchs, state = run_reference(reference, torchs_x, lengths_B)
    weights = torch.randn_like(torchs)
    (ours * weights).sum().backward()
    (torchs * weights).sum().backward()

    torch.testing.assert_close(ours, torchs, atol=1e-12, rtol=0)
    torch.testing.assert_close(ours_x.grad, torchs_x.grad, atol=1e-10, rtol=0)
    for (k, d), name in parameter_names(spec):
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            ours_grad = stack.get_parameter(f"layers.{k}.cells.{d}.{part}").grad
            torchs_grad = reference.get_parameter(f"{part}{name}").grad
            torch.testing.assert_close(ours_grad, torchs_grad, atol=1e-10, rtol=0)
    h_KBH = state[0] if isinstance(state, tuple) else state
    last = torch.stack(last_outputs(directions, lengths_B))
    torch.testing.assert_close(last, h_KBH[-spec.num_directions :], atol=1e-12, rtol=0)
