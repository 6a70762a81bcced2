"""Networks and inputs for tests; a test names only what it is about."""

from typing import Any

import torch
from torch import Tensor, nn

from shared.nn.generator import Generator
from shared.nn.network import Network
from shared.nn.spec import NetworkSpec, Shape
from shared.nn.stack import Stack

TORCH_CELLS: list[dict[str, Any]] = [
    {"type": "elman"},
    {"type": "elman", "activation": "relu"},
    {"type": "lstm"},
    {"type": "gru"},
]
"""Cells that torch.nn has too."""
OWN_CELLS: list[dict[str, Any]] = [
    {"type": "elman", "activation": "sigmoid"},
    {"type": "jordan"},
    {"type": "jordan", "activation": "sigmoid", "output_activation": "identity"},
    {"type": "lstm", "peephole": True},
    {"type": "lstm", "coupled_gates": True},
    {"type": "lstm", "peephole": True, "coupled_gates": True},
    {"type": "gru", "reset_after": False},
    {"type": "mgu"},
    {"type": "mingru"},
    {"type": "minlstm"},
]
CELLS = TORCH_CELLS + OWN_CELLS


def randomised(module: nn.Module) -> nn.Module:
    """In float64 with no parameter left at zero or one, so that none can be forgotten unnoticed."""
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.uniform_(-0.8, 0.8)
    return module


def make_stack(cell: dict[str, Any], **network: Any) -> Stack:
    """A stack of 4 units on 5 inputs, seeded and randomised."""
    torch.manual_seed(3)
    spec = NetworkSpec.model_validate({"cell": cell, "hidden_size": 4, **network})
    stack = Stack(spec, 5)
    randomised(stack)
    return stack


def make_network(
    mapping: str = "many_to_one",
    input_kind: str = "numeric",
    input_size: int = 5,
    output_size: int = 3,
    **network: Any,
) -> Network:
    """A small network in float64, seeded."""
    torch.manual_seed(0)
    spec = NetworkSpec.model_validate({"cell": "lstm", "hidden_size": 4, **network})
    shape = Shape.model_validate(
        {
            "mapping": mapping,
            "input_kind": input_kind,
            "input_size": input_size,
            "output_size": output_size,
        }
    )
    return Network(spec, shape).double()


def make_generator(
    mapping: str = "many_to_many",
    input_kind: str = "tokens",
    input_size: int = 7,
    output_size: int = 6,
    **network: Any,
) -> Generator:
    """A small generator in float64, seeded; many_to_many means encoder and decoder."""
    torch.manual_seed(0)
    spec = NetworkSpec.model_validate({"cell": "lstm", "hidden_size": 4, **network})
    shape = Shape.model_validate(
        {
            "mapping": mapping,
            "alignment": "encoder_decoder" if mapping == "many_to_many" else None,
            "input_kind": input_kind,
            "input_size": input_size,
            "output_size": output_size,
        }
    )
    return Generator(spec, shape).double().eval()


def make_tokens(*lengths: int, vocabulary: int = 7) -> tuple[Tensor, Tensor]:
    """Random symbols x_BT, padded with noise, and lengths_B."""
    generator = torch.Generator().manual_seed(2)
    x_BT = torch.randint(1, vocabulary, (len(lengths), max(lengths)), generator=generator)
    return x_BT, torch.tensor(lengths)


def make_input(*lengths: int, size: int = 5) -> tuple[Tensor, Tensor]:
    """Random x_BTI, padded with noise rather than zeros, and lengths_B."""
    generator = torch.Generator().manual_seed(1)
    x_BTI = torch.randn(len(lengths), max(lengths), size, generator=generator, dtype=torch.float64)
    return x_BTI, torch.tensor(lengths)
