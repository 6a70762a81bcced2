"""What a network has to pass before it is served: a step at a time gives what a whole sequence gives.

Legend: B batch (of one), T time, S output steps. On the CPU, where networks are served; no data.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import torch
from torch import Tensor

from shared.nn.decoder import Decoder, Memory
from shared.nn.generator import Generator, started
from shared.nn.mappings import AnyNetwork
from shared.nn.network import Network
from shared.nn.spec import Mapping, Shape
from shared.nn.stack import Stack, StackState
from shared.nn.steps.cells import lay_out
from shared.nn.trace import trace

STEPS = 32
TOLERANCE = 1e-3
"""Of outputs up to 1, and of the largest one where it is above. Untrained networks of
every cell stay below 1e-5; one of four normalised units, which amplify rounding, was seen at 3e-4."""
RUNS = 5
READS_STEPS = (Mapping.MANY_TO_ONE, Mapping.MANY_TO_MANY)
Walk = Callable[[Tensor, StackState], tuple[Tensor, StackState]]
"""From steps (B, T, ..) and a state to their outputs (B, T, ..) and the next state."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What was found."""

    max_difference: float | None
    """Relative to the largest output where that is above 1; None for a network without steps."""
    is_finite: bool
    latency_ms: float
    """Median of some runs over one sequence of `STEPS` steps, read and, by a decoder, written."""
    size_bytes: int

    @property
    def fault(self) -> str | None:
        """Why it is not to be served."""
        if not self.is_finite:
            return "its outputs are not finite numbers"
        if self.max_difference is not None and self.max_difference > TOLERANCE:
            return (
                f"a step at a time its outputs differ by {self.max_difference:.1e} from those of a "
                f"whole sequence, and {TOLERANCE:g} is allowed"
            )
        return None

    def to_json(self) -> dict[str, Any]:
        """As a version of a model keeps it."""
        return {
            "status": "failed" if self.fault else "passed",
            "reason": self.fault,
            "max_difference": self.max_difference,
            "tolerance": TOLERANCE,
            "latency_ms": self.latency_ms,
            "latency_steps": STEPS,
            "size_bytes": self.size_bytes,
            "checked_at": datetime.now(UTC).isoformat(),
        }


@torch.inference_mode()
def check(network: AnyNetwork) -> Checks:
    """Run a network, which has to be on the CPU and in evaluation mode, on made-up inputs.

    It is laid out for compiled loops afterwards, as it is served.
    """
    x, lengths_B = sample(network.shape)
    differences = [*_differences(network, x, lengths_B)]
    output = serve(network, x, lengths_B)
    lay_out(network)
    if differences and isinstance(network, Network):
        laid_out = serve(network, x, lengths_B)
        differences.append(float((laid_out - output).abs().max()) / _scale(output))
    is_finite = bool(output.isfinite().all()) and all(map(math.isfinite, differences))
    return Checks(
        max_difference=max(differences, default=None) if is_finite else None,
        is_finite=is_finite,
        latency_ms=_latency_ms(lambda: serve(network, x, lengths_B)),
        size_bytes=sum(w.numel() * w.element_size() for w in network.parameters()),
    )


def sample(shape: Shape) -> tuple[Tensor, Tensor]:
    """An input of the size that a network reads, (1, T) or (1, T, F), and its length; always the same.

    Numbers are those of scaled data: mean 0, deviation 1.
    """
    num_steps = STEPS if shape.mapping in READS_STEPS else 1
    generator = torch.Generator().manual_seed(0)
    if shape.input_kind == "tokens":
        x = torch.randint(shape.input_size, (1, num_steps), generator=generator)
    else:
        x = torch.randn(1, num_steps, shape.input_size, generator=generator)
    return x, torch.tensor([num_steps])


def serve(network: AnyNetwork, x: Tensor, lengths_B: Tensor) -> Tensor:
    """Outputs for an input; a decoder writes `STEPS` steps, each from the one before."""
    if isinstance(network, Network):
        output: Tensor = network(x, lengths_B)[0]
        return output
    memory = network.encode(x, lengths_B)
    state, read_B1 = network.decoder.initial_state(memory), started(_to_write(network.shape))
    outputs = []
    for _ in range(STEPS):
        output_B1K, state = network.decoder(read_B1, state, memory)
        read_B1 = network.written(output_B1K)
        outputs.append(output_B1K)
    return torch.cat(outputs, 1)


def _to_write(shape: Shape) -> Tensor:
    """What a decoder may be given to read: (1, S) symbols or (1, S, V) numbers."""
    generator = torch.Generator().manual_seed(1)
    if shape.writes == "numbers":
        return torch.randn(1, STEPS, shape.num_values, generator=generator)
    return torch.randint(shape.output_size, (1, STEPS), generator=generator)


def _differences(network: AnyNetwork, x: Tensor, lengths_B: Tensor) -> list[float]:
    """Of each part that knows steps."""
    found = _stack_differences(network, x, lengths_B)
    if isinstance(network, Generator):
        memory = network.encode(x, lengths_B)
        state = network.decoder.initial_state(memory)
        walk = _decoder_walk(network.decoder, memory)
        found.append(difference(walk, _to_write(network.shape), state))
    return found


def _stack_differences(network: AnyNetwork, x: Tensor, lengths_B: Tensor) -> list[float]:
    """Of what reads; where it reads from the end too, each cell against its plain equation."""
    stack = network.stack
    if not isinstance(stack, Stack):
        return []
    if network.spec.bidirectional:
        return _cell_differences(network, x, lengths_B)
    state = stack.initial_state(1, next(network.parameters()))
    return [difference(_stack_walk(stack), network.embedding(x), state)]


def _cell_differences(network: AnyNetwork, x: Tensor, lengths_B: Tensor) -> list[float]:
    def read(double: AnyNetwork) -> None:
        if isinstance(double, Generator):
            double.encode(x, lengths_B)
        else:
            double(x, lengths_B)

    _, traces = trace(network, read)
    return [each.max_difference / _scale(each.put_out) for each in traces]


def _stack_walk(stack: Stack) -> Walk:
    def walk(x_BTI: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        [h_BTH], after = stack(x_BTI, torch.tensor([x_BTI.shape[1]]), state)
        return h_BTH, after

    return walk


def _decoder_walk(decoder: Decoder, memory: Memory) -> Walk:
    def walk(symbols_BS: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        outputs: tuple[Tensor, StackState] = decoder(symbols_BS, state, memory)
        return outputs

    return walk


def difference(walk: Walk, x_BT: Tensor, state: StackState) -> float:
    """The largest difference of outputs step by step from those of the whole sequence."""
    whole, _ = walk(x_BT, state)
    pieces = []
    for piece in x_BT.split(1, dim=1):
        output, state = walk(piece, state)
        pieces.append(output)
    return float((torch.cat(pieces, 1) - whole).abs().max()) / _scale(whole)


def _scale(output: Tensor) -> float:
    return max(1.0, float(output.abs().max()))


def _latency_ms(run: Callable[[], object]) -> float:
    run()  # the first one may compile
    took = []
    for _ in range(RUNS):
        started_at = time.perf_counter()
        run()
        took.append(time.perf_counter() - started_at)
    return 1000 * median(took)
