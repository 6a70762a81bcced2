"""Our Triton kernels on a CPU, by Triton's interpreter; test_triton.py runs this in a process.

The interpreter is asked for in the environment, before Triton is imported, and no GPU is: that a
tensor is on one is pretended, so that each cell chooses its kernel by itself.
"""

from typing import Any

import pytest
import torch

from shared.nn.catalog import TRITON
from shared.nn.kernels import limits, scan, whole
from tests.unit.nn.test_devices import CLOSE, IN_GRAPH, gradients, kernels, make_cell, make_given

CELLS: list[dict[str, Any]] = [
    {"type": "lstm", "peephole": True},
    {"type": "lstm", "peephole": True, "coupled_gates": True},
    {"type": "gru", "reset_after": False},
    {"type": "mgu"},
    {"type": "jordan"},
    {"type": "jordan", "activation": "relu", "output_activation": "identity"},
    {"type": "mingru"},
    {"type": "minlstm"},
]
SIZES = [(3, 4, 5, 7), (1, 1, 2, 4), (17, 2, 4, 33), (2, 2, 3, 130)]
"""Rows, steps, inputs, units: less than a tile has, one alone, more than a tile in each direction."""


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "has_compiler", lambda: False)
    for module in (whole, scan):
        monkeypatch.setattr(module, "suits_triton", lambda x, weight: True)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_kernel_gives_what_the_equation_says(cell: dict[str, Any], size: tuple[int, ...]) -> None:
    rows, steps, inputs, units = size
    module = make_cell(cell, inputs, units, "cpu")
    given = make_given(module, rows, steps, "cpu")

    plain, walked = module.unroll(*given), module.sequence(*given)
    expected, found = (gradients(each, module, *given) for each in (plain, walked))

    assert kernels(walked[0].grad_fn) & IN_GRAPH[TRITON]
    torch.testing.assert_close(walked, plain, **CLOSE[torch.float32])
    torch.testing.assert_close(found, expected, **CLOSE[torch.float32])


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_under_autocast_a_kernel_gives_about_the_same(cell: dict[str, Any]) -> None:
    """In float16, since the interpreter does not multiply bfloat16."""
    module = make_cell(cell, 5, 20, "cpu")
    x_BTI, state = make_given(module, 3, 3, "cpu")

    plain = module.unroll(x_BTI, state)
    with torch.autocast("cpu", torch.float16):
        walked = module.sequence(x_BTI, state)
    expected, found = (gradients(each, module, x_BTI, state) for each in (plain, walked))

    assert walked[0].dtype == torch.float32
    torch.testing.assert_close(walked[0], plain[0], **CLOSE[torch.bfloat16])
    torch.testing.assert_close(found, expected, **CLOSE[torch.bfloat16])


@pytest.mark.parametrize("cell", CELLS[:-2], ids=str)
def test_recurrent_products_follow_autocast(cell: dict[str, Any]) -> None:
    module = make_cell(cell, 5, 20, "cpu")

    with torch.autocast("cpu", torch.float16):
        h_BTH, _ = module.sequence(*make_given(module, 3, 3, "cpu"))
    assert h_BTH.grad_fn is not None
    walk: Any = h_BTH.grad_fn.next_functions[0][0]  # behind what puts the batch first

    assert torch.float16 in {kept.dtype for kept in walk.saved_tensors}


@pytest.mark.parametrize("cell", CELLS[-2:], ids=str)
def test_a_scan_goes_from_chunk_to_chunk(cell: dict[str, Any]) -> None:
    module = make_cell(cell, 1, 2, "cpu")
    given = make_given(module, 1, 65, "cpu")

    plain, scanned = module.unroll(*given), module.sequence(*given)
    expected, found = (gradients(each, module, *given) for each in (plain, scanned))

    torch.testing.assert_close(scanned, plain, **CLOSE[torch.float32])
    torch.testing.assert_close(found, expected, **CLOSE[torch.float32])


def test_only_the_last_cell_state_may_be_asked_to_learn_from() -> None:
    module = make_cell(CELLS[0], 3, 5, "cpu")
    x_BTI, state = make_given(module, 2, 4, "cpu")

    (expected,) = torch.autograd.grad(module.unroll(x_BTI, state)[1][1].sum(), x_BTI)
    (found,) = torch.autograd.grad(module.sequence(x_BTI, state)[1][1].sum(), x_BTI)

    torch.testing.assert_close(found, expected, **CLOSE[torch.float32])
