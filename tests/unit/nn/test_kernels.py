"""Derivatives written by hand against numerical ones, in float64."""

import math
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from numba.core.event import install_recorder
from torch import Tensor
from torch.autograd import gradcheck

from shared.nn.cells.base import CellOptions
from shared.nn.cells.registry import build_cell
from shared.nn.kernels import compiled, gru_compiled, lstm_compiled, lstm_norm_compiled, ready
from shared.nn.kernels.elman import ElmanSequence, run_elman
from shared.nn.kernels.gru import ResetAfter, ResetBefore
from shared.nn.kernels.jordan import JordanSequence
from shared.nn.kernels.lstm import PeepholeSequence
from shared.nn.kernels.lstm_compiled import CompiledSequence
from shared.nn.kernels.lstm_norm_compiled import NormalisedSequence
from shared.nn.kernels.mgu import MguSequence
from shared.nn.kernels.ready import warm_up
from shared.nn.kernels.scan import Scan
from shared.nn.kernels.vendor import run_sigmoid
from shared.nn.spec import GruSpec, MguSpec

T, B, H = 4, 3, 2
ROOT = Path(__file__).parents[3]


def rand(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def on_copies(kernel: Any, num_written: int, *rest: Any) -> Callable[..., Any]:
    """A kernel writes on its first arguments, which a numerical derivative must not see."""

    def run(*tensors: Tensor) -> Any:
        written = [tensor.clone() for tensor in tensors[:num_written]]
        return kernel.apply(*written, *tensors[num_written:], *rest)

    return run


def with_mask_fourth(kernel: Any, mask: Tensor) -> Callable[..., Any]:
    def run(z_TBG: Tensor, h_BH: Tensor, c_BH: Tensor, *weights: Tensor) -> Any:
        return kernel.apply(z_TBG.clone(), h_BH, c_BH, mask, *weights)

    return run


MASKS = {
    "": torch.empty(0, H, dtype=torch.float64),
    ", masked": torch.tensor([[0.0, 1.5], [1.5, 0.0], [1.5, 1.5]], dtype=torch.float64),
}
CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    **{
        f"elman {name}": (on_copies(ElmanSequence, 1, name), ((T, B, H), (B, H), (H, H)))
        for name in ("tanh", "sigmoid", "relu")
    },
    **{
        f"jordan {hidden} {shown}": (
            on_copies(JordanSequence, 1, (hidden, shown)),
            ((T, B, H), (B, H), (H, H), (H, H), (H,)),
        )
        for hidden, shown in (("tanh", "sigmoid"), ("sigmoid", "tanh"), ("relu", "identity"))
    },
    "gru, reset after": (
        on_copies(ResetAfter, 1),
        ((T, B, 3 * H), (B, H), (3 * H, H), (3 * H,)),
    ),
    "gru, reset before": (on_copies(ResetBefore, 1), ((T, B, 3 * H), (B, H), (3 * H, H))),
    "mgu": (on_copies(MguSequence, 2), ((T, B, H), (T, B, H), (B, H), (2 * H, H))),
    "scan": (on_copies(Scan, 0), ((T, B, H), (T, B, H), (B, H))),
    "peepholes": (
        on_copies(PeepholeSequence, 1),
        ((T, B, 4 * H), (B, H), (B, H), (4 * H, H), (3, H)),
    ),
    **{
        f"gru, compiled{name}": (
            on_copies(gru_compiled.CompiledSequence, 1, mask),
            ((T, B, 3 * H), (B, H), (3 * H, H), (3 * H,)),
        )
        for name, mask in MASKS.items()
    },
    **{
        f"compiled, {gates} gates{name}": (
            on_copies(CompiledSequence, 1, mask),
            ((T, B, gates * H), (B, H), (B, H), (gates * H, H), (gates - 1, H)),
        )
        for gates in (3, 4)
        for name, mask in MASKS.items()
    },
    **{
        f"normalised, {gates} gates{name}": (
            with_mask_fourth(NormalisedSequence, mask),
            (
                *((T, B, gates * H), (B, H), (B, H), (gates * H, H), (gates - 1, H)),
                *((gates * H,), (H,), (H,)),
            ),
        )
        for gates in (3, 4)
        for name, mask in MASKS.items()
    },
    "peepholes, coupled": (
        on_copies(PeepholeSequence, 1),
        ((T, B, 3 * H), (B, H), (B, H), (3 * H, H), (2, H)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_derivative_is_the_numerical_one(name: str) -> None:
    kernel, shapes = CASES[name]
    torch.manual_seed(4)

    assert gradcheck(kernel, tuple(rand(*shape) for shape in shapes), atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_one_step_is_a_sequence_too(name: str) -> None:
    kernel, shapes = CASES[name]
    torch.manual_seed(4)
    short = tuple(
        (1, *shape[1:]) if shape[0] == T and len(shape) == 3 else shape for shape in shapes
    )

    assert gradcheck(kernel, tuple(rand(*shape) for shape in short), atol=1e-6)


LSTM_SHAPES = {gates: ((gates * 33, 33), (gates - 1, 33)) for gates in (3, 4)}
IN_FLOAT32: dict[str, tuple[Any, Any, tuple[tuple[int, ...], ...]]] = {
    "lstm": (PeepholeSequence, CompiledSequence, ((9, 8, 132), (8, 33), (8, 33), *LSTM_SHAPES[4])),
    "coupled": (
        PeepholeSequence,
        CompiledSequence,
        ((9, 8, 99), (8, 33), (8, 33), *LSTM_SHAPES[3]),
    ),
    "gru": (ResetAfter, gru_compiled.CompiledSequence, ((9, 8, 99), (8, 33), (99, 33), (99,))),
}


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("name", IN_FLOAT32)
def test_compiled_loops_in_float32_equal_torch_operations(name: str, num_threads: int) -> None:
    plain, fast, shapes = IN_FLOAT32[name]
    generator = torch.Generator().manual_seed(6)
    given = [torch.randn(shape, generator=generator).div_(3).requires_grad_() for shape in shapes]
    before = torch.get_num_threads()

    results = []
    torch.set_num_threads(num_threads)
    for kernel in (on_copies(plain, 1), on_copies(fast, 1, torch.empty(0, 33))):
        output = kernel(*given)
        outputs = output if isinstance(output, tuple) else (output,)
        grads = torch.autograd.grad(sum((each**2).mean() for each in outputs), given)
        results.append((outputs, grads))
    torch.set_num_threads(before)

    torch.testing.assert_close(results[0], results[1], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("cell", [GruSpec(reset_after=False), MguSpec()], ids=["gru", "mgu"])
def test_without_gradients_a_loop_of_its_own_equals_the_plain_cell(
    cell: GruSpec | MguSpec, num_threads: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(8)
    network = build_cell(cell, 5, 33, CellOptions()).to(dtype)
    x_BTI, state = torch.randn(7, 9, 5, dtype=dtype), (torch.randn(7, 33, dtype=dtype),)
    plain_BTH, (plain_BH,) = network.unroll(x_BTI, state)

    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    with torch.no_grad():
        h_BTH, (h_BH,) = network(x_BTI, state)
    torch.set_num_threads(before)

    torch.testing.assert_close(h_BTH, plain_BTH.detach(), atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(h_BH, plain_BH.detach(), atol=2e-6, rtol=1e-5)


def test_gates_far_from_zero_saturate() -> None:
    z_TBG = torch.tensor([[[500.0, -500.0, 500.0, 500.0]]])
    zero, weight = torch.zeros(1, 1), torch.zeros(4, 1)

    h_TBH, c_BH = CompiledSequence.apply(
        z_TBG, zero, zero + 3, weight, torch.zeros(3, 1), torch.empty(0, 1)
    )

    torch.testing.assert_close(c_BH.item(), 1.0, atol=1e-6, rtol=0)
    torch.testing.assert_close(h_TBH.item(), math.tanh(1), atol=1e-6, rtol=0)


def test_loops_once_compiled_are_not_compiled_again() -> None:
    warm_up()
    with install_recorder("numba:compile") as compiled:
        seconds = warm_up()

    assert seconds > 0
    assert compiled.buffer == []


def test_a_process_that_is_to_end_begins_no_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    enough = threading.Event()
    monkeypatch.setattr(lstm_compiled, "warm", enough.set)
    monkeypatch.setattr(lstm_norm_compiled, "warm", lambda: begun.append(1))
    warm_up(enough)

    assert begun == []


def test_processes_share_what_there_is_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    enough = threading.Event()
    modules = (lstm_compiled, lstm_norm_compiled, gru_compiled)
    others = [ready.first_at(compiled.add_product, each.__name__) for each in modules[:2]]
    for loops in modules:
        monkeypatch.setattr(loops, "warm", lambda name=loops.__name__: order.append(name))

    def gone(_: float) -> bool:
        """The wait for what another process is at: it is through."""
        others.pop(0).__exit__(None, None, None)
        return False

    monkeypatch.setattr(enough, "wait", gone)
    for other in others:
        assert other.__enter__()
    warm_up(enough)

    assert order == [each.__name__ for each in (gru_compiled, lstm_compiled, lstm_norm_compiled)]


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "has_compiler", lambda: False)

    assert warm_up() == 0


def test_a_forked_process_starts_threads_of_its_own() -> None:
    code = """
import os, torch
from shared.nn.modules import LSTM
torch.set_num_threads(2)
module, x = LSTM(2, 4, batch_first=True), torch.ones(8, 3, 2)
expected = module(x)[0]
child = os.fork()
if child == 0:
    os._exit(0 if torch.equal(module(x)[0], expected) else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, check=False)

    assert done.returncode == 0


def test_a_sigmoid_elman_is_a_tanh_one_rescaled() -> None:
    torch.manual_seed(4)
    x_BTI, h_BH = rand(3, 4, 2), rand(3, 5)
    weights = (rand(5, 2), rand(5, 5), rand(5), rand(5))
    weight_ih, weight_hh, bias_ih, bias_hh = weights

    h_BTH, (last_BH,) = run_sigmoid(x_BTI, (h_BH,), weights)
    expected = run_elman(x_BTI, h_BH, (weight_ih, weight_hh, bias_ih + bias_hh), "sigmoid")
    found, wanted = (
        torch.autograd.grad(each.square().sum(), (x_BTI, h_BH, *weights))
        for each in (h_BTH, expected)
    )

    torch.testing.assert_close(h_BTH, expected)
    torch.testing.assert_close(last_BH, expected[:, -1])
    torch.testing.assert_close(found, wanted)
