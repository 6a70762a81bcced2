"""The sequence kernels that torch brings (oneDNN, cuDNN), run on weights of our own. Batch first."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from shared.nn.kernels.whole import without_autocast

State = tuple[Tensor, ...]
Weights = Sequence[Tensor]
"""W_ih, W_hh, b_ih, b_hh, in torch's gate order."""


def run_simple(
    kernel: Callable[..., Any], x_BTI: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State]:
    """torch.gru, torch.rnn_tanh or torch.rnn_relu: all h_BTH, and the last."""
    with without_autocast(x_BTI):
        h_BTH, h_1BH = kernel(x_BTI, state[0].unsqueeze(0), *_arguments(weights))
    return h_BTH, (h_1BH.squeeze(0),)


def run_sigmoid(x_BTI: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """An elman with σ(z) = (tanh(z/2) + 1)/2 as one with tanh: its state u is 2 h - 1.

    z/2 = W/2 x + U/4 u + (b + U 1/2)/2.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    bias = (bias_hh + weight_hh.sum(1) / 2) / 2
    rescaled = (weight_ih / 2, weight_hh / 4, bias_ih / 2, bias)
    u_BTH, (u_BH,) = run_simple(torch.rnn_tanh, x_BTI, (state[0] * 2 - 1,), rescaled)
    return (u_BTH + 1) / 2, ((u_BH + 1) / 2,)


def run_lstm(x_BTI: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """All h_BTH, and the last h and c."""
    h_BH, c_BH = state
    before = (h_BH.unsqueeze(0), c_BH.unsqueeze(0))
    with without_autocast(x_BTI):
        h_BTH, h_1BH, c_1BH = torch.lstm(x_BTI, before, *_arguments(weights))
    return h_BTH, (h_1BH.squeeze(0), c_1BH.squeeze(0))


def _arguments(weights: Weights) -> tuple[Any, ...]:
    """Weights, has_biases, num_layers, dropout, train, bidirectional, batch_first."""
    ready = _in_one_buffer(weights) if weights[0].is_cuda else list(weights)
    return ready, True, 1, 0.0, torch.is_grad_enabled(), False, True


def _in_one_buffer(weights: Weights) -> list[Tensor]:
    """Views of one buffer in cuDNN's order, which it would otherwise make itself, with a warning."""
    buffer = torch.cat([weight.flatten() for weight in weights])
    parts = buffer.split([weight.numel() for weight in weights])
    return [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
