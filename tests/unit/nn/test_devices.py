"""What each cell computes fastest against its equation, step after step, on every device here."""

from typing import Any

import pytest
import torch
from torch import Tensor

from shared.nn.catalog import COMPILED, OWN, PLAIN, TRITON, kernel_of
from shared.nn.cells.base import Cell, CellOptions, State
from shared.nn.cells.registry import build_cell
from shared.nn.spec import NetworkSpec
from tests.unit.nn.builders import CELLS

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SIZES = [(5, 9, 7, 33), (1, 1, 3, 16), (18, 40, 12, 130)]
"""Rows, steps, inputs, units: neither as a tile has them, one alone, and several tiles."""
CLOSE = {torch.float32: {"atol": 2e-5, "rtol": 1e-4}, torch.bfloat16: {"atol": 0.1, "rtol": 0.1}}


IN_GRAPH = {
    COMPILED: {"CompiledSequenceBackward"},
    TRITON: {"WalkedSequenceBackward", "ParallelScanBackward"},
    OWN: {
        "torch::autograd::CopySlices",  # of an elman, whose outputs take the memory of its inputs' share
        "JordanSequenceBackward",
        "MguSequenceBackward",
        "PeepholeSequenceBackward",
        "ResetAfterBackward",
        "ResetBeforeBackward",
        "ScanBackward",
    },
    **{f"torch.nn.{name}": {"CudnnRnnBackward0"} for name in ("RNN", "LSTM", "GRU")},
}
"""What autograd finds behind an output, by the kernel that a job reports."""
FAST = [cell for cell in CELLS if kernel_of(NetworkSpec.model_validate({"cell": cell})) != PLAIN]
"""Cells that something faster computes than a loop of torch operations."""


def make_cell(wanted: dict[str, Any], inputs: int, units: int, device: str) -> Cell:
    torch.manual_seed(7)
    spec = NetworkSpec.model_validate({"cell": wanted}).cell
    cell = build_cell(spec, inputs, units, CellOptions())
    with torch.no_grad():
        for parameter in cell.parameters():
            if parameter.dim() == 1 or parameter.shape[0] < units:
                parameter.uniform_(-0.5, 0.5)
    return cell.to(device)


def make_given(cell: Cell, rows: int, steps: int, device: str) -> tuple[Tensor, State]:
    generator = torch.Generator().manual_seed(8)

    def rand(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device).requires_grad_()

    state = tuple(rand(rows, cell.hidden_size) for _ in range(cell.num_states))
    return rand(rows, steps, cell.input_size), state


def gradients(
    result: tuple[Tensor, State], cell: Cell, x_BTI: Tensor, state: State
) -> dict[str, Tensor]:
    """Of a loss that every output and last state has a part in, by name of what it depends on."""
    h_BTH, last = result
    loss = h_BTH.float().square().mean() + sum(each.float().cos().mean() for each in last)
    wanted = {"x": x_BTI, **{f"state {n}": each for n, each in enumerate(state)}}
    wanted.update(cell.named_parameters())
    return dict(zip(wanted, torch.autograd.grad(loss, list(wanted.values())), strict=True))


def kernels(node: Any) -> set[str]:
    """Names of all that autograd will go back through."""
    before = (each for each, _ in node.next_functions if each is not None)
    return {node.name()}.union(*(kernels(each) for each in before))


@pytest.mark.parametrize("cell", FAST, ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_a_job_reports_the_kernel_that_ran(device: str, cell: dict[str, Any]) -> None:
    module = make_cell(cell, 3, 40, device)
    reported = kernel_of(NetworkSpec.model_validate({"cell": cell, "hidden_size": 40}), device)

    h_BTH, _ = module.sequence(*make_given(module, 2, 4, device))

    ran = {name for names in IN_GRAPH.values() for name in names & kernels(h_BTH.grad_fn)}
    assert ran
    assert ran <= IN_GRAPH[reported]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_the_fastest_way_gives_what_the_equation_says(
    device: str, cell: dict[str, Any], size: tuple[int, ...]
) -> None:
    rows, steps, inputs, units = size
    module = make_cell(cell, inputs, units, device)
    given = make_given(module, rows, steps, device)

    with torch.backends.cudnn.flags(allow_tf32=False):
        plain, fast = module.unroll(*given), module.sequence(*given)
        expected, found = (gradients(each, module, *given) for each in (plain, fast))

    torch.testing.assert_close(fast, plain, **CLOSE[torch.float32])
    torch.testing.assert_close(found, expected, **CLOSE[torch.float32])


@pytest.mark.parametrize("cell", FAST, ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_in_mixed_precision_the_fastest_way_gives_about_the_same(
    device: str, cell: dict[str, Any]
) -> None:
    module = make_cell(cell, 12, 40, device)
    x_BTI, state = make_given(module, 6, 10, device)
    narrow = tuple(each.bfloat16() for each in state)

    plain = module.unroll(x_BTI, state)
    with torch.autocast(device, torch.bfloat16):
        fast = module.sequence(x_BTI, narrow)
    expected, found = (gradients(each, module, x_BTI, state) for each in (plain, fast))

    torch.testing.assert_close(fast[0].float(), plain[0], **CLOSE[torch.bfloat16])
    torch.testing.assert_close(found, expected, **CLOSE[torch.bfloat16])
