"""How long our cells take as a multiple of torch.nn's on the same machine, in the same run.

    python -m benchmarks.cells            all cells, six shapes, training and inference
    python -m benchmarks.cells --quick    two shapes, fewer rounds
    python -m benchmarks.cells --device cuda    on a GPU, where torch.nn's are cuDNN's

A ratio is the median over rounds of our time by that of torch.nn.LSTM, GRU or RNN with the same
sizes, measured right beside it in alternating order; below 1 is faster. Training is forward and
backward, inference forward without gradients. On a GPU the time is between two events of the stream.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import Any

import torch
from torch import Tensor, nn

from shared.nn import modules


@dataclass(frozen=True, slots=True)
class Shape:
    steps: int
    batch: int
    units: int
    inputs: int
    layers: int = 1
    bidirectional: bool = False

    def __str__(self) -> str:
        both = " both" if self.bidirectional else ""
        return f"{self.steps}x{self.batch}x{self.units}x{self.layers}{both}"


SHAPES = (
    Shape(28, 64, 128, 28),
    Shape(100, 32, 128, 128, layers=2),
    Shape(100, 32, 256, 256),
    Shape(784, 32, 128, 1),
    Shape(50, 64, 512, 512, layers=2),
    Shape(100, 32, 256, 256, bidirectional=True),
)
QUICK = (SHAPES[0], SHAPES[2])

CELLS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "lstm": (modules.LSTM, {}, nn.LSTM),
    "lstm peephole": (modules.LSTM, {"peephole": True}, nn.LSTM),
    "lstm coupled": (modules.LSTM, {"coupled_gates": True}, nn.LSTM),
    "lstm peephole coupled": (modules.LSTM, {"peephole": True, "coupled_gates": True}, nn.LSTM),
    "lstm layer_norm": (modules.LSTM, {"layer_norm": True}, nn.LSTM),
    "elman tanh": (modules.RNN, {}, nn.RNN),
    "elman relu": (modules.RNN, {"nonlinearity": "relu"}, nn.RNN),
    "elman sigmoid": (modules.RNN, {"nonlinearity": "sigmoid"}, nn.RNN),
    "jordan": (modules.Jordan, {}, nn.RNN),
    "gru reset after": (modules.GRU, {}, nn.GRU),
    "gru reset before": (modules.GRU, {"reset_after": False}, nn.GRU),
    "mgu": (modules.MGU, {}, nn.GRU),
    "mingru": (modules.MinGRU, {}, nn.GRU),
    "minlstm": (modules.MinLSTM, {}, nn.LSTM),
}

Work = Callable[[], None]
Clock = Callable[[Work], float]
"""Seconds that a piece of work takes."""


def works(module: nn.Module, x_BTI: Tensor, gradient: Tensor) -> dict[str, Work]:
    def train() -> None:
        module.zero_grad(set_to_none=True)
        x_BTI.grad = None
        module(x_BTI)[0].backward(gradient)

    def infer() -> None:
        with torch.no_grad():
            module(x_BTI)

    return {"training": train, "inference": infer}


def ratio(ours: Work, theirs: Work, seconds: float, clock: Clock) -> float:
    """Of the time of one call; rounds until the seconds are spent, at least five."""
    ours()
    theirs()
    started, ratios = time.perf_counter(), []
    while len(ratios) < 5 or time.perf_counter() - started < seconds:
        pair = (ours, theirs) if len(ratios) % 2 else (theirs, ours)
        took = {work: clock(work) for work in pair}
        ratios.append(took[ours] / took[theirs])
    return median(ratios)


def on_cpu(work: Work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def on_cuda(work: Work) -> float:
    torch.cuda.synchronize()
    started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    started.record()
    work()
    ended.record()
    ended.synchronize()
    return started.elapsed_time(ended) / 1000


CLOCKS: dict[str, Clock] = {"cpu": on_cpu, "cuda": on_cuda}


def measure(name: str, shape: Shape, seconds: float, device: str) -> dict[str, float]:
    build, options, reference = CELLS[name]
    sizes: dict[str, Any] = {"bidirectional": shape.bidirectional, "batch_first": True}
    torch.manual_seed(0)
    ours = build(shape.inputs, shape.units, shape.layers, **options, **sizes).to(device)
    theirs = reference(shape.inputs, shape.units, shape.layers, **sizes).to(device)
    x_BTI = torch.randn(shape.batch, shape.steps, shape.inputs, device=device)
    x_BTI.requires_grad_(shape.inputs > 1)  # data of one feature are read, not computed
    width = shape.units * (1 + shape.bidirectional)
    gradient = torch.randn(shape.batch, shape.steps, width, device=device)
    mine, other = works(ours, x_BTI, gradient), works(theirs, x_BTI, gradient)
    clock = CLOCKS[device]
    return {kind: ratio(mine[kind], other[kind], seconds, clock) for kind in mine}


def rows(names: list[str], shapes: tuple[Shape, ...], seconds: float, device: str) -> Iterator[str]:
    """A Markdown table, a cell and kind of work a row."""
    titles = ["cell", "work", *map(str, shapes), "geometric mean"]
    yield line(titles)
    yield line(["---"] * len(titles))
    for name in names:
        measured = [measure(name, shape, seconds, device) for shape in shapes]
        for kind in measured[0]:
            values = [each[kind] for each in measured]
            yield line([name, kind, *(f"{v:.2f}" for v in [*values, geometric_mean(values)])])


def line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two shapes, fewer rounds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=CLOCKS, default="cpu")
    parser.add_argument("--tf32", action="store_true", help="multiply in TF32, ours and cuDNN's")
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS), metavar="CELL")
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = wanted.tf32
    shapes, seconds = (QUICK, 0.3) if wanted.quick else (SHAPES, 2.0)
    for row in rows(wanted.cells, shapes, seconds, wanted.device):
        sys.stdout.write(row)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
