"""Derivatives written by hand against numerical ones, in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from shared.nn.kernels.elman import ElmanSequence
from shared.nn.kernels.gru import ResetAfter, ResetBefore
from shared.nn.kernels.jordan import JordanSequence
from shared.nn.kernels.lstm import PeepholeSequence
from shared.nn.kernels.mgu import MguSequence
from shared.nn.kernels.scan import Scan

T, B, H = 4, 3, 2


def rand(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def on_copies(kernel: Any, num_written: int, *rest: Any) -> Callable[..., Any]:
    """A kernel writes on its first arguments, which a numerical derivative must not see."""

    def run(*tensors: Tensor) -> Any:
        written = [tensor.clone() for tensor in tensors[:num_written]]
        return kernel.apply(*written, *tensors[num_written:], *rest)

    return run


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
