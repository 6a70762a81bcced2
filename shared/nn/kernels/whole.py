"""What kernels over whole sequences share: time first, one product for all inputs, one for weights.

Legend: T time, B batch, I input, H hidden, G rows of gates. A kernel is a torch.autograd.Function
over z_TBG, what the inputs give to the gates: autograd knows the way from there to inputs, input
weights and biases (one product each). z_TBG is the kernel's to write on.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, cat
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from shared.nn.kernels.limits import WALKED_UP_TO, has_compiler, has_triton

Backward = TypeVar("Backward", bound=Callable[..., Any])


def by_hand(backward: Backward) -> Backward:
    """Marks a derivative written by hand, which cannot itself be derived."""
    return cast(Backward, once_differentiable(backward))


def applied(kernel: type[Function], z: Tensor, *arguments: Any) -> Any:
    """What a kernel makes of its arguments, known to autograd; tensors in the type of the first.

    Without gradients nothing asks for one, not even a parameter: a kernel then keeps nothing.
    """
    alike = [z, *(each.to(z.dtype) if isinstance(each, Tensor) else each for each in arguments)]
    if torch.is_grad_enabled():
        return kernel.apply(*alike)
    return kernel.apply(*(each.detach() if isinstance(each, Tensor) else each for each in alike))


def input_share(x_BTI: Tensor, weight_GI: Tensor, bias_G: Tensor | None) -> Tensor:
    """z_TBG in memory of its own, the steps one after the other; under autocast, too, in the type
    of the weights, which is that of states."""
    return linear(x_BTI.transpose(0, 1).contiguous(), weight_GI, bias_G).to(weight_GI.dtype)


def suits_loops(x: Tensor) -> bool:
    """Whether compiled loops can work on it: in main memory, in a type that BLAS knows."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def suits_loops_without_gradient(x: Tensor) -> bool:
    """Whether compiled loops that know no derivative can work on it."""
    return suits_loops(x) and has_compiler() and not torch.is_grad_enabled()


def suits_triton(x: Tensor, weight: Tensor) -> bool:
    """Whether our kernels for a GPU can work on it: weights in float32, perhaps under autocast."""
    return x.is_cuda and weight.dtype == torch.float32 and has_triton()


def suits_walking(x: Tensor, weight_GH: Tensor) -> bool:
    """Whether a program on the GPU may walk all steps, instead of an operation of torch at each."""
    return suits_triton(x, weight_GH) and weight_GH.shape[1] <= WALKED_UP_TO


def batch_first(h_TBH: Tensor) -> Tensor:
    return h_TBH.transpose(0, 1)


def last(h_BTH: Tensor) -> tuple[Tensor]:
    """The state after the last step, which does not keep the whole sequence in memory."""
    return (h_BTH[:, -1].clone(),)


def without_autocast(x: Tensor) -> AbstractContextManager[None]:
    """For what follows states: in the type they have, which a rounding at each step would spoil.

    torch's own kernels need it most: autocast has cuDNN work in float16, whatever it was asked for.
    """
    return torch.autocast(x.device.type, enabled=False)


def before(first_BH: Tensor, h_TBH: Tensor) -> Tensor:
    """The state that each step started from."""
    return cat([first_BH.unsqueeze(0), h_TBH[:-1]])


def weight_gradient(dz_TBG: Tensor, h_TBH: Tensor) -> Tensor:
    """Of weights that were applied to `h_TBH` at every step: one product for all of them."""
    return dz_TBG.flatten(0, 1).t() @ h_TBH.flatten(0, 1)


def recurrent_gradient(dz_TBG: Tensor, first_BH: Tensor | None, h_TBH: Tensor) -> Tensor:
    """Of weights applied to the state that each step started from; None for a start at zero.

    The same as `weight_gradient` of `before`, which would copy all states.
    """
    if len(dz_TBG) == 1:
        first_BH = torch.zeros_like(h_TBH[0]) if first_BH is None else first_BH
        return dz_TBG[0].t() @ first_BH
    dweight = weight_gradient(dz_TBG[1:], h_TBH[:-1])
    return dweight if first_BH is None else dweight.addmm_(dz_TBG[0].t(), first_BH)


def no_mask(h_BH: Tensor) -> Tensor:
    """In place of a mask of recurrent dropout, for compiled loops, whose arguments have one type."""
    return h_BH.new_empty(0, h_BH.shape[1])


def peephole_gradient(dz_TBG: Tensor, before_TBH: Tensor, c_TBH: Tensor) -> Tensor:
    """Of peepholes, from the derivatives by the gates' pre-activations."""
    *early, _, out = dz_TBG.split(c_TBH.shape[2], 2)
    seen = [(dz_TBH * before_TBH).sum((0, 1)) for dz_TBH in early]
    return torch.stack([*seen, (out * c_TBH).sum((0, 1))])
